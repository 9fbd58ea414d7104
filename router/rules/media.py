"""Files that the business sends: public addresses, which the provider fetches by itself."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from router.domain.message import Attachment

#: How many files one reply may carry.
MOST: Final = 10
_LONGEST: Final = 2000
_LONGEST_NAME: Final = 100

#: What an address is written with; everything else belongs percent-encoded.
_WRITTEN: Final = re.compile(r"[!#-;=?-\[\]_a-z~]+")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
#: Names that lead nowhere, or into the network of whoever asks.
_INSIDE: Final = frozenset(
    ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa", "test", "invalid")
)

_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
#: What a file is, by how its name ends.
_TYPES: Final[Mapping[str, str]] = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "amr": "audio/amr",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    "3gp": "video/3gpp",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": f"{_OFFICE}wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": f"{_OFFICE}spreadsheetml.sheet",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": f"{_OFFICE}presentationml.presentation",
    "zip": "application/zip",
}
_KINDS: Final = frozenset(("image", "audio", "video"))


def file_at(url: str) -> Attachment:
    """Give the file that a provider is to fetch from an address.

    Nothing is fetched here. What it is follows from how its name ends; ``content_type`` is ``None``
    where that tells nothing.

    :raises ValueError: if no provider could fetch it, or it is nobody's business; in words.
    """
    if len(url) > _LONGEST:
        message = f"an address has {_LONGEST:,} characters at most"
        raise ValueError(message)
    if not _WRITTEN.fullmatch(url):
        message = "spaces, accents and the like belong percent-encoded in an address (%20)"
        raise ValueError(message)
    whole = "write a whole address that begins with https://"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(whole) from None
    if not url.startswith("https://") or not host or port == 0:
        raise ValueError(whole)
    if "@" in parts.netloc:
        message = "the address carries credentials, which would show at the provider"
        raise ValueError(message)
    if not _is_outside(host):
        message = f'"{host}" is not on the public internet, where the provider fetches it'
        raise ValueError(message)
    name = _name(parts.path)
    kind, content_type = _kind(name)
    return Attachment(kind=kind, url=url, content_type=content_type, name=name or None)


def _is_outside(host: str) -> bool:
    """Say whether a name, or an address in numbers, may be one of the public internet."""
    if ":" in host:
        return _is_public(host)
    last = host.rstrip(".").rpartition(".")[2].lower()
    if _NUMERIC.fullmatch(last):
        # Also 127.1 and 0x7f000001 are addresses to whoever fetches; not the usual form, no trust.
        return _is_public(host)
    return "." in host.strip(".") and last not in _INSIDE


def _is_public(address: str) -> bool:
    # The plugin contract brings pydantic with it; rules without files do without.
    from router.plugin.addresses import is_public

    try:
        return is_public(address)
    except ValueError:
        return False


def _name(path: str) -> str:
    name = unquote(path.rpartition("/")[2], errors="replace").replace("/", "_")
    return "".join(each for each in name if each.isprintable()).strip()[-_LONGEST_NAME:]


def _kind(name: str) -> tuple[str, str | None]:
    stem, _, suffix = name.rpartition(".")
    content_type = _TYPES.get(suffix.lower()) if stem else None
    kind = (content_type or "").partition("/")[0]
    return kind if kind in _KINDS else "document", content_type
