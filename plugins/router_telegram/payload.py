"""The shape of Telegram's updates, as far as the channel reads them.

https://core.telegram.org/bots/api#update. Whatever else is in them is left alone, and a text that
is none counts as missing: Telegram adds fields several times a year.
"""

from collections.abc import Iterable
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return value if whole else None


def _degrees(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


Text: TypeAlias = Annotated[str, BeforeValidator(_text)]
Number: TypeAlias = Annotated[int | None, BeforeValidator(_number)]
Id: TypeAlias = Annotated[int, Field(strict=True, gt=-(2**63), lt=2**63)]
Flag: TypeAlias = Annotated[bool, BeforeValidator(lambda value: value is True)]
Degrees: TypeAlias = Annotated[float | None, BeforeValidator(_degrees)]


class Part(BaseModel):
    """Something of Telegram's, of which there may be more than is known."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class User(Part):
    """A person or a bot."""

    id: Number = None
    is_bot: Flag = False
    first_name: Text = ""
    last_name: Text = ""
    username: Text = ""
    language_code: Text = ""


class Chat(Part):
    """Where something was said."""

    id: Id
    type: Text = ""


class File(Part):
    """A file, by its id."""

    file_id: Text = ""
    file_name: Text = ""
    mime_type: Text = ""


class Place(Part):
    """A place on the map."""

    latitude: Degrees = None
    longitude: Degrees = None


class Venue(Part):
    """A place with a name."""

    title: Text = ""
    address: Text = ""


class Card(Part):
    """A card out of somebody's address book, or their own."""

    phone_number: Text = ""
    first_name: Text = ""
    last_name: Text = ""
    user_id: Number = None

    @property
    def name(self) -> str:
        return " ".join(part for part in (self.first_name, self.last_name) if part)


class Earlier(Part):
    """The message that another one answers."""

    message_id: Number = None


class Message(Part):
    """What somebody wrote; of fields that are not read, it keeps that they are there."""

    model_config = ConfigDict(extra="allow", frozen=True)

    message_id: Id
    chat: Chat
    sender: User | None = Field(None, alias="from")
    date: Number = None
    text: Text = ""
    caption: Text = ""
    reply_to_message: Earlier | None = None
    forward_origin: Any = None
    photo: tuple[File, ...] = ()
    voice: File | None = None
    audio: File | None = None
    video: File | None = None
    video_note: File | None = None
    animation: File | None = None
    document: File | None = None
    sticker: File | None = None
    location: Place | None = None
    venue: Venue | None = None
    contact: Card | None = None

    @property
    def others(self) -> Iterable[str]:
        """The names of the fields that are not read."""
        extra = self.model_extra or {}
        return (name for name, value in extra.items() if value is not None)


class Membership(Part):
    """What the bot is in a chat: ``kicked``, once a person has blocked it."""

    status: Text = ""


class Changed(Part):
    """That the bot is something else in a chat now."""

    chat: Chat
    date: Number = None
    new_chat_member: Membership


class Update(Part):
    """The whole body. At most one of the fields is there."""

    update_id: Id
    message: Message | None = None
    edited_message: Message | None = None
    my_chat_member: Changed | None = None
