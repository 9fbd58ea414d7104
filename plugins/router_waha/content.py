"""What is in a message: words, files, places and cards."""

from collections.abc import Iterator, Mapping
from typing import Any

from router import plugin
from router_waha.cards import Card, cards_in, read, vcards_in
from router_waha.payload import Message, Place

# How the engines call the sort of a message: by a word, or by the name of the part that is there.
_SORTS = {
    "image": "image",
    "ptt": "audio",
    "audio": "audio",
    "video": "video",
    "document": "document",
    "sticker": "sticker",
    "imageMessage": "image",
    "audioMessage": "audio",
    "videoMessage": "video",
    "ptvMessage": "video",
    "documentMessage": "document",
    "documentWithCaptionMessage": "document",
    "stickerMessage": "sticker",
}
_GROUPS = frozenset({"image", "video", "audio"})
_CARDS = ("contactMessage", "contactsArrayMessage")
_PLACES = ("locationMessage", "liveLocationMessage")

#: How a JPEG begins in base64: the picture of a map, which one engine has in place of words.
_PICTURE = "/9j/"


def parts_of(message: Message) -> Mapping[str, Any]:
    """Give WhatsApp's own parts of a message by name, where the engine tells them."""
    for name in ("message", "Message"):
        parts = message.data.get(name)
        if isinstance(parts, dict) and parts:
            return parts
    return {}


def text_of(message: Message) -> str:
    """Give the words of a message, and its cards, which nobody would see else, a line each."""
    words = message.body
    if vcards_in(words) or (words.startswith(_PICTURE) and _place_of(message) is not None):
        words = ""
    return "\n".join(filter(None, (words, *(card.line for card in _cards(message)))))


def attachments_of(message: Message) -> tuple[plugin.Attachment, ...]:
    """Give what came with a message. A file that WAHA did not fetch has no address."""
    return tuple(_attachments(message))


def _attachments(message: Message) -> Iterator[plugin.Attachment]:
    media = message.media
    if media is not None:
        yield plugin.Attachment(
            kind=_sort(message) or _kind(media.mimetype),
            url=media.url if media.url.startswith(("http://", "https://")) else None,
            content_type=media.mimetype or None,
            name=media.filename or None,
        )
    elif message.has_media:
        yield plugin.Attachment(kind=_sort(message) or "document")
    place = _place_of(message)
    if place is not None:
        yield _place(place)
    for card in _cards(message):
        yield plugin.Attachment(kind="contact", name=card.name or None)


def _cards(message: Message) -> Iterator[Card]:
    vcards = max(vcards_in(message.body), message.vcards or (), key=len)
    if vcards:
        yield from map(read, vcards)
        return
    parts = parts_of(message)
    for name in _CARDS:
        yield from cards_in(parts.get(name))


def _place_of(message: Message) -> Place | None:
    """Give the place in a message, from wherever the engine has it."""
    place, parts = message.location, parts_of(message)
    if place is not None and place.latitude is not None:
        return place
    for name in _PLACES:
        part = parts.get(name)
        if isinstance(part, dict):
            latitude, longitude = part.get("degreesLatitude"), part.get("degreesLongitude")
            return Place.model_validate({**part, "latitude": latitude, "longitude": longitude})
    return place


def _sort(message: Message) -> str:
    word = message.data.get("type")
    if isinstance(word, str) and word in _SORTS:
        return _SORTS[word]
    return next((_SORTS[name] for name in parts_of(message) if name in _SORTS), "")


def _kind(declared: str) -> str:
    group = declared.partition("/")[0].strip().lower()
    return group if group in _GROUPS else "document"


def _place(place: Place) -> plugin.Attachment:
    latitude, longitude = place.latitude, place.longitude
    name = place.name or place.description or place.address or None
    # Also no number at all fails both comparisons.
    somewhere = (
        latitude is not None
        and longitude is not None
        and -90 <= latitude <= 90
        and -180 <= longitude <= 180
    )
    if not somewhere:
        return plugin.Attachment(kind="location", name=name)
    return plugin.Attachment(kind="location", name=name, latitude=latitude, longitude=longitude)
