"""The shape of Meta's webhooks, as far as the channel reads them.

https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/payload-examples. Whatever else is
in them is left alone, and a text or a part that is none counts as missing: Meta adds fields without
notice, and what one message holds must not cost its words, or another message.
"""

from typing import Annotated, Any, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import PydanticUseDefault


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


def _amount(value: Any) -> str:
    return f"{value:.15g}" if isinstance(value, float) else _text(value)


def _objects(value: Any) -> list[Any]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


Text: TypeAlias = Annotated[str, BeforeValidator(_text)]
Name: TypeAlias = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
Flag: TypeAlias = Annotated[bool, BeforeValidator(lambda value: value is True)]
Degrees: TypeAlias = Annotated[float | None, BeforeValidator(_degrees)]
Amount: TypeAlias = Annotated[str, BeforeValidator(_amount)]
Objects = BeforeValidator(_objects)


class Frame(BaseModel):
    """What Meta wraps things in, of which there may be more than is known."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Part(Frame):
    """A thing in it. What is not of its shape counts as missing, if it may be missing."""

    @field_validator("*", mode="wrap")
    @classmethod
    def _or_missing(cls, value: Any, read: ValidatorFunctionWrapHandler) -> Any:
        try:
            return read(value)
        except ValidationError:
            raise PydanticUseDefault from None


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
    phones: Annotated[tuple[Telephone, ...], Objects] = ()

    @property
    def line(self) -> str:
        """The card in words: a name, and the numbers."""
        return ", ".join(
            filter(None, (self.name.formatted_name, *(it.phone for it in self.phones)))
        )


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


class Product(Part):
    """Something out of a catalogue, and how much of it is ordered."""

    catalog_id: Text = ""
    product_retailer_id: Text = ""
    quantity: Amount = ""
    item_price: Amount = ""
    currency: Text = ""


class Order(Part):
    """Goods out of a catalogue."""

    catalog_id: Text = ""
    text: Text = ""
    product_items: Annotated[tuple[Product, ...], Objects] = ()


class Context(Part):
    """What a message answers, or asks about, or that it was forwarded."""

    id: Text = ""
    referred_product: Product | None = None
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


class Edit(Part):
    """What a message says since its sender changed it: the same without who, when and where."""

    message: dict[str, Any] = {}


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
    contacts: Annotated[tuple[Card, ...], Objects] = ()
    button: Button | None = None
    interactive: Interactive | None = None
    reaction: Reaction | None = None
    order: Order | None = None
    edit: Edit | None = None
    context: Context | None = None
    referral: Referral | None = None
    errors: Annotated[tuple[Problem, ...], Objects] = ()


class Status(Part):
    """How far a message got."""

    id: Name
    status: Name
    timestamp: Text = ""
    recipient_id: Text = ""
    recipient_type: Text = ""
    recipient_user_id: Text = ""
    recipient_parent_user_id: Text = ""
    biz_opaque_callback_data: Text = ""
    errors: Annotated[tuple[Problem, ...], Objects] = ()


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


class Value(Frame):
    """What a change says. Each thing in it is read by itself."""

    metadata: Metadata = Metadata()
    contacts: Annotated[tuple[Contact, ...], Objects] = ()
    messages: tuple[Any, ...] = ()
    message_echoes: tuple[Any, ...] = ()
    statuses: tuple[Any, ...] = ()
    user_preferences: tuple[Any, ...] = ()


class Change(Frame):
    """One thing that happened."""

    field: Text = ""
    value: Any = None


class Entry(Frame):
    """What happened to one account."""

    changes: tuple[Change, ...] = ()


class Webhook(Frame):
    """The whole body."""

    object: Text = ""
    entry: tuple[Entry, ...]
