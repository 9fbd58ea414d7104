"""Signals: what nobody tells and the facts hold all the same, worked out where a rule looks at it.

Each is worked out at the beginning of a reading, once, from the facts and offline; what no rule
looks at costs nothing. A value that is among the facts already is left as it is.
"""

from collections.abc import Callable, Collection
from datetime import date, time
from functools import partial
from typing import Final, TypeAlias

from router.rules import frustration, injection, pii, recall
from router.rules.durations import parse_duration
from router.rules.facts import Facts
from router.rules.fields import find
from router.rules.hours import Hours
from router.rules.operators import LONGEST_WINDOW

Derivation: TypeAlias = Callable[[Facts], object | None]
#: Paths, the kinds of events that have them, and how they are worked out.
Derivations: TypeAlias = tuple[tuple[str, frozenset[str], Derivation], ...]

#: Rules count what was said lately with these, followed by a time.
_COUNTED: Final = ("history.messages", "history.answers", "history.repeats")


def derivations(fields: Collection[str], hours: Hours | None) -> Derivations:
    """Give what has to be worked out for these fields, in their order."""
    found: list[tuple[str, Derivation]] = []
    for path in fields:
        stem, _, window = path.rpartition(".")
        if path in _SIMPLE:
            found.append((path, _SIMPLE[path]))
        elif stem in _COUNTED:
            found.append((path, partial(_counted, stem=stem, window=window)))
        elif hours is not None and path == "clock.open":
            found.append((path, partial(_open, hours=hours)))
        elif hours is not None and path == "clock.holiday":
            found.append((path, partial(_holiday, hours=hours)))
    return tuple((path, _kinds(path), work_out) for path, work_out in found)


def add(known: Derivations, facts: Facts) -> Facts:
    """Give the facts with their signals."""
    if not known:
        return facts
    values = facts.values
    kind = values.get("event.kind", "message")
    return facts.with_(
        {
            path: _worked_out(work_out, facts)
            for path, kinds, work_out in known
            if path not in values and kind in kinds
        }
    )


def _worked_out(work_out: Derivation, facts: Facts) -> object | None:
    """Give a signal; one that cannot be worked out is missing, and guardrails take that badly."""
    try:
        return work_out(facts)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _kinds(path: str) -> frozenset[str]:
    field = find(path)
    return frozenset() if field is None else field.kinds


def remembers(fields: Collection[str]) -> bool:
    """Say whether what was said lately has to be kept for these fields."""
    return "frustration" in fields or any(path.startswith("history.") for path in fields)


def country(facts: Facts) -> str | None:
    """Give the country of the customer's telephone number, if they have one."""
    address = facts.values.get("contact.address")
    return None if address is None else pii.country_of(str(address))


def _pii(facts: Facts) -> frozenset[str] | None:
    text = facts.values.get("text")
    return None if text is None else pii.kinds(text, country(facts))


def _injection(facts: Facts) -> bool | None:
    text = facts.values.get("text")
    return None if text is None else injection.tried(text)


def _frustration(facts: Facts) -> float | None:
    history = facts.history
    repeats = 0 if history is None else history.repeats(LONGEST_WINDOW)
    return frustration.score(facts, repeats)


def _length(facts: Facts) -> int | None:
    text = facts.values.get("turn.text")
    return None if text is None else len(text)


_SIMPLE: Final[dict[str, Derivation]] = {
    "contact.country": country,
    "frustration": _frustration,
    "injection": _injection,
    "pii": _pii,
    "turn.length": _length,
}


#: The signals that a text may show besides those that rules look at.
SIGNALS: Final = frozenset((*_SIMPLE, "clock.open", "clock.holiday"))


def _counted(facts: Facts, *, stem: str, window: str) -> int | None:
    history, length = facts.history, parse_duration(window)
    if history is None or length is None:
        return None
    if stem == "history.repeats":
        return history.repeats(length)
    who = recall.CUSTOMER if stem == "history.messages" else recall.BOT
    return history.count(who, length)


def _open(facts: Facts, *, hours: Hours) -> bool | None:
    day, at = facts.values.get("clock.date"), facts.values.get("clock.time")
    if not isinstance(day, date) or not isinstance(at, time):
        return None
    return hours.open(day, at)


def _holiday(facts: Facts, *, hours: Hours) -> bool | None:
    day = facts.values.get("clock.date")
    return hours.holiday(day) if isinstance(day, date) else None
