"""What a file is, by its first bytes: the word of whoever sent it is not enough.

Only what customers of a chat send is known here. The longest signature is looked for first, and a
container (ISO media, RIFF, ZIP, Ogg) is told apart by what it says inside.
"""

import re
from typing import Final

#: What nobody can say more about.
UNKNOWN: Final = "application/octet-stream"

_STARTS: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"#!AMR", "audio/amr"),
    (b"fLaC", "audio/flac"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
#: The brand of an ISO media file, which stands behind ``ftyp``.
_BRANDS: Final = (
    (b"M4A", "audio/mp4"),
    (b"M4B", "audio/mp4"),
    (b"qt", "video/quicktime"),
    (b"3g", "video/3gpp"),
    (b"hei", "image/heic"),
    (b"hev", "image/heic"),
    (b"mif1", "image/heic"),
    (b"avif", "image/avif"),
)
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
#: The folder in a ZIP by which a document of an office suite is known.
_FOLDERS: Final = (
    (b"word/", f"{_OFFICE}wordprocessingml.document"),
    (b"xl/", f"{_OFFICE}spreadsheetml.sheet"),
    (b"ppt/", f"{_OFFICE}presentationml.presentation"),
)
_OPEN_DOCUMENT: Final = re.compile(rb"mimetype(application/vnd\.oasis\.opendocument\.[a-z]+)")
#: A frame of MPEG audio: eleven ones, a known version and layer III, or AAC's ADTS.
_MP3_FRAMES: Final = frozenset({0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2})
_ADTS_FRAMES: Final = frozenset({0xF1, 0xF9})
#: How far into a file is looked.
_HEAD: Final = 4096


def content_type_of(data: bytes) -> str:
    """Give the media type of a file by its first bytes; :data:`UNKNOWN` where they do not tell.

    Text has no signature: it is ``text/plain`` if it decodes as UTF-8 and holds no control
    characters but line ends and tabs.
    """
    head = data[:_HEAD]
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    return _container(head) or _audio_frames(head) or _text(data) or UNKNOWN


def agrees(declared: str, found: str) -> bool:
    """Say whether a file may be what its sender calls it.

    The same family will do (a voice note in MP4 is called ``video/mp4`` by some), and a name too
    general to be wrong. A file whose bytes do not tell is believed in nothing but text.
    """
    declared = declared.partition(";")[0].strip().lower()
    if declared in {"", UNKNOWN, "binary/octet-stream", found}:
        return True
    if {declared, found} <= _SAME_BYTES:
        return True
    family, found_family = declared.partition("/")[0], found.partition("/")[0]
    if {family, found_family} == {"audio", "video"}:
        return found in _BOTH
    if family == "text" or declared in _TEXTS:
        return found_family == "text"
    return family == found_family != "application"


#: A ZIP of a kind that is not known is what any of these may look like.
_SAME_BYTES: Final = frozenset({"application/zip", "application/x-zip-compressed"})
#: Containers that hold sound alone as well as pictures.
_BOTH: Final = frozenset({"video/mp4", "video/webm", "video/3gpp", "audio/ogg", "audio/mp4"})
#: Types that are text under another family's name.
_TEXTS: Final = frozenset({"application/json", "application/xml", "application/csv"})


def _container(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return next((kind for start, kind in _BRANDS if brand.startswith(start)), "video/mp4")
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head.startswith(b"OggS"):
        return "video/ogg" if b"theora" in head[:128] else "audio/ogg"
    if head.startswith(b"PK\x03\x04"):
        if document := _OPEN_DOCUMENT.search(head[:128]):
            return document[1].decode("ascii")
        return next((kind for folder, kind in _FOLDERS if folder in head), "application/zip")
    return None


def _audio_frames(head: bytes) -> str | None:
    if len(head) < 2 or head[0] != 0xFF:
        return None
    if head[1] in _MP3_FRAMES:
        return "audio/mpeg"
    return "audio/aac" if head[1] in _ADTS_FRAMES else None


def _text(data: bytes) -> str | None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    plain = text.isprintable() or all(each.isprintable() or each in "\r\n\t" for each in text)
    return "text/plain" if text and plain else None
