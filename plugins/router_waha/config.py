"""What a ``[channels.*]`` table of this kind holds."""

import re
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from router import plugin

_SESSION = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def _session(text: str) -> str:
    if not _SESSION.fullmatch(text):
        raise ValueError("a session's name has letters, digits, hyphens and underscores only")
    return text


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("write a whole address, such as http://127.0.0.1:3000")
    return text.rstrip("/")


def _filled(secret: plugin.Secret) -> plugin.Secret:
    if not secret.get_secret_value():
        raise ValueError("it is empty; anybody could know it")
    return secret


FilledSecret: TypeAlias = Annotated[plugin.Secret, AfterValidator(_filled)]


class WahaConfig(plugin.PluginConfig):
    """One session of one WAHA gateway: one telephone."""

    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        description="Where WAHA is reached from here, such as http://127.0.0.1:3000."
    )
    hmac_key: FilledSecret | tuple[FilledSecret, ...] = Field(
        description="The key with which WAHA signs webhooks; or several while it is changed."
    )
    api_key: FilledSecret | None = Field(
        None, description="What WAHA wants in X-Api-Key, where it wants anything."
    )
    session: Annotated[str, AfterValidator(_session)] = Field(
        "default", description="The name of the session."
    )
    quote: bool = Field(default=False, description="Show the customer's message above each answer.")
    reactions: bool = Field(
        default=False, description="Take a reaction for a message that says its emoji."
    )
    messages_per_second: float = Field(
        1.0, gt=0, le=1000, description="How many messages a second the telephone may send."
    )
    media_hosts: tuple[str, ...] = Field(
        (), description="Hosts from which files are fetched, beside WAHA itself: an S3 store's."
    )

    @property
    def hmac_keys(self) -> tuple[str, ...]:
        """Every key that may have signed a webhook."""
        several = self.hmac_key if isinstance(self.hmac_key, tuple) else (self.hmac_key,)
        return tuple(key.get_secret_value() for key in several)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must never show."""
        key = () if self.api_key is None else (self.api_key.get_secret_value(),)
        return (*self.hmac_keys, *key)

    @property
    def headers(self) -> dict[str, str]:
        """The header that every call carries."""
        return {} if self.api_key is None else {"X-Api-Key": self.api_key.get_secret_value()}

    @property
    def session_url(self) -> str:
        """The session's own address."""
        return f"{self.base_url}/api/sessions/{self.session}"

    def method(self, name: str) -> str:
        """Give the address of a method."""
        return f"{self.base_url}/api/{name}"
