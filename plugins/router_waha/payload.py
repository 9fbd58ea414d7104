"""The shape of WAHA's webhooks, as far as the channel reads them.

https://waha.devlike.pro/docs/how-to/events. Its engines (WEBJS, NOWEB, GOWS) fill in more or less
of it; whatever else is there is left alone, and a text that is none counts as missing.
"""

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30
    return str(value) if whole else ""


def _degrees(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _mapping(value: Any) -> Any:
    return value if isinstance(value, dict) else {}


Text: TypeAlias = Annotated[str, BeforeValidator(_text)]
Name: TypeAlias = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
Flag: TypeAlias = Annotated[bool, BeforeValidator(lambda value: value is True)]
Degrees: TypeAlias = Annotated[float | None, BeforeValidator(_degrees)]
Loose: TypeAlias = Annotated[dict[str, Any], BeforeValidator(_mapping)]


class Part(BaseModel):
    """Something of WAHA's, of which there may be more than is known."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Media(Part):
    """A file that WAHA fetched."""

    url: Text = ""
    mimetype: Text = ""
    filename: Text = ""


class Place(Part):
    """A place on the map."""

    latitude: Degrees = None
    longitude: Degrees = None
    description: Text = ""
    name: Text = ""
    address: Text = ""


class Earlier(Part):
    """The message that another one answers."""

    id: Text = ""


class Reaction(Part):
    """An emoji below a message; empty where it is taken back."""

    text: Text = ""
    message_id: Text = Field("", alias="messageId")


class Message(Part):
    """What somebody wrote, or how far it got."""

    id: Name
    timestamp: Text = ""
    sender: Text = Field("", alias="from")
    to: Text = ""
    source: Text = ""
    from_me: Flag = Field(False, alias="fromMe")
    body: Text = ""
    has_media: Flag = Field(False, alias="hasMedia")
    media: Media | None = None
    location: Place | None = None
    vcards: tuple[Text, ...] | None = Field(None, alias="vCards")
    reply_to: Earlier | None = Field(None, alias="replyTo")
    reaction: Reaction | None = None
    ack: Text = ""
    ack_name: Text = Field("", alias="ackName")
    data: Loose = Field(default_factory=dict, alias="_data")


class Session(Part):
    """How the session is."""

    name: Text = ""
    status: Text = ""


class Webhook(Part):
    """The whole body."""

    event: Name
    session: Name
    payload: Any = None
