"""What a ``[channels.*]`` table of this kind holds."""

import re
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from router import plugin

#: Where Telegram serves the API of bots.
API = "https://api.telegram.org"

_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{10,100}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")


def _token(secret: plugin.Secret) -> plugin.Secret:
    if not _TOKEN.fullmatch(secret.get_secret_value()):
        raise ValueError("it is no bot's token: digits, a colon, letters and digits")
    return secret


def _secret_token(secret: plugin.Secret) -> plugin.Secret:
    if not _SECRET.fullmatch(secret.get_secret_value()):
        raise ValueError(
            "Telegram takes 1 to 256 letters, digits, underscores and hyphens, and nothing else"
        )
    return secret


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"write a whole address, such as {API}")
    return text.rstrip("/")


SecretToken: TypeAlias = Annotated[plugin.Secret, AfterValidator(_secret_token)]


class TelegramConfig(plugin.PluginConfig):
    """One bot."""

    token: Annotated[plugin.Secret, AfterValidator(_token)] = Field(
        description="The bot's token, from @BotFather."
    )
    secret_token: SecretToken | tuple[SecretToken, ...] = Field(
        description="Any letters and digits of yours: what was given to setWebhook as "
        "secret_token, and comes with each update; or several while it is changed."
    )
    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        API, description="Where the API is served: Telegram's, or a Bot API server of your own."
    )
    edits: Literal["ignore", "message"] = Field(
        "ignore", description="What a message is that the customer changed: nothing, or a new one."
    )
    quote: bool = Field(default=False, description="Show the customer's message above each answer.")
    join_shared_number: bool = Field(
        default=False,
        description="Believe that the number on a customer's own contact card is theirs, so that "
        "their WhatsApp and calls are the same conversation.",
    )
    messages_per_second: float = Field(
        30.0, gt=0, le=10_000, description="How many messages a second the bot may send."
    )
    pair_interval: plugin.Duration = Field(
        1.0, gt=0, description="Seconds between two messages to one customer, in the long run."
    )
    pair_burst: int = Field(
        3, ge=1, description="How many messages one customer may get at once after a quiet time."
    )

    @property
    def secret_tokens(self) -> tuple[str, ...]:
        """Every secret that an update may come with."""
        several = (
            self.secret_token if isinstance(self.secret_token, tuple) else (self.secret_token,)
        )
        return tuple(secret.get_secret_value() for secret in several)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must never show."""
        return (self.token.get_secret_value(), *self.secret_tokens)

    def method(self, name: str) -> str:
        """Give the address of a method. It holds the token."""
        return f"{self.base_url}/bot{self.token.get_secret_value()}/{name}"

    def file(self, path: str) -> str:
        """Give the address of a file. It holds the token."""
        return f"{self.base_url}/file/bot{self.token.get_secret_value()}/{path}"
