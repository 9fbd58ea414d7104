"""What is read from the database as values for JSON: what scripts, the socket and pages get."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from router.storage.store import EventRef


def as_values(thing: Any) -> Any:
    """Give a view, or anything made of views, as values for JSON.

    Moments are ISO 8601 in UTC, durations seconds, events ``lane#seq``, enums their words.
    """
    if isinstance(thing, EventRef):
        return str(thing)
    if is_dataclass(thing) and not isinstance(thing, type):
        return {field.name: as_values(getattr(thing, field.name)) for field in fields(thing)}
    if isinstance(thing, datetime):
        return thing.isoformat()
    if isinstance(thing, timedelta):
        return thing.total_seconds()
    if isinstance(thing, Enum):
        return as_values(thing.value)
    if isinstance(thing, Mapping):
        return {str(key): as_values(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple | set | frozenset):
        return [as_values(item) for item in thing]
    return thing
