"""Webhook requests that somebody saved: as raw HTTP, or as JSON of one form or another."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

#: Larger files are no captured webhook, in bytes.
LONGEST: Final = 16 << 20

#: So many of several requests are looked at.
_MOST: Final = 1000

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True, kw_only=True)
class Capture:
    """A request as it was saved.

    :param target: what stood in the request line: a path with its query, or a whole address.
    :param headers: names lower case; a repeated header is joined with ``", "``.
    :param received_at: when it came in; ``None`` where the file does not tell.
    :param notes: what is odd about the file, in sentences.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    received_at: datetime | None = None
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path, as sent."""
        return self._parts[0]

    @property
    def query(self) -> str:
        """The query, as sent, without its question mark."""
        return self._parts[1]

    @property
    def _parts(self) -> tuple[str, str]:
        target = self.target.partition("#")[0]
        if "://" in target.partition("?")[0]:
            target = "/" + target.partition("://")[2].partition("/")[2]
        path, _, query = target.partition("?")
        return path, query

    @property
    def origin(self) -> str | None:
        """``https://host:port`` of the address, where it is a whole one."""
        try:
            parts = urlsplit(self.target)
        except ValueError:  # such as half a pair of brackets
            return None
        return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else None


def read_capture(data: bytes) -> Capture:
    """Read a saved request.

    Understood: raw HTTP/1 as a proxy or tunnel saves it; JSON with ``method``, ``url``,
    ``headers`` and ``body`` (or ``body_base64``); what ngrok's inspector gives; a HAR file. Of
    several requests the first is read that was posted to a webhook.

    :raises ValueError: saying what is missing.
    """
    if len(data) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST >> 20} MiB")
    text = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text:
        raise ValueError("it is empty")
    if text.startswith((b"{", b"[")):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("it begins like JSON, and is none") from None
        return _of_json(value)
    return _of_http(text)


# Raw HTTP ─────────────────────────────────────────────────────────────────────────────────────


def _of_http(data: bytes) -> Capture:
    head, separator, body = _split(data)
    line, *rest = head.decode("latin-1").replace("\r\n", "\n").split("\n")
    words = line.split(" ")
    if len(words) < 2 or words[0] not in _METHODS:
        raise ValueError(
            'its first line is no request: it begins with, say, "POST /hooks/whatsapp HTTP/1.1"'
        )
    pairs = []
    for row in rest:
        name, colon, value = row.partition(":")
        if colon and name.strip():
            pairs.append((name, value.strip()))
    headers = _joined(pairs)
    return _whole(words[0], words[1], headers, body, ended=bool(separator))


def _split(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Give head, blank line and body, whichever line ends the file has."""
    found = [(at, end) for end in (b"\r\n\r\n", b"\n\n") if (at := data.find(end)) >= 0]
    if not found:
        return data, b"", b""
    at, end = min(found)
    return data[:at], end, data[at + len(end) :]


def _whole(
    method: str, target: str, headers: dict[str, str], body: bytes, *, ended: bool = True
) -> Capture:
    """Bring the body to the length that it was sent with."""
    notes = [] if ended or method in ("GET", "HEAD") else ["No blank line ends its headers."]
    if "chunked" in headers.get("transfer-encoding", "").lower():
        plain = _without_chunks(body)
        body = body if plain is None else plain
    length = headers.get("content-length", "")
    if length.isdecimal() and len(body) != int(length):
        said = int(length)
        if len(body) > said and not body[said:].strip():
            body = body[:said]  # an editor ended the file with a line end
        else:
            notes.append(
                f"Its Content-Length says {said} bytes, and its body has {len(body)}: it was not "
                "saved as it came."
            )
    return Capture(method=method, target=target, headers=headers, body=body, notes=tuple(notes))


def _without_chunks(body: bytes) -> bytes | None:
    """Give a body without the marks of its chunks; ``None`` where it has none any more."""
    found, rest = b"", body
    while True:
        size, separator, rest = rest.partition(b"\r\n")
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            return None
        if not separator or length > len(rest):
            return None
        if length == 0:
            return found
        found, rest = found + rest[:length], rest[length:].removeprefix(b"\r\n")


# JSON ─────────────────────────────────────────────────────────────────────────────────────────


def _of_json(value: Any) -> Capture:
    if isinstance(value, list):
        return _of_several(value)
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - the file is wrong, not the code
    if isinstance(value.get("requests"), list):  # ngrok: a list of them
        return _of_several(value["requests"])
    entries = value["log"].get("entries") if isinstance(value.get("log"), dict) else None
    if isinstance(entries, list):  # HAR
        return _of_several(entries)
    request = value.get("request")
    given = request if isinstance(request, dict) else value
    came = next(
        (value[key] for key in ("received_at", "start", "startedDateTime") if key in value), None
    )
    capture = _of_raw(given) or _of_fields(given)
    return Capture(
        method=capture.method,
        target=capture.target,
        headers=capture.headers,
        body=capture.body,
        received_at=_moment(came),
        notes=capture.notes,
    )


def _of_several(values: Sequence[Any]) -> Capture:
    """Read the first that was posted to a webhook; if there is none, the first."""
    if not values:
        raise ValueError("it is an empty list")
    first: Capture | ValueError | None = None
    for value in values[:_MOST]:
        try:
            if not isinstance(value, dict):
                raise ValueError("it is no JSON object")  # noqa: TRY004 - as below
            found: Capture | ValueError = _of_json(value)
        except ValueError as error:
            found = error
        if isinstance(found, Capture) and found.method == "POST" and "/hooks/" in found.path:
            return found
        first = found if first is None else first
    if isinstance(first, Capture):
        return first
    raise first or ValueError("it is no JSON object")


def _of_raw(given: Mapping[str, Any]) -> Capture | None:
    """Read the whole request in base64, as ngrok has it."""
    raw = given.get("raw")
    if not isinstance(raw, str):
        return None
    try:
        return _of_http(base64.b64decode(raw, validate=True))
    except (ValueError, binascii.Error):
        return None


def _of_fields(given: Mapping[str, Any]) -> Capture:
    target = next((given[key] for key in ("url", "uri", "path") if given.get(key)), None)
    if not isinstance(target, str):
        raise ValueError('it has no "url"')  # noqa: TRY004 - as above
    method = given.get("method", "POST")
    if not isinstance(method, str) or method.upper() not in _METHODS:
        raise ValueError('its "method" is none')
    headers = _joined(_pairs(given.get("headers", {})))
    return _whole(method.upper(), target, headers, _body(given))


def _pairs(headers: Any) -> list[tuple[str, str]]:
    """Read headers: an object of texts or lists, a list of pairs, or a list of objects."""
    found: list[tuple[str, str]] = []
    if isinstance(headers, dict):
        for name, value in headers.items():
            several = value if isinstance(value, list) else [value]
            found += [(str(name), str(one)) for one in several]
        return found
    for each in headers if isinstance(headers, list) else []:
        if isinstance(each, dict) and "name" in each and "value" in each:
            found.append((str(each["name"]), str(each["value"])))
        elif isinstance(each, list) and len(each) == 2:
            found.append((str(each[0]), str(each[1])))
    if not found and headers:
        raise ValueError('its "headers" are neither an object nor a list of pairs')
    return found


def _body(given: Mapping[str, Any]) -> bytes:
    encoded = given.get("body_base64")
    body = given.get("body")
    if body is None and isinstance(given.get("postData"), dict):
        post: Mapping[str, Any] = given["postData"]
        body = post.get("text")
        encoded = body if post.get("encoding") == "base64" else encoded
    if given.get("encoding") == "base64" and encoded is None:
        encoded = body
    if isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise ValueError("its body is no base64") from None
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    raise ValueError('its "body" is no text: what was signed is every character of it')


def _joined(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw, value in pairs:
        name = raw.strip().lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
