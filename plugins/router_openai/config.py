"""The table of an ``openai`` backend."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StrictBool, field_validator

from router import plugin

VENDOR: Final = "https://api.openai.com/v1"


def _sendable(value: plugin.Secret) -> plugin.Secret:
    text = value.get_secret_value()
    if not text or not text.isascii() or not text.isprintable():
        message = "the secret has to be printable ASCII: it is sent as a header"
        raise ValueError(message)
    return value


def _sendable_text(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        message = "a header has to be printable ASCII"
        raise ValueError(message)
    return value


class OpenAIConfig(plugin.PluginConfig):
    """Which server, which model, and how to ask it."""

    model: str = Field(min_length=1, description="The model's name, as the server knows it.")
    base_url: str = Field(
        VENDOR,
        description="The server's address up to, and without, /chat/completions; for most it ends "
        "in /v1.",
    )
    api_key: Annotated[plugin.Secret, AfterValidator(_sendable)] | None = Field(
        None, description="Sent as Authorization: Bearer. Local servers mostly want none."
    )
    headers: Mapping[str, Annotated[str, AfterValidator(_sendable_text)]] = Field(
        default_factory=dict, description="Headers to send with each request."
    )
    secret_headers: Mapping[str, Annotated[plugin.Secret, AfterValidator(_sendable)]] = Field(
        default_factory=dict, description="Headers whose values are secrets."
    )
    temperature: float | None = Field(
        None,
        ge=0,
        le=2,
        description="Left to the server if it is not set; several models refuse any.",
    )
    max_tokens: int | None = Field(
        None,
        ge=1,
        description="The longest answer, in tokens, thoughts included. An answer that does not "
        "fit is never sent. Left to the server if it is not set.",
    )
    max_tokens_parameter: Literal["auto", "max_completion_tokens", "max_tokens"] = Field(
        "auto",
        description="The name under which max_tokens is sent. auto: the current one to OpenAI, "
        "the old one, which compatible servers know, to any other.",
    )
    structured: StrictBool | Literal["auto"] = Field(
        "auto",
        description="Send a JSON schema for the answer as response_format. auto: until the server "
        "refuses it. The model is asked for JSON in words, too, and plain text is understood.",
    )

    vision: StrictBool = Field(
        False, description="The model sees pictures: those of the open turn are sent to it."
    )
    documents: StrictBool = Field(
        False, description="The server takes documents: PDFs of the open turn are sent to it."
    )
    transcription_model: str | None = Field(
        None,
        min_length=1,
        description="The model that writes down voice notes, at /audio/transcriptions. "
        "[media] transcribe names this table.",
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = "write a whole address, such as http://127.0.0.1:8000/v1"
            raise ValueError(message)
        if parts.username is not None or parts.query or parts.fragment:
            message = "leave out user, password, ? and #; secrets go into secret_headers"
            raise ValueError(message)
        path = value.rstrip("/")
        if path.endswith("/chat/completions"):
            message = "leave out /chat/completions, which is added"
            raise ValueError(message)
        return path

    @property
    def is_vendors(self) -> bool:
        """Whether the server is OpenAI's own."""
        host, vendor = urlsplit(self.base_url).hostname or "", urlsplit(VENDOR).hostname or ""
        return host == vendor or host.endswith(f".{vendor}")

    @property
    def length_parameter(self) -> str:
        """The name under which ``max_tokens`` is sent."""
        if self.max_tokens_parameter != "auto":
            return self.max_tokens_parameter
        return "max_completion_tokens" if self.is_vendors else "max_tokens"
