"""One operator on one field, as written in a file, checked and compiled to a condition."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

from router.rules import conditions
from router.rules.conditions import Condition, Needs, Test, shown
from router.rules.durations import parse_duration
from router.rules.fields import MOST_COUNTED, Field, Type
from router.rules.source import Known, Source
from router.rules.text import Pattern, phrase_words
from router.toml import KeyPath, suggest


@dataclass(slots=True)
class Comparing:
    """Reads what stands behind a field's name in the conditions of one rule or guardrail."""

    source: Source
    _needs: Needs | None = field(default=None, init=False)

    @property
    def known(self) -> Known:
        """What is defined, in the files and outside them."""
        return self.source.known

    def condition(
        self,
        field: Field,
        dotted: str,
        operator: str,
        value: object,
        path: KeyPath,
        *,
        exact: bool,
        missing: bool,
    ) -> list[Condition]:
        """Give the condition, or nothing after noting what is wrong with it.

        :param missing: whether it holds where there is no value.
        """
        called = f"{dotted}.{operator}"
        if operator in {"present", "empty"}:
            wanted = self.source.flag(path, value, called)
            if wanted is None:
                return []
            test = (
                conditions.present(dotted, wanted=wanted)
                if operator == "present"
                else conditions.empty(dotted, field.type, wanted=wanted, missing=missing)
            )
        elif field.type is Type.TEXT:
            made = self._text(dotted, operator, value, path, exact=exact, missing=missing)
            if made is None:
                return []
            test = made
        elif field.type is Type.HOSTS or operator == "outside":
            words = self._words(field, operator, value, path, called)
            if words is None:
                return []
            if field.type is Type.HOSTS:
                test = conditions.hosts(dotted, operator, words, missing=missing)
            else:
                test = conditions.outside(dotted, words, missing=missing)
        elif field.type in {Type.WORD, Type.LANGUAGE, Type.SET}:
            words = self._words(field, operator, value, path, called)
            if words is None:
                return []
            match = {
                Type.WORD: conditions.one_of,
                Type.LANGUAGE: conditions.language_of,
                Type.SET: conditions.members,
            }[field.type]
            test = match(dotted, words, wants=operator != "none_of", missing=missing)
        elif field.type is Type.FLAG:
            wanted = self.source.flag(path, value, called)
            if wanted is None:
                return []
            test = conditions.one_of(dotted, [wanted], wants=True, missing=missing)
        else:
            made = self._ordered(field, dotted, operator, value, path, missing=missing)
            if made is None:
                return []
            test = made
        suffix = " exact" if exact else ""
        text = f"{called}{suffix} = {_brief(value)}"
        needs = None if missing else self._needs
        self._needs = None
        return [Condition(test, text, (dotted,), needs=needs)]

    def _words(
        self, field: Field, operator: str, value: object, path: KeyPath, called: str
    ) -> Collection[str] | None:
        if operator == "contains":
            word = self.source.string(path, value, called)
            return [word] if word is not None and self._is_known(field, word, path) else None
        if operator in {"any_of", "none_of", "outside"} and not isinstance(value, list):
            self.source.wrong(path, called, "a list of texts", value)
            return None
        words = self.source.strings(path, value, called)
        if words is None:
            return None
        places = [(*path, i) if isinstance(value, list) else path for i in range(len(words))]
        good = [self._is_known(field, w, p) for w, p in zip(words, places, strict=True)]
        return words if all(good) else None

    def _is_known(self, field: Field, word: str, path: KeyPath) -> bool:
        names = self.known.names
        if field.choices is not None and word not in field.choices:
            remedy = suggest(word, field.choices) or f"It is one of: {', '.join(field.choices)}"
            self.source.problem(path, f'"{field.path}" is never "{word}"', remedy, part="value")
            return False
        if field.names == "channels" and word not in names.channels:
            self.source.unknown(path, "channel", word, names.channels, "router.toml")
            return False
        if field.names == "categories" and word not in self.known.categories:
            self.source.unknown_category(path, word)
            return False
        if field.names == "countries":
            return self.source.is_country(path, word)
        return field.names != "languages" or self.source.is_language(path, word)

    def _text(
        self,
        dotted: str,
        operator: str,
        value: object,
        path: KeyPath,
        *,
        exact: bool,
        missing: bool,
    ) -> Test | None:
        wanted = self.source.strings(path, value, f"{dotted}.{operator}")
        if wanted is None:
            return None
        places = [(*path, i) if isinstance(value, list) else path for i in range(len(wanted))]
        if operator in {"contains", "equals", "starts_with"}:
            for text, place in zip(wanted, places, strict=True):
                if not conditions.sought(text, exact=exact):
                    self.source.problem(
                        place,
                        f'nothing of "{text}" is compared: accents and what cannot be seen are '
                        "left out",
                        "Add exact = true, which keeps them.",
                        part="value",
                    )
                    return None
            return conditions.compared(dotted, operator, wanted, exact=exact, missing=missing)
        if operator == "matches":
            return self._matches(dotted, wanted, places, exact=exact, missing=missing)
        if operator == "lexicon":
            phrases: list[str] = []
            for name, place in zip(wanted, places, strict=True):
                if name not in self.known.lexicons:
                    lexicons = self.known.lexicons
                    self.source.unknown(place, "lexicon", name, lexicons, "the rules files")
                    return None
                phrases += self.known.lexicons[name]
        else:
            phrases = wanted
            for phrase, place in zip(wanted, places, strict=True):
                if phrase_words(phrase) is None:
                    self.source.problem(
                        place,
                        f'"{phrase}" has no word in it',
                        f"Use {dotted}.contains for signs.",
                        part="value",
                    )
                    return None
        every = operator == "all_words"
        if exact:
            return conditions.exact_phrases(dotted, phrases, every=every, missing=missing)
        numbers = [n for each in phrases if (n := self.known.phrases.add(each)) is not None]
        # Of phrases that all have to be there, any one will do to tell that they are not.
        self._needs = ((dotted, frozenset(numbers[:1] if every else numbers)),)
        make = conditions.all_phrases if every else conditions.phrases
        return make(dotted, numbers, self.known.phrases, missing=missing)

    def _matches(
        self,
        dotted: str,
        wanted: list[str],
        places: list[KeyPath],
        *,
        exact: bool,
        missing: bool,
    ) -> Test | None:
        patterns: list[Pattern] = []
        for source, place in zip(wanted, places, strict=True):
            try:
                patterns.append(Pattern(source, exact=exact))
            except ValueError as error:
                self.source.problem(
                    place,
                    f"not a regular expression: {error}",
                    "Patterns are RE2's: no look-around, no back-references.",
                    part="value",
                )
                return None
        return conditions.matches(dotted, patterns, exact=exact, missing=missing)

    def _ordered(
        self,
        field: Field,
        dotted: str,
        operator: str,
        value: object,
        path: KeyPath,
        *,
        missing: bool,
    ) -> Test | None:
        called = f"{dotted}.{operator}"
        if operator == "between":
            if not isinstance(value, list) or len(value) != 2:
                self.source.problem(path, f'"{called}" takes a list of two values', part="value")
                return None
            low, high = (self._scalar(field, v, (*path, i), called) for i, v in enumerate(value))
            if low is None or high is None:
                return None
            if low > high and field.type is not Type.TIME:
                self.source.problem(
                    path,
                    f'"{called}" never holds: {shown(value[0])} comes after {shown(value[1])}',
                    "Swap the two.",
                    part="value",
                )
                return None
            if low == high and field.type is Type.TIME:
                self.source.problem(
                    path,
                    f'"{called}" never holds: it ends where it begins',
                    "For the whole day, leave it out.",
                    part="value",
                )
                return None
            return conditions.between(dotted, low, high, missing=missing)
        if operator in {"any_of", "none_of"}:
            if not isinstance(value, list) or not value:
                self.source.problem(path, f'"{called}" takes a list', part="value")
                return None
            found = [self._scalar(field, v, (*path, i), called) for i, v in enumerate(value)]
            if None in found:
                return None
            return conditions.one_of(dotted, found, wants=operator == "any_of", missing=missing)
        limit = self._scalar(field, value, path, called)
        if limit is None or not self._may_count(dotted, operator, limit, path):
            return None
        return conditions.ordered(dotted, operator, limit, missing=missing)

    def _may_count(self, dotted: str, operator: str, limit: Any, path: KeyPath) -> bool:
        """Note a count that is never reached: so much is not remembered."""
        if not dotted.startswith("history.") or operator == "below":
            return True
        if limit > MOST_COUNTED or (limit == MOST_COUNTED and operator == "above"):
            self.source.problem(
                path,
                f'"{dotted}.{operator}" never holds: no more than {MOST_COUNTED} are counted',
                f"Write {MOST_COUNTED} or less; count within a shorter time.",
                part="value",
            )
            return False
        return True

    def _scalar(self, field: Field, value: object, path: KeyPath, called: str) -> Any:
        """Give one number, duration, time or date, or ``None`` after noting what is wrong."""
        if field.type is Type.NUMBER:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            low, high = field.bounds or (-math.inf, math.inf)
            if number and low <= float(value) <= high:  # type: ignore[arg-type]
                return value
            takes = "a number" if field.bounds is None else f"a number from {low:g} to {high:g}"
            if number and not math.isnan(float(value)):  # type: ignore[arg-type]
                message = f'"{called}" takes {takes}, not {shown(value)}'
                self.source.problem(path, message, part="value")
                return None
        elif field.type is Type.DURATION:
            if isinstance(value, str) and (duration := parse_duration(value)) is not None:
                return duration
            takes = 'a duration such as "90s", "15m", "24h" or "7d"'
        elif field.type is Type.TIME:
            if (moment := _time(value)) is not None:
                return moment
            takes = 'a time such as "22:00"'
        else:
            if (day := _date(value)) is not None:
                return day
            takes = 'a date such as "2026-12-24"'
        seen = shown(value) if isinstance(value, str) else None
        if seen is None:
            self.source.wrong(path, called, takes, value)
        else:
            self.source.problem(path, f'"{called}" takes {takes}, not {seen}', part="value")
        return None


def _time(value: object) -> time | None:
    if isinstance(value, str):
        try:
            value = time.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, time) and value.tzinfo is None else None


def _date(value: object) -> date | None:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, date) and not isinstance(value, datetime) else None


def _brief(value: object) -> str:
    """Give a value as a condition states it; long ones are cut, every trace repeats them."""
    if isinstance(value, list) and len(value) > 4:
        return f"{_brief(value[:3])[:-1]}, … {len(value) - 3} more]"
    text = shown(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
