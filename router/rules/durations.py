"""Durations as files write them: ``"90s"``, ``"15m"``, ``"24h"``, ``"7d"``."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def parse_duration(text: str) -> timedelta | None:
    """Read ``"90s"``, ``"15m"``, ``"24h"`` or ``"7d"``; ``None`` if it is no duration."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return None
    try:
        return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
    except OverflowError:
        return None


def duration_text(duration: timedelta) -> str:
    """Give a duration as files write it, in the largest unit that is whole: ``90m``."""
    seconds = duration.total_seconds()
    for unit, size in _UNITS:
        if seconds and seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.10g}s"
