"""What a ``[channels.*]`` table of this kind holds."""

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from router import plugin

#: The vendor's own address; regions have others.
API = "https://api.elevenlabs.io"

_ID = re.compile(r"[0-9A-Za-z_.:-]{1,200}")


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"write a whole address, such as {API}")
    return text.rstrip("/").removesuffix("/v1").rstrip("/")


def _filled(secret: plugin.Secret) -> plugin.Secret:
    if not secret.get_secret_value():
        raise ValueError("it is empty; anybody could sign with it")
    return secret


def an_id(text: str) -> str:
    """Make sure that a text can be the vendor's id of something.

    :raises ValueError: if it cannot.
    """
    if not _ID.fullmatch(text):
        raise ValueError("an id has letters, digits and underscores only")
    return text


BaseUrl = Annotated[str, AfterValidator(_base_url)]
FilledSecret = Annotated[plugin.Secret, AfterValidator(_filled)]
Id = Annotated[str, AfterValidator(an_id)]


class ApiConfig(plugin.PluginConfig):
    """How ElevenLabs's API is reached."""

    api_key: FilledSecret = Field(description="A key of the workspace.")
    base_url: BaseUrl = Field(API, description="Where the API is served.")

    @property
    def headers(self) -> dict[str, str]:
        """What every request of ours carries."""
        return {"xi-api-key": self.api_key.get_secret_value()}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that nobody may be shown."""
        return (self.api_key.get_secret_value(),)

    def url(self, path: str) -> str:
        """Give an address of the API."""
        return f"{self.base_url}/v1/convai/{path}"


class ElevenLabsBatchConfig(ApiConfig):
    """Calls to many, by one agent and one number."""

    agent: Id = Field(description="The id of the agent that calls.")
    phone_number_id: Id = Field(description="The id of the number that it calls from.")
    concurrency: int | None = Field(
        None, ge=1, description="How many calls there may be at once; none: as the plan has it."
    )
    ringing: plugin.Duration = Field(60.0, ge=1, le=999, description="How long it rings at most.")


class ElevenLabsCallsConfig(ApiConfig):
    """The calls of some agents of one workspace."""

    webhook_secret: FilledSecret | tuple[FilledSecret, ...] | None = Field(
        None,
        description="The secret of the post-call webhook, `wsec_…`; or several while it is "
        "changed, any of which may have signed.",
    )
    account_key: FilledSecret | tuple[FilledSecret, ...] | None = Field(
        None,
        description="What the header `X-Account-Key` of requests that ElevenLabs does not sign "
        "has to hold; or several while it is changed.",
        validate_default=True,
    )
    agents: tuple[Id, ...] = Field(
        min_length=1, description="The ids of the agents whose calls count; others are left out."
    )
    poll: plugin.Duration = Field(
        15.0, gt=0, description="How often running batches are looked at."
    )
    safety_net: plugin.Duration = Field(
        120.0, gt=0, description="How often calls are listed whose webhook may have been lost."
    )
    overlap: plugin.Duration = Field(
        7200.0,
        gt=0,
        description="How far back each listing begins before the last one: longer than any call.",
    )
    lookback: plugin.Duration = Field(
        86_400.0, gt=0, description="How far back the first listing goes."
    )
    recordings: bool = Field(
        False, description="Recordings are fetched, and kept as `[media]` keeps files."
    )
    international_numbers: bool = Field(
        False, description="Numbers without a plus begin with their country, as some trunks write."
    )
    name_variables: tuple[str, ...] = Field(
        ("client_name", "contact_name", "customer_name"),
        description="Dynamic variables of a call that hold the customer's name, the surest first.",
    )
    variables: Mapping[str, str] = Field(
        default_factory=dict,
        description="Dynamic variables that a ringing call gets besides the usual ones, or what "
        "the usual ones are for somebody unknown.",
    )

    @field_validator("account_key")
    @classmethod
    def _can_verify(
        cls, value: plugin.Secret | tuple[plugin.Secret, ...] | None, info: ValidationInfo
    ) -> plugin.Secret | tuple[plugin.Secret, ...] | None:
        if not value and "webhook_secret" in info.data and not info.data["webhook_secret"]:
            raise ValueError(
                "webhook_secret and account_key are both missing; webhooks are checked with one "
                "of them"
            )
        return value

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that nobody may be shown."""
        return (*super().secrets, *self.webhook_secrets, *self.account_keys)

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """Every secret that may have signed a webhook."""
        return _texts(self.webhook_secret)

    @property
    def account_keys(self) -> tuple[str, ...]:
        """Everything that ``X-Account-Key`` may hold."""
        return _texts(self.account_key)


def _texts(secrets: plugin.Secret | tuple[plugin.Secret, ...] | None) -> tuple[str, ...]:
    match secrets:
        case None:
            return ()
        case tuple():
            return tuple(each.get_secret_value() for each in secrets)
        case _:
            return (secrets.get_secret_value(),)
