"""Looking for a value where accounts do not agree on its place."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

#: The first second that is a millisecond instead: the year 2286.
_MILLISECONDS = 10**10


def at(document: object, path: str) -> Any:
    """Give what stands at a dotted path, or ``None``."""
    for name in path.split("."):
        if not isinstance(document, Mapping):
            return None
        document = document.get(name)
    return document


def texts_at(document: object, *paths: str) -> Iterator[str]:
    """Give the texts and whole numbers that stand at the paths, without the empty ones."""
    for path in paths:
        value = at(document, path)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30:
            yield str(value)
        elif isinstance(value, str) and value.strip():
            yield value


def text_at(document: object, *paths: str) -> str:
    """Give the first text or whole number that stands at one of the paths; else nothing."""
    return next(texts_at(document, *paths), "")


def moment_at(document: object, *paths: str) -> datetime | None:
    """Give the first point in time, in seconds or milliseconds since 1970."""
    text = text_at(document, *paths).partition(".")[0]
    if not text.isascii() or not text.isdigit() or len(text) > 13:
        return None
    seconds = int(text) / 1000 if int(text) >= _MILLISECONDS else int(text)
    return datetime.fromtimestamp(seconds, UTC)


def number_at(document: object, *paths: str) -> float | None:
    """Give the first number, also where it is written as a text."""
    for path in paths:
        value = at(document, path)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except (ValueError, OverflowError):
                continue
    return None
