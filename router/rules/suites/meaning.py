"""What conditions come to, however they are written: equal forms can never be told apart."""

import json
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from router.rules.durations import parse_duration
from router.rules.fields import Type
from router.rules.suites.leaves import Compiler, Leaf, Table, below
from router.rules.text import clean, fold, phrase_words, squeeze

#: Comparable and hashable; nothing else is said of it.
Form: TypeAlias = Any


class Meaning:
    """Gives the form of conditions over the lexicons of a compiler.

    :param guard: a missing value counts as what makes the condition hold.
    """

    def __init__(self, compiler: Compiler, *, guard: bool) -> None:
        self._compiler = compiler
        self._guard = guard

    def of(self, table: Table) -> Form:
        """Give the form of a rule's conditions."""
        members: list[Form] = []
        if "when" in table:
            members += self._table(table["when"], negated=False)
        if "unless" in table:
            members += [("not", each) for each in self._table(table["unless"], negated=True)]
        return _all(members, loose=not self._guard)

    def _table(self, table: Table, *, negated: bool) -> list[Form]:
        loose = not self._guard or negated
        found: list[Form] = []
        for key, value in table.items():
            if key == "unless":
                found += [("not", each) for each in self._table(value, negated=not negated)]
            elif key in {"any", "all"}:
                inner = [_all(self._table(each, negated=negated), loose=loose) for each in value]
                found.append(self._any(inner) if key == "any" else _all(inner, loose=loose))
            else:
                found += [self._leaf(leaf) for leaf in below(key, value, (key,))]
        return found

    def _any(self, members: Iterable[Form]) -> Form:
        """Join phrases that are looked for in the same text; one member is itself."""
        flat: set[Form] = set()
        phrases: dict[str, set[str]] = {}
        for each in members:
            for member in each[1] if each[0] == "any" else [each]:
                if member[0] == "phrases":
                    phrases.setdefault(member[1], set()).update(member[2])
                else:
                    flat.add(member)
        flat |= {("phrases", dotted, self._least(found)) for dotted, found in phrases.items()}
        return next(iter(flat)) if len(flat) == 1 else ("any", frozenset(flat))

    def _leaf(self, leaf: Leaf) -> Form:
        operator, dotted, value = leaf.operator or "equals", leaf.dotted, leaf.value
        several = value if isinstance(value, list) else [value]
        if operator in {"present", "empty"}:
            return (operator, dotted, value)
        if leaf.field.type is Type.TEXT:
            return self._text(leaf, operator, several)
        if leaf.field.type in {Type.NUMBER, Type.DURATION}:
            return _ordered(dotted, operator, several)
        if operator in {"equals", "any_of", "contains"}:
            operator = "in"
        if operator == "between":
            return (operator, dotted, json.dumps(several, default=str))
        return (operator, dotted, frozenset(json.dumps(each, default=str) for each in several))

    def _text(self, leaf: Leaf, operator: str, several: list[str]) -> Form:
        dotted, exact = leaf.dotted, bool(leaf.beside.get("exact"))
        if operator == "lexicon":
            several = [word for name in several for word in self._compiler.lexicons[name]]
        if operator in {"words", "all_words", "lexicon"}:
            if exact:
                found = {phrase_words(each, exact=True) for each in several}
                return ("exact", dotted, operator == "all_words", frozenset(found))
            if operator != "all_words":
                return ("phrases", dotted, self._least(several))
            return ("every phrase", dotted, self._most(several))
        if operator == "matches":
            return (operator, dotted, exact, frozenset(several))
        sought = {squeeze(clean(each) if exact else fold(each)) for each in several}
        if operator == "contains":
            sought = _shortest(sought, lambda part, whole: part in whole)
        elif operator == "starts_with":
            sought = _shortest(sought, lambda part, whole: whole.startswith(part))
        return (operator, dotted, exact, frozenset(sought))

    # Phrases ─────────────────────────────────────────────────────────────────────────────────

    def _least(self, phrases: Collection[str]) -> frozenset[str]:
        """Give the phrases without which something would be missed.

        ``mi pedido`` is found wherever ``dónde está mi pedido`` is.
        """
        return self._pruned(phrases, least=True)

    def _most(self, phrases: Collection[str]) -> frozenset[str]:
        """Give the phrases that are not in the text anyway if the others are."""
        return self._pruned(phrases, least=False)

    def _pruned(self, phrases: Collection[str], *, least: bool) -> frozenset[str]:
        implications = self._compiler.implications
        key = least, frozenset(phrases)
        found = implications.pruned.get(key)
        if found is None:
            found = implications.pruned[key] = self._prune(phrases, least=least)
        return found

    def _prune(self, phrases: Collection[str], *, least: bool) -> frozenset[str]:
        implications = self._compiler.implications
        kept = dict(implications.numbered(each) for each in phrases)
        for number in sorted(kept, key=lambda each: (-len(kept[each]), kept[each])):
            if least:
                # What a phrase implies is little, whatever the lexicon's size.
                implied = implications.of(kept[number])
                needless = any(other != number and other in kept for other in implied)
            else:
                others = (form for other, form in kept.items() if other != number)
                needless = any(number in implications.of(form) for form in others)
            if needless:
                del kept[number]
        return frozenset(kept.values())


def _shortest(sought: set[str], has: Callable[[str, str], bool]) -> set[str]:
    return {
        each for each in sought if not any(other != each and has(other, each) for other in sought)
    }


def _all(members: Iterable[Form], *, loose: bool) -> Form:
    """Join conditions that all have to hold; one is itself.

    :param loose: a condition on a missing value is false, so that whoever looks at a value need
        not ask whether there is one.
    """
    flat: set[Form] = set()
    for each in members:
        flat |= set(each[1]) if each[0] == "all" else {each}
    if loose:
        looked = {
            each[1] for each in flat if len(each) > 2 and each[0] not in {"present", "not", "any"}
        }
        flat -= {("present", dotted, True) for dotted in looked}
    return next(iter(flat)) if len(flat) == 1 else ("all", frozenset(flat))


def _ordered(dotted: str, operator: str, several: list[Any]) -> Form:
    """Give the form of a comparison. Nothing that is counted or measured is ever below zero."""
    limits = [_number(each) for each in several]
    limit = limits[0]
    if (operator == "at_least" and limit <= 0) or (operator == "above" and limit < 0):
        return ("whenever", dotted)
    if (operator == "at_most" and limit < 0) or (operator == "below" and limit <= 0):
        return ("never", dotted)
    return (operator, dotted, tuple(limits))


def _number(value: Any) -> Decimal:
    if isinstance(value, str):
        value = (parse_duration(value) or timedelta(0)).total_seconds()
    return Decimal(repr(value))
