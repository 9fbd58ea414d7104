"""What a ``[channels.*]`` table of this kind holds."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from router import plugin

#: Where BuilderBot Cloud is served.
API = "https://app.builderbot.cloud"

#: What an event is about, in the router's words.
Meaning: TypeAlias = Literal[
    "message", "echo", "call", "online", "attention", "offline", "opt_out", "ignore"
]

#: The names of events that were seen, and one that accounts are told of and nobody has seen.
EVENTS: Mapping[str, Meaning] = {
    "message.incoming": "message",
    "message.outgoing": "echo",
    "message.calling": "call",
    "status.ready": "online",
    "status.online": "online",
    "status.require_action": "attention",
    "status.disconnect": "offline",
}

_BOT_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
_PLACEHOLDER = "{bot_id}"


def _bot_id(text: str) -> str:
    if not _BOT_ID.fullmatch(text):
        raise ValueError("the project's id has letters, digits and hyphens only")
    return text


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"write a whole address, such as {API}")
    return text.rstrip("/")


def _path(text: str) -> str:
    if not text.startswith("/") or _PLACEHOLDER not in text:
        raise ValueError(f"begin with a slash, and write {_PLACEHOLDER} where the bot's id stands")
    return text


def _header(text: str) -> str:
    if not _HEADER.fullmatch(text):
        raise ValueError("the name of a header has letters, digits and hyphens only")
    return text


def _filled(secret: plugin.Secret) -> plugin.Secret:
    if not secret.get_secret_value():
        raise ValueError("it is empty; anybody could send it")
    return secret


FilledSecret = Annotated[plugin.Secret, AfterValidator(_filled)]
Secrets: TypeAlias = FilledSecret | tuple[FilledSecret, ...] | None
Header = Annotated[str, AfterValidator(_header)]
Path = Annotated[str, AfterValidator(_path)]


class BuilderbotConfig(plugin.PluginConfig):
    """One bot of BuilderBot Cloud."""

    bot_id: Annotated[str, AfterValidator(_bot_id)] = Field(description="The project's id.")
    api_key: FilledSecret = Field(description="The project's key, bb-… .")
    account_key: Secrets = Field(
        None,
        description="What the header X-Account-Key of a webhook has to say; or several while it "
        "is changed.",
    )
    url_secret: Secrets = Field(
        None,
        description="What the address of the webhook has to end with, as ?key=…, where no header "
        "is sent; or several.",
        validate_default=True,
    )
    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        API, description="Where the API is served."
    )
    account_key_header: Header = Field(
        "X-Account-Key", description="The header that carries the account's key."
    )
    api_key_header: Header = Field(
        "x-api-builderbot", description="The header that carries our key."
    )
    messages_path: Path = Field(
        "/api/v2/{bot_id}/messages", description="Where messages are sent to."
    )
    manager_key: FilledSecret | None = Field(
        None, description="The account's key, bbc-…, to ask whether the bot is online."
    )
    deploy_path: Path = Field(
        "/api/v1/manager/deploys/{bot_id}", description="Where the bot's state is asked for."
    )
    online_states: tuple[str, ...] = Field(
        ("ACTIVE", "ONLINE"), description="States in which the bot is well."
    )
    event_names: Mapping[str, Meaning] = Field(
        default_factory=dict,
        description="What further names of events mean, or known ones mean instead.",
    )
    project_id: str | None = Field(
        None, description="The projectId that webhooks have to name, where they name one."
    )
    own_numbers: tuple[str, ...] = Field(
        (), description="The bot's own numbers: never the customer in what it sends."
    )
    id_fields: tuple[str, ...] = Field(
        ("key.id", "id", "messageId", "message_id"),
        description="Where a message's id is looked for, in this order.",
    )
    repeat_window: plugin.Duration = Field(
        120.0,
        gt=0,
        description="Equal texts of one person within it are one message, where neither an id "
        "nor a time comes with them.",
    )
    offline_words: tuple[str, ...] = Field(
        ("not online",),
        description="An error with one of these says that the bot cannot send now.",
    )
    opt_out_words: tuple[str, ...] = Field(
        ("blacklist",), description="An error with one of these says that the customer opted out."
    )
    window: plugin.Duration | None = Field(
        None,
        gt=0,
        description="How long after a customer's last message free text is taken; 24h where the "
        "number is Meta's.",
    )
    messages_per_second: float | None = Field(
        None, gt=0, le=1000, description="How many messages a second the bot may send."
    )
    media_hosts: tuple[str, ...] = Field(
        ("*.builderbot.cloud", "*.builderbot.app"),
        description="Hosts from which files are fetched, beside that of base_url.",
    )

    @field_validator("url_secret")
    @classmethod
    def _somebody_is_checked(cls, value: Secrets, info: ValidationInfo) -> Secrets:
        if not value and not info.data.get("account_key", True):
            raise ValueError(
                "account_key and url_secret are both missing; webhooks are checked with one of them"
            )
        return value

    def meaning(self, name: str) -> Meaning | None:
        """Say what an event of this name is about; ``None`` if nobody knows."""
        return self.event_names.get(name) or EVENTS.get(name)

    @property
    def account_keys(self) -> tuple[str, ...]:
        """Every key that a webhook may name."""
        return _texts(self.account_key)

    @property
    def url_secrets(self) -> tuple[str, ...]:
        """Every secret that a webhook's address may end with."""
        return _texts(self.url_secret)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must never show."""
        both = (*_texts(self.api_key), *_texts(self.manager_key))
        return (*self.account_keys, *self.url_secrets, *both)

    @property
    def messages_url(self) -> str:
        """Where messages are sent to."""
        return self.base_url + self.messages_path.replace(_PLACEHOLDER, self.bot_id)

    @property
    def deploy_url(self) -> str:
        """Where the bot's state is asked for."""
        return self.base_url + self.deploy_path.replace(_PLACEHOLDER, self.bot_id)


def _texts(value: Secrets) -> tuple[str, ...]:
    match value:
        case None:
            return ()
        case tuple():
            return tuple(secret.get_secret_value() for secret in value)
        case _:
            return (value.get_secret_value(),)
