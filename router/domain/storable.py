r"""Making what a provider or a model sent fit to be stored, whatever it is.

JSON may hold lone surrogates, which are no Unicode text, and NUL, which PostgreSQL takes nowhere.
Both are written as their escapes (``\ud800``, ``\x00``): the message stays readable, and two ids
that differ still differ.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, cast

from router.domain.event import DeliveryReported, MessageEchoed

Value = TypeVar("Value")

#: The longest provider's id that is kept as it is, in characters; an index takes no longer ones.
LONGEST_ID = 500
#: The longest address.
LONGEST_ADDRESS = 500

#: What an index finds our messages by, in events that tell of them.
_LOOKED_UP: Mapping[type, tuple[str, ...]] = {
    DeliveryReported: ("provider_id",),
    MessageEchoed: ("id", "provider_id"),
}
#: What providers number, or leave out, and we keep as text.
_TEXTS: Mapping[type, tuple[str, ...]] = {DeliveryReported: ("code", "reason")}
_AS_THEY_ARE = frozenset({bool, bytes, datetime, float, int, type(None)})


def storable(value: Value) -> Value:
    """Give a value of the domain with every text in it fit to be stored."""
    changed: Any = _clean(value)
    return value if changed is value else changed  # type: ignore[no-any-return]


def storable_event(event: Value) -> Value:
    """Give what a channel found, fit to be stored, and to be looked up by its provider's ids."""
    event = storable(event)
    changes: dict[str, str | None] = {}
    for name in _LOOKED_UP.get(type(event), ()):
        text = getattr(event, name)
        if isinstance(text, str) and len(text) > LONGEST_ID:  # a plugin's value, of any kind
            changes[name] = storable_id(text)
    for name in _TEXTS.get(type(event), ()):
        given = getattr(event, name)
        if not isinstance(given, str | None):
            changes[name] = storable(as_text(given))
    if getattr(event, "text", "") is None:  # beside a file, there may be no text
        changes["text"] = ""
    return replace(cast("Any", event), **changes) if changes else event


def as_text(value: Any) -> str | None:
    """Give a plugin's value that is to be text, if it is anything: a code may come as a number."""
    if value is None or isinstance(value, str):
        return value
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a plugin's value, of any kind
        return None


def storable_id(text: str) -> str:
    """Give a provider's id, or its digest where it is too long for an index."""
    text = _text(text)
    if len(text) <= LONGEST_ID:
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _clean(value: Any) -> Any:
    # Every webhook passes here: the common types are told apart without asking their base classes.
    kind: Any = type(value)
    if kind in _AS_THEY_ARE or not value:
        return value
    if kind is str or isinstance(value, str):
        return _text(value)
    if isinstance(value, tuple):
        items = tuple([_clean(item) for item in value])
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    if isinstance(value, list):
        return [_clean(item) for item in value]
    names = _field_names(kind)
    if names:
        return _dataclass(value, names)
    if isinstance(value, Mapping):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


def _text(text: str) -> str:
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def _dataclass(value: Any, names: tuple[str, ...]) -> Any:
    changes = {}
    for name in names:
        before = getattr(value, name)
        after = _clean(before)
        if after is not before:
            changes[name] = after
    return replace(value, **changes) if changes else value
