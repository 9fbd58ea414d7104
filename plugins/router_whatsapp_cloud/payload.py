"""The shape of Meta's webhooks, as far as the channel reads them.

https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/payload-examples. Whatever else is
in them is left alone, and a text that is none counts as missing: Meta adds fields without notice.
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


Text: TypeAlias = Annotated[str, BeforeValidator(_text)]
Name: TypeAlias = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
Flag: TypeAlias = Annotated[bool, BeforeValidator(lambda value: value is True)]
Degrees: TypeAlias = Annotated[float | None, BeforeValidator(_degrees)]


class Part(BaseModel):
    """Something of Meta's, of which there may be more than is known."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Profile(Part):
    """What a customer calls themselves."""

    name: Text = ""
    username: Text = ""


class Contact(Part):
    """Who is behind an address."""

    profile: Profile = Profile()
    wa_id: Text = ""
    user_id: Text = ""
    parent_user_id: Text = ""


class Body(Part):
    """The words of a text."""

    body: Text = ""


class File(Part):
    """A file, by its id."""

    id: Text = ""
    mime_type: Text = ""
    filename: Text = ""
    caption: Text = ""


class Place(Part):
    """A place on the map."""

    latitude: Degrees = None
    longitude: Degrees = None
    name: Text = ""
    address: Text = ""


class Telephone(Part):
    """A number on a card."""

    phone: Text = ""
    wa_id: Text = ""


class CardName(Part):
    """The name on a card."""

    formatted_name: Text = ""


class Card(Part):
    """A card out of somebody's address book."""

    name: CardName = CardName()
    phones: tuple[Telephone, ...] = ()


class Button(Part):
    """A tap on a template's button."""

    text: Text = ""
    payload: Text = ""


class Choice(Part):
    """A tap on a button or a list."""

    id: Text = ""
    title: Text = ""


class Form(Part):
    """A form that was filled in."""

    name: Text = ""
    body: Text = ""
    response_json: Text = ""


class Interactive(Part):
    """A tap on something that is no template."""

    button_reply: Choice | None = None
    list_reply: Choice | None = None
    nfm_reply: Form | None = None


class Reaction(Part):
    """An emoji below a message; empty where it is taken back."""

    message_id: Text = ""
    emoji: Text = ""


class Order(Part):
    """Goods out of a catalogue."""

    catalog_id: Text = ""
    text: Text = ""


class Context(Part):
    """What a message answers, or that it was forwarded."""

    id: Text = ""
    forwarded: Flag = False
    frequently_forwarded: Flag = False


class Referral(Part):
    """The advertisement from which somebody wrote."""

    source_url: Text = ""
    source_type: Text = ""
    source_id: Text = ""
    headline: Text = ""
    body: Text = ""
    media_type: Text = ""
    image_url: Text = ""
    video_url: Text = ""
    thumbnail_url: Text = ""
    ctwa_clid: Text = ""


class Details(Part):
    """Meta's longest words for a problem."""

    details: Text = ""


class Problem(Part):
    """What went wrong, in a report or in the answer to a call."""

    code: Text = ""
    title: Text = ""
    message: Text = ""
    error_data: Details = Details()

    @property
    def said(self) -> str:
        return self.error_data.details or self.message or self.title


class Message(Part):
    """What somebody wrote: a customer, or in an echo the business."""

    id: Name
    sender: Text = Field("", alias="from")
    from_user_id: Text = ""
    from_parent_user_id: Text = ""
    to: Text = ""
    to_user_id: Text = ""
    to_parent_user_id: Text = ""
    group_id: Text = ""
    timestamp: Text = ""
    type: Text = ""
    text: Body = Body()
    image: File | None = None
    audio: File | None = None
    voice: File | None = None
    video: File | None = None
    document: File | None = None
    sticker: File | None = None
    location: Place | None = None
    contacts: tuple[Card, ...] = ()
    button: Button | None = None
    interactive: Interactive | None = None
    reaction: Reaction | None = None
    order: Order | None = None
    context: Context | None = None
    referral: Referral | None = None
    errors: tuple[Problem, ...] = ()


class Status(Part):
    """How far a message got."""

    id: Name
    status: Name
    timestamp: Text = ""
    recipient_id: Text = ""
    recipient_user_id: Text = ""
    recipient_parent_user_id: Text = ""
    biz_opaque_callback_data: Text = ""
    errors: tuple[Problem, ...] = ()


class Preference(Part):
    """What somebody wants to hear of the business."""

    wa_id: Text = ""
    user_id: Text = ""
    category: Text = ""
    value: Text = ""
    timestamp: Text = ""


class Metadata(Part):
    """Which number a change is about."""

    phone_number_id: Text = ""


class Value(Part):
    """What a change says."""

    metadata: Metadata = Metadata()
    contacts: tuple[Contact, ...] = ()
    messages: tuple[Message, ...] = ()
    statuses: tuple[Status, ...] = ()
    message_echoes: tuple[Message, ...] = ()
    user_preferences: tuple[Preference, ...] = ()


class Change(Part):
    """One thing that happened."""

    field: Text = ""
    value: Any = None


class Entry(Part):
    """What happened to one account."""

    changes: tuple[Change, ...] = ()


class Webhook(Part):
    """The whole body."""

    object: Text = ""
    entry: tuple[Entry, ...]
