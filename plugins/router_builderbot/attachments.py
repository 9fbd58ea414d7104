"""What came with a message: files, places and cards."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from router import plugin
from router_builderbot.fields import at, number_at, text_at

#: BuilderBot puts such a token in place of a text that is none: a kind, and a number of its own.
TOKEN = re.compile(r"_event_([a-z]+(?:_[a-z]+)*)__[0-9A-Za-z-]{8,}")

_KINDS = {
    "voice_note": "audio",
    "audio": "audio",
    "image": "image",
    "video": "video",
    "document": "document",
    "location": "location",
    "contacts": "contact",
    "sticker": "sticker",
}

#: How WhatsApp's own form of a message calls its parts, where the account passes that on.
_PARTS = {
    "imageMessage": "image",
    "videoMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
    "contactMessage": "contact",
    "locationMessage": "location",
}

_GROUPS = frozenset({"image", "video", "audio"})


def part_of(data: Mapping[str, Any]) -> tuple[str, object]:
    """Give the kind of WhatsApp's own part of a message, and that part; nothing for a text."""
    message = at(data, "message")
    for name, kind in _PARTS.items():
        part = at(message, name)
        if isinstance(part, Mapping):
            return kind, part
    return "", None


def attachments_of(data: Mapping[str, Any], word: str) -> tuple[plugin.Attachment, ...]:
    """Give what came with a message.

    :param word: the kind that BuilderBot's token in place of the text names; empty for a text.
    """
    part_kind, part = part_of(data)
    stated = part_kind or _KINDS.get(word, "")
    if place := _place(data, part if part_kind == "location" else None, stated):
        return (place,)
    found = tuple(_files(data, part, stated))
    if found:
        return found
    if not (word or part_kind):
        return ()
    # It is there, and nobody says where. Rules and people have to know all the same.
    name = text_at(part, "fileName", "displayName", "name") or None
    kind = stated or ("image" if word == "media" else word)
    return (plugin.Attachment(kind=kind, content_type=_type_of(part), name=name),)


def _files(data: Mapping[str, Any], part: object, stated: str) -> Iterator[plugin.Attachment]:
    listed = at(data, "attachment")
    entries = listed if isinstance(listed, list) else [listed]
    if not any(_url(entry) for entry in entries):
        entries = [at(data, "urlTempFile")]
    seen = set()
    for entry in entries:
        url = _url(entry)
        if url is None or url in seen:
            continue
        seen.add(url)
        declared = text_at(entry, "mimetype", "mimeType", "type") or _type_of(part)
        name = text_at(entry, "filename", "fileName", "name") or text_at(part, "fileName")
        yield plugin.Attachment(
            kind=stated or _kind(declared), url=url, content_type=declared, name=name or None
        )


def _url(entry: object) -> str | None:
    text = entry if isinstance(entry, str) else text_at(entry, "url")
    return text if text.startswith(("https://", "http://")) else None


def _type_of(part: object) -> str | None:
    return text_at(part, "mimetype") or None


def _kind(declared: str | None) -> str:
    group = (declared or "").partition("/")[0].strip().lower()
    if group in _GROUPS:
        return group
    # What BuilderBot calls media and says no more about is a picture, as often as not.
    return "document" if declared else "image"


def _place(data: Mapping[str, Any], part: object, stated: str) -> plugin.Attachment | None:
    if stated != "location":
        return None
    latitude = number_at({"a": part, "b": data}, "a.degreesLatitude", "b.latitude")
    longitude = number_at({"a": part, "b": data}, "a.degreesLongitude", "b.longitude")
    if latitude is None or longitude is None:
        return None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    name = text_at(part, "name", "address") or None
    return plugin.Attachment(kind="location", name=name, latitude=latitude, longitude=longitude)
