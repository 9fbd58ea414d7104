"""What a ``[channels.*]`` table of this kind holds."""

import re
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from router import plugin

#: Where Meta serves the API.
API = "https://graph.facebook.com"

#: Where Meta keeps media: seen in its answers, promised nowhere.
MEDIA_HOSTS = ("lookaside.fbsbx.com", "*.fbcdn.net", "*.whatsapp.net")

_ID = re.compile(r"[0-9]{1,40}")
_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]{1,2}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:_[A-Za-z]{2,4})?")


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(
            "it has digits only, and is not the telephone number: Meta shows it beside the number "
            "as Phone number ID"
        )
    return text


def _account(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(
            "it has digits only: Meta shows it beside the number as WhatsApp Business Account ID"
        )
    return text


def _version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise ValueError('write the version as Meta does, such as "v25.0"')
    return text


def _language(text: str) -> str:
    if not _LANGUAGE.fullmatch(text):
        raise ValueError('write the language as Meta does, such as "es" or "es_AR"')
    return text


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"write a whole address, such as {API}")
    return text.rstrip("/")


def _filled(secret: plugin.Secret) -> plugin.Secret:
    if not secret.get_secret_value():
        raise ValueError("it is empty; anybody could know it")
    return secret


FilledSecret: TypeAlias = Annotated[plugin.Secret, AfterValidator(_filled)]


class WhatsAppCloudConfig(plugin.PluginConfig):
    """One WhatsApp number of Meta's Cloud API."""

    phone_number_id: Annotated[str, AfterValidator(_id)] = Field(
        description="Meta's id of the number: digits, and not the number itself."
    )
    access_token: FilledSecret = Field(description="The access token of a system user.")
    app_secret: FilledSecret | tuple[FilledSecret, ...] = Field(
        description="The app's secret, which signs webhooks; or several while it is changed."
    )
    verify_token: FilledSecret = Field(
        description="Any words of yours: what Meta names when the webhook's address is registered."
    )
    business_account_id: Annotated[str, AfterValidator(_account)] | None = Field(
        None,
        description="Meta's id of the WhatsApp Business account, for the approval of its "
        "templates.",
    )
    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        API, description="Where the API is served."
    )
    api_version: Annotated[str, AfterValidator(_version)] = Field(
        "v25.0", description="The version of the API."
    )
    template_language: Annotated[str, AfterValidator(_language)] = Field(
        "es", description="The language of templates that name none."
    )
    edits: Literal["ignore", "message"] = Field(
        "ignore", description="What a message is that the customer changed: nothing, or a new one."
    )
    quote: bool = Field(default=False, description="Show the customer's message above each answer.")
    reactions: bool = Field(
        default=False, description="Take a reaction for a message that says its emoji."
    )
    marketing_stop_is_opt_out: bool = Field(
        default=False,
        description="Leave customers alone who stopped offers in WhatsApp, with other messages, "
        "too.",
    )
    messages_per_second: float = Field(
        80.0, gt=0, le=10_000, description="How many messages a second the number may send."
    )
    pair_interval: plugin.Duration = Field(
        6.0, gt=0, description="Seconds between two messages to one customer, in the long run."
    )
    pair_burst: int = Field(
        45, ge=1, description="How many messages one customer may get at once after a quiet time."
    )
    media_hosts: tuple[str, ...] = Field(
        MEDIA_HOSTS, description="Hosts from which files are fetched, with the access token."
    )

    @property
    def app_secrets(self) -> tuple[plugin.Secret, ...]:
        """Every secret that may have signed a webhook."""
        return self.app_secret if isinstance(self.app_secret, tuple) else (self.app_secret,)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must never show."""
        all_of_them = (self.access_token, self.verify_token, *self.app_secrets)
        return tuple(secret.get_secret_value() for secret in all_of_them)

    @property
    def authorization(self) -> dict[str, str]:
        """The header that every call carries."""
        return {"Authorization": f"Bearer {self.access_token.get_secret_value()}"}

    @property
    def root(self) -> str:
        """Where everything of this version stands."""
        return f"{self.base_url}/{self.api_version}"

    @property
    def number_url(self) -> str:
        """The number's own address."""
        return f"{self.root}/{self.phone_number_id}"

    @property
    def templates_url(self) -> str:
        """Where the account's templates are listed, if ``business_account_id`` is known."""
        return f"{self.root}/{self.business_account_id}/message_templates"

    @property
    def messages_url(self) -> str:
        """Where messages are sent to."""
        return f"{self.number_url}/messages"
