"""Conditions: one operator on one field, or a group of them, compiled to a closure."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import Any, TypeAlias

from router.rules.durations import duration_text
from router.rules.facts import Facts
from router.rules.fields import Type
from router.rules.text import Pattern, PhraseSet, clean, fold, phrase_words, squeeze, words

Test: TypeAlias = Callable[[Facts], bool]
#: Fields with numbers of phrases, one of which has to be in the field's text.
Needs: TypeAlias = tuple[tuple[str, frozenset[int]], ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that holds or does not.

    :param test: whether it holds; a missing value has its answer compiled in.
    :param text: how a rule states it, for people.
    :param fields: the fields that it looks at.
    :param negated: it comes from ``unless``.
    :param needs: it cannot hold unless a phrase of one of these is there; ``None`` where it may
        hold without any phrase. A hint for skipping rules; never wrong, often ``None``.
    """

    test: Test = field(compare=False)
    text: str
    fields: tuple[str, ...]
    negated: bool = False
    needs: Needs | None = field(default=None, compare=False)


def all_of(conditions: Sequence[Condition], *, negated: bool = False) -> Test:
    """Give whether all of them hold, or, negated, whether not all of them do."""
    tests = tuple(condition.test for condition in conditions)
    if len(tests) == 1:
        only = tests[0]
        return (lambda facts: not only(facts)) if negated else only

    def test(facts: Facts) -> bool:
        for each in tests:
            if not each(facts):
                return negated
        return not negated

    return test


def any_of(conditions: Sequence[Condition], *, negated: bool = False) -> Test:
    """Give whether any of them holds, or, negated, whether none of them does."""
    tests = tuple(condition.test for condition in conditions)

    def test(facts: Facts) -> bool:
        for each in tests:
            if each(facts):
                return not negated
        return negated

    return test


# Presence ─────────────────────────────────────────────────────────────────────────────────────


def present(path: str, *, wanted: bool) -> Test:
    """Hold if there is a value at all, or if there is none. Never short of a value itself."""
    return lambda facts: (path in facts.values) is wanted


def empty(path: str, type_: Type, *, wanted: bool, missing: bool) -> Test:
    """Hold if there is nothing in a text or set."""

    def test(facts: Facts) -> bool:
        value = facts.folded(path) if type_ is Type.TEXT else facts.values.get(path)
        if value is None:
            return missing
        return (not value) is wanted

    return test


# Texts ────────────────────────────────────────────────────────────────────────────────────────


def phrases(path: str, numbers: Collection[int], set_: PhraseSet, *, missing: bool) -> Test:
    """Hold if any of the numbered phrases is in the text."""
    wanted, key = frozenset(numbers), set_.key(path)

    def test(facts: Facts) -> bool:
        hits = facts.found.get(key)
        if hits is None:
            hits = facts.hits(path, set_)
        return missing if hits is None else not wanted.isdisjoint(hits)

    return test


def all_phrases(path: str, numbers: Collection[int], set_: PhraseSet, *, missing: bool) -> Test:
    """Hold if all of the numbered phrases are in the text."""
    wanted, key = frozenset(numbers), set_.key(path)

    def test(facts: Facts) -> bool:
        hits = facts.found.get(key)
        if hits is None:
            hits = facts.hits(path, set_)
        return missing if hits is None else wanted <= hits

    return test


def exact_phrases(path: str, wanted: Sequence[str], *, every: bool, missing: bool) -> Test:
    """Hold if any, or every, phrase is in the text with its case and accents."""
    spaced = [found for phrase in wanted if (found := phrase_words(phrase, exact=True))]
    quantifier: Callable[[Any], bool] = all if every else any

    def test(facts: Facts) -> bool:
        value = facts.values.get(path)
        if value is None:
            return missing
        text = words(clean(str(value)))
        return quantifier(phrase in text for phrase in spaced)

    return test


_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "equals": lambda text, whole: text == whole,
    "starts_with": lambda text, start: text.startswith(start),
}


def sought(text: str, *, exact: bool) -> str:
    """Give what is looked for where a rule states this text."""
    return squeeze(clean(text) if exact else fold(text))


def compared(
    path: str, operator: str, wanted: Sequence[str], *, exact: bool, missing: bool
) -> Test:
    """Hold if the text contains, equals or starts with any of these."""
    compare = _COMPARE[operator]
    parts = [sought(each, exact=exact) for each in wanted]

    def test(facts: Facts) -> bool:
        text = facts.folded(path)
        if text is None:
            return missing
        if exact:
            text = squeeze(clean(str(facts.get(path))))
        return any(compare(text, each) for each in parts)

    return test


def matches(path: str, patterns: Sequence[Pattern], *, exact: bool, missing: bool) -> Test:
    """Hold if any of the patterns is found in the text."""
    found = tuple(pattern.found for pattern in patterns)

    def test(facts: Facts) -> bool:
        text = facts.plain(path)
        if text is None:
            return missing
        if exact:
            text = clean(str(facts.values[path]))
        return any(search(text) for search in found)

    return test


# Words and languages ──────────────────────────────────────────────────────────────────────────


def one_of(path: str, wanted: Collection[Any], *, wants: bool, missing: bool) -> Test:
    """Hold if the value is one of these, or if it is none of them."""
    values = frozenset(wanted)

    def test(facts: Facts) -> bool:
        value = facts.values.get(path)
        return missing if value is None else (value in values) is wants

    return test


def language_of(path: str, wanted: Collection[str], *, wants: bool, missing: bool) -> Test:
    """Hold if the language is one of these; ``pt`` fits ``pt-BR``, not the other way round."""
    tags = frozenset(tag.casefold() for tag in wanted)

    def test(facts: Facts) -> bool:
        value = facts.values.get(path)
        if value is None:
            return missing
        tag = str(value).casefold()
        return (tag in tags or tag.split("-")[0] in tags) is wants

    return test


# Sets ─────────────────────────────────────────────────────────────────────────────────────────


def members(path: str, wanted: Collection[str], *, wants: bool, missing: bool) -> Test:
    """Hold if the set has any of these, or if it has none of them."""
    values = frozenset(wanted)

    def test(facts: Facts) -> bool:
        value = facts.values.get(path)
        if value is None:
            return missing
        return (not values.isdisjoint(value)) is wants

    return test


def outside(path: str, wanted: Collection[str], *, missing: bool) -> Test:
    """Hold if the set has a member that is none of these."""
    values = frozenset(wanted)

    def test(facts: Facts) -> bool:
        value = facts.values.get(path)
        return missing if value is None else not values.issuperset(value)

    return test


def hosts(path: str, operator: str, wanted: Collection[str], *, missing: bool) -> Test:
    """Hold if some host is one of these or below one, if none is, or if one is outside them."""
    names = tuple(name.casefold().removeprefix("www.") for name in wanted)

    def inside(host: str) -> bool:
        return any(host == name or host.endswith(f".{name}") for name in names)

    def test(facts: Facts) -> bool:
        value = facts.values.get(path)
        if value is None:
            return missing
        if operator == "outside":
            return not all(map(inside, value))
        return any(map(inside, value)) is (operator != "none_of")

    return test


# Order ────────────────────────────────────────────────────────────────────────────────────────

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "above": lambda value, limit: value > limit,
    "below": lambda value, limit: value < limit,
    "at_least": lambda value, limit: value >= limit,
    "at_most": lambda value, limit: value <= limit,
    "equals": lambda value, limit: value == limit,
}


def ordered(path: str, operator: str, limit: Any, *, missing: bool) -> Test:
    """Hold if a number, duration, time or date is above, below … a limit."""
    compare = _ORDER[operator]

    def test(facts: Facts) -> bool:
        value = facts.values.get(path)
        return missing if value is None else compare(value, limit)

    return test


def between(path: str, low: Any, high: Any, *, missing: bool) -> Test:
    """Hold if a value is in between, ends included; a time may lie across midnight."""

    def test(facts: Facts) -> bool:
        value = facts.values.get(path)
        if value is None:
            return missing
        return bool(low <= value <= high)

    def of_day(facts: Facts) -> bool:
        value = facts.values.get(path)
        if value is None:
            return missing
        if low <= high:
            return bool(low <= value < high)
        return bool(value >= low or value < high)

    return of_day if isinstance(low, time) else test


def shown(value: object) -> str:
    """Give a value as a rule or a trace states it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, timedelta):
        return f'"{duration_text(value)}"'
    if isinstance(value, time):
        return f'"{value:%H:%M}"'
    if isinstance(value, date):
        return f'"{value.isoformat()}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(shown(each) for each in value)}]"
    if isinstance(value, set | frozenset):
        return f"[{', '.join(shown(each) for each in sorted(value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
