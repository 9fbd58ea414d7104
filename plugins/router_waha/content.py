"""What came with a message: files, places and cards."""

import re
from collections.abc import Iterator

from router import plugin
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
_FORMATTED_NAME = re.compile(r"^FN[^:\n]*:(.+)$", re.MULTILINE)


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
    if message.location is not None:
        yield _place(message.location)
    for card in message.vcards or ():
        match = _FORMATTED_NAME.search(card)
        yield plugin.Attachment(kind="contact", name=match[1].strip() if match else None)


def _sort(message: Message) -> str:
    word = message.data.get("type")
    if isinstance(word, str) and word in _SORTS:
        return _SORTS[word]
    for parts in (message.data.get("message"), message.data.get("Message")):
        for name in parts if isinstance(parts, dict) else ():
            if name in _SORTS:
                return _SORTS[name]
    return ""


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
