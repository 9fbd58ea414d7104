"""What a ``[channels.*]`` table of this kind holds."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from router import plugin
from router_twilio.addresses import PREFIX, is_number

#: Twilio's own address, and the version of the API that stands in every path.
API = "https://api.twilio.com"
VERSION = "/2010-04-01"

#: Where Twilio keeps templates.
CONTENT_API = "https://content.twilio.com"

#: Where Twilio keeps media. Nothing of its documentation says so: hence a setting.
MEDIA_HOSTS = ("*.twiliocdn.com", "s3-external-1.amazonaws.com")

_SID = re.compile(r"[0-9A-Za-z]+")


def _sid(text: str, prefix: str, what: str) -> str:
    if not text.startswith(prefix) or not _SID.fullmatch(text):
        raise ValueError(f"{what} begins with {prefix} and has letters and digits only")
    return text


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"write a whole address, such as {API}")
    return text.rstrip("/").removesuffix(VERSION).rstrip("/")


def _sender(text: str) -> str:
    number = text.removeprefix(PREFIX)
    if not is_number(number):
        raise ValueError('write the number with its country code, such as "whatsapp:+14155238886"')
    return PREFIX + number


def _filled(secret: plugin.Secret) -> plugin.Secret:
    if not secret.get_secret_value():
        raise ValueError("it is empty; anybody could sign with it")
    return secret


FilledSecret = Annotated[plugin.Secret, AfterValidator(_filled)]


class TwilioConfig(plugin.PluginConfig):
    """One WhatsApp sender, or one messaging service, of one Twilio account."""

    account_sid: Annotated[str, AfterValidator(lambda text: _sid(text, "AC", "an account SID"))] = (
        Field(description="The account, AC… .")
    )
    sender: Annotated[str, AfterValidator(_sender)] | None = Field(
        None, description='The WhatsApp sender, such as "whatsapp:+14155238886".'
    )
    messaging_service_sid: (
        Annotated[str, AfterValidator(lambda text: _sid(text, "MG", "a messaging service's SID"))]
        | None
    ) = Field(
        None,
        description="A messaging service, MG…, which chooses the sender unless `sender` is given.",
        validate_default=True,
    )
    api_key_sid: (
        Annotated[str, AfterValidator(lambda text: _sid(text, "SK", "an API key's SID"))] | None
    ) = Field(None, description="An API key, SK…, to send with instead of the Auth Token.")
    api_key_secret: FilledSecret | None = Field(
        None, description="The API key's secret.", validate_default=True
    )
    signing_keys: Mapping[str, FilledSecret] = Field(
        default_factory=dict,
        description="Secrets of the SharedKeys that sign webhooks, each under its key's id.",
    )
    auth_token: FilledSecret | tuple[FilledSecret, ...] | None = Field(
        None,
        description="The account's Auth Token, or several while it is changed; the first one "
        "sends, any of them may have signed.",
        validate_default=True,
    )
    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        API, description="Where the API is served."
    )
    content_url: Annotated[str, AfterValidator(_base_url)] = Field(
        CONTENT_API, description="Where the Content API is served, which lists templates."
    )
    alias_fields: tuple[Literal["WaId", "ExternalUserIdentifier"], ...] = Field(
        ("WaId",),
        description="Fields of a message that name its sender by another address, so that both "
        "are one contact.",
    )
    listing_is_complete: bool = Field(
        default=False,
        description="Believe that a message which Twilio does not list was never taken, and send "
        "it again, instead of asking a person.",
    )
    messages_per_second: float = Field(
        80.0, gt=0, le=10_000, description="How many messages a second the sender may send."
    )
    pair_interval: plugin.Duration = Field(
        6.0, gt=0, description="Seconds between two messages to one customer, in the long run."
    )
    pair_burst: int = Field(
        45, ge=1, description="How many messages one customer may get at once after a quiet time."
    )
    media_hosts: tuple[str, ...] = Field(
        MEDIA_HOSTS, description="Hosts to which a download of media may be redirected."
    )

    @field_validator("messaging_service_sid")
    @classmethod
    def _somebody_sends(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and "sender" in info.data and info.data["sender"] is None:
            raise ValueError(
                "sender and messaging_service_sid are both missing; messages need one of them "
                "to leave from"
            )
        return value

    @field_validator("api_key_secret")
    @classmethod
    def _api_key_is_whole(
        cls, value: plugin.Secret | None, info: ValidationInfo
    ) -> plugin.Secret | None:
        if "api_key_sid" not in info.data:
            return value
        if value is None and info.data["api_key_sid"] is not None:
            raise ValueError("api_key_secret is missing beside api_key_sid")
        if value is not None and info.data["api_key_sid"] is None:
            raise ValueError("api_key_sid is missing beside api_key_secret")
        return value

    @field_validator("auth_token")
    @classmethod
    def _can_verify_and_send(
        cls, value: plugin.Secret | tuple[plugin.Secret, ...] | None, info: ValidationInfo
    ) -> plugin.Secret | tuple[plugin.Secret, ...] | None:
        if value:
            return value
        if info.data.get("signing_keys", True) == {}:
            raise ValueError(
                "auth_token is missing; webhooks are checked with it, unless signing_keys are given"
            )
        if info.data.get("api_key_secret", True) is None:
            raise ValueError(
                "auth_token is missing; messages are sent with it, unless api_key_sid and "
                "api_key_secret are given"
            )
        return value

    @property
    def auth_tokens(self) -> tuple[str, ...]:
        """Every Auth Token, the one that sends first."""
        match self.auth_token:
            case None:
                return ()
            case tuple():
                return tuple(token.get_secret_value() for token in self.auth_token)
            case _:
                return (self.auth_token.get_secret_value(),)

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password of the API."""
        if self.api_key_sid is not None and self.api_key_secret is not None:
            return self.api_key_sid, self.api_key_secret.get_secret_value()
        return self.account_sid, self.auth_tokens[0]

    @property
    def credentials_name(self) -> str:
        """What the credentials are called in router.toml."""
        if self.api_key_sid is not None:
            return "api_key_sid with api_key_secret"
        return "account_sid with auth_token"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must never show."""
        keys = [*self.signing_keys.values()]
        if self.api_key_secret is not None:
            keys.append(self.api_key_secret)
        return (*self.auth_tokens, *(key.get_secret_value() for key in keys))

    @property
    def account_url(self) -> str:
        """The account's own address, without its ``.json``."""
        return f"{self.base_url}{VERSION}/Accounts/{self.account_sid}"

    @property
    def messages_url(self) -> str:
        """Where messages are sent and listed."""
        return f"{self.account_url}/Messages.json"
