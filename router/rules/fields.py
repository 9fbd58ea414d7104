"""What a rule can look at, by the path that rules write.

The reference in ``rules/README.md`` is generated from ``catalogue.py`` and ``operators.py``.
"""

from collections.abc import Mapping
from typing import Final

from router.rules.catalogue import CATALOGUE
from router.rules.operators import (
    DELIVERIES,
    KINDS,
    LONGEST_WINDOW,
    MOST_COUNTED,
    OPERATORS,
    OPERATORS_OF,
    OWNERS,
    PII,
    RISKS,
    STATUSES,
    WEEKDAYS,
    Field,
    Operator,
    Stage,
    Type,
)

__all__ = [
    "DELIVERIES",
    "FIELDS",
    "KINDS",
    "LONGEST_WINDOW",
    "MOST_COUNTED",
    "OPERATORS",
    "OPERATORS_OF",
    "OWNERS",
    "PII",
    "RISKS",
    "STATUSES",
    "WEEKDAYS",
    "Field",
    "Operator",
    "Stage",
    "Type",
    "find",
    "is_prefix",
]

FIELDS: Final[Mapping[str, Field]] = {field.path: field for field in CATALOGUE}

_PREFIXES: Final = frozenset(
    ".".join(parts[:count])
    for parts in (path.split(".") for path in FIELDS)
    for count in range(1, len(parts))
)


def find(path: str) -> Field | None:
    """Give the field at a path, or ``None``. Attributes of any name, and windows, are found."""
    if path in FIELDS:
        return FIELDS[path]
    stem, dot, name = path.rpartition(".")
    if not dot or not name or stem not in _PREFIXES:
        return None
    return FIELDS.get(f"{stem}.NAME") or FIELDS.get(f"{stem}.WINDOW")


def is_prefix(path: str) -> bool:
    """Say whether fields stand below this path."""
    return path in _PREFIXES
