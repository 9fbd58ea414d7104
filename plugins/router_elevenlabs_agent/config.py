"""The table of an ``elevenlabs_agent`` backend."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlencode, urlsplit

from pydantic import AfterValidator, Field, field_validator

from router import plugin

VENDOR: Final = "https://api.elevenlabs.io"
_VENDORS_DOMAIN: Final = ".elevenlabs.io"

#: What may be overridden, each only where the agent's security settings allow it.
Override = Literal["text_only", "first_message", "language", "prompt"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_RESERVED: Final = ("system__", "secret__")


def _sendable(value: plugin.Secret) -> plugin.Secret:
    text = value.get_secret_value()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        message = "the key has to be printable ASCII without spaces: it is sent as a header"
        raise ValueError(message)
    return value


class ElevenLabsAgentConfig(plugin.PluginConfig):
    """Which agent, and how to talk with it."""

    agent_id: str = Field(
        pattern=r"^[A-Za-z0-9_-]+$", description="The agent, as ElevenLabs names it: agent_…"
    )
    api_key: Annotated[plugin.Secret, AfterValidator(_sendable)] | None = Field(
        None, description="Asks for a signed address. A public agent needs none."
    )
    base_url: str = Field(
        VENDOR,
        description="The server's address; a region's is another one, such as "
        "https://api.eu.residency.elevenlabs.io.",
    )
    overrides: tuple[Override, ...] = Field(
        ("text_only",),
        description="What is overridden in each conversation. Each has to be allowed in the "
        "agent's security settings; one that is not ends the conversation.",
    )
    variables: Mapping[str, str] = Field(
        default_factory=dict,
        description="More dynamic variables, as they are. They win over those of the router.",
    )
    start_timeout: plugin.Duration = Field(
        10.0, gt=0, description="How long the agent may take until it begins to listen."
    )
    answer_timeout: plugin.Duration = Field(
        25.0,
        gt=0,
        description="How long it may take for an answer; its model has 20 seconds. The table's "
        "timeout is the limit of everything together.",
    )
    greeting_wait: plugin.Duration = Field(
        2.0,
        ge=0,
        description="How long to wait for the agent's first message, which is no answer and is "
        "dropped. 0s where it has none.",
    )
    settle: plugin.Duration = Field(
        1.0,
        gt=0,
        description="How long to wait after an answer for a correction, or for what the agent "
        "says after it used a tool.",
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = f"write a whole address, such as {VENDOR}"
            raise ValueError(message)
        if parts.username is not None or parts.query or parts.fragment:
            message = "leave out user, password, ? and #"
            raise ValueError(message)
        return value.rstrip("/")

    @field_validator("variables")
    @classmethod
    def _are_variables(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name in value:
            if not _NAME.fullmatch(name):
                message = f"{name!r} cannot name a variable. Use letters, digits and underscores"
                raise ValueError(message)
            if name.startswith(_RESERVED):
                message = (
                    f"{name!r}: names that begin with system__ or secret__ are ElevenLabs' own"
                )
                raise ValueError(message)
        return value

    @property
    def host(self) -> str:
        """The server's name."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def public_address(self) -> str:
        """Where a public agent listens."""
        scheme, _, rest = self.base_url.partition("://")
        query = urlencode({"agent_id": self.agent_id})
        scheme = "wss" if scheme == "https" else "ws"
        return f"{scheme}://{rest}/v1/convai/conversation?{query}"

    def trusts(self, address: str) -> bool:
        """Say whether a signed address leads where the configured server is.

        Whoever named it was asked over a checked connection; it may all the same only name its own
        host, or another one of ElevenLabs'.
        """
        try:
            given, own = urlsplit(address), urlsplit(self.base_url)
            ports = given.port, own.port
        except ValueError:
            return False
        if own.scheme == "http":
            return given.scheme == "ws" and given.hostname == own.hostname and ports[0] == ports[1]
        if given.scheme != "wss" or given.username is not None:
            return False
        if given.hostname == own.hostname:
            return (ports[0] or 443) == (ports[1] or 443)
        vendors = [
            (name or "").endswith(_VENDORS_DOMAIN) for name in (given.hostname, own.hostname)
        ]
        return all(vendors) and ports[0] in (None, 443)
