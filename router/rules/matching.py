"""``when`` and ``unless`` as written in a file, checked and compiled to conditions."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from router.rules import conditions
from router.rules.conditions import Condition, Test, shown
from router.rules.fields import FIELDS, Field, Stage, Type, find, is_prefix
from router.rules.source import Known, Source, last_key, parse_duration
from router.rules.text import Pattern, phrase_words
from router.toml import KeyPath, suggest

#: How deep ``any``, ``all`` and ``unless`` may be nested.
DEPTH = 4

_GROUPS = ("any", "all", "unless")
_STAGES = tuple(Stage)
_NOT_YET = {
    Stage.TRIAGE: "is set by the rules, after the input guardrails",
    Stage.CLASSIFIED: "is known only once a model classified the turn",
    Stage.ANSWER: "is known only once a backend answered",
}
#: What a field's value is when no operator is written.
_PLAIN = {
    Type.TEXT: "equals",
    Type.WORD: "equals",
    Type.LANGUAGE: "equals",
    Type.NUMBER: "equals",
    Type.FLAG: "equals",
    Type.SET: "contains",
    Type.DATE: "equals",
}


@dataclass(slots=True)
class Matching:
    """Reads the conditions of one rule or guardrail.

    :param known_until: values that are known later may not be looked at.
    :param kinds: the kinds of events that the rule is read for.
    :param guard: a missing value counts as what makes a guardrail hold; in triage it is false.
    """

    source: Source
    known_until: Stage
    kinds: frozenset[str]
    guard: bool

    def read(self, table: Mapping[str, Any], path: KeyPath) -> tuple[Condition, ...]:
        """Give the conditions of a rule, all of which must hold."""
        found: list[Condition] = []
        if "when" in table:
            found += self._table(table["when"], (*path, "when"), 0, negated=False)
        if "unless" in table:
            found += self._unless(table["unless"], (*path, "unless"), 0, negated=False)
        return tuple(found)

    @property
    def _known(self) -> Known:
        return self.source.known

    def _unless(
        self, value: object, path: KeyPath, depth: int, *, negated: bool
    ) -> list[Condition]:
        inner = self._table(value, path, depth, negated=not negated)
        return [
            Condition(
                conditions.all_of([each], negated=True),
                f"unless {each.text}",
                each.fields,
                negated=True,
            )
            for each in inner
        ]

    def _table(self, value: object, path: KeyPath, depth: int, *, negated: bool) -> list[Condition]:
        if not isinstance(value, dict):
            self.source.wrong(path, last_key(path), "a table of conditions", value)
            return []
        if not value:
            self.source.problem(
                path, f'"{last_key(path)}" states no condition', "Add one, or leave it out."
            )
        if depth > DEPTH:
            self.source.problem(
                path,
                f"conditions are nested deeper than {DEPTH}",
                "Split the rule, or put words into a lexicon.",
            )
            return []
        found: list[Condition] = []
        for key, each in value.items():
            here = (*path, key)
            if key == "unless":
                found += self._unless(each, here, depth + 1, negated=negated)
            elif key in {"any", "all"}:
                found += self._group(key, each, here, depth, negated=negated)
            elif key == "expr":
                self.source.problem(
                    here,
                    '"expr" is reserved; there is no expression language',
                    "State the condition as FIELD.OPERATOR = value.",
                )
            else:
                found += self._below(key, each, here, negated=negated)
        return found

    def _group(
        self, key: str, value: object, path: KeyPath, depth: int, *, negated: bool
    ) -> list[Condition]:
        if value == []:
            self.source.problem(path, f'"{key}" is empty', "Add a condition, or leave it out.")
        members: list[Condition] = []
        for here, table in self.source.tables(path, value):
            inner = self._table(table, here, depth + 1, negated=negated)
            if len(inner) > 1:
                text = " and ".join(each.text for each in inner)
                fields = _fields(inner)
                members.append(Condition(conditions.all_of(inner), f"({text})", fields))
            else:
                members += inner
        if not members:
            return []
        test = conditions.any_of(members) if key == "any" else conditions.all_of(members)
        text = "; ".join(each.text for each in members)
        return [Condition(test, f"{key} of [{text}]", _fields(members))]

    def _below(
        self, dotted: str, value: object, path: KeyPath, *, negated: bool
    ) -> list[Condition]:
        """Read what stands below a field's name, or below the beginning of one."""
        field = find(dotted)
        if field is None and not is_prefix(dotted):
            self._unknown_field(dotted, path)
            return []
        if not isinstance(value, dict):
            if field is None:
                self._unknown_field(dotted, path)
                return []
            return self._plain(field, dotted, value, path, negated=negated)
        found: list[Condition] = []
        exact = False
        if field is not None and field.type is Type.TEXT and "exact" in value:
            exact = bool(self.source.flag((*path, "exact"), value["exact"]))
        operators = [key for key in value if not (key == "exact" and _is_text(field))]
        if not operators:
            self.source.problem(path, f'"{dotted}" states no condition', "Add an operator.")
        for key in operators:
            here, below = (*path, key), f"{dotted}.{key}"
            if find(below) is not None or is_prefix(below):
                found += self._below(below, value[key], here, negated=negated)
            elif field is None:
                self._unknown_field(below, here)
            elif key not in field.operators:
                self._unknown_operator(field, dotted, key, here)
            elif self._may_look(field, dotted, path):
                found += self._one(
                    field, dotted, key, value[key], here, exact=exact, negated=negated
                )
        return found

    def _plain(
        self, field: Field, dotted: str, value: object, path: KeyPath, *, negated: bool
    ) -> list[Condition]:
        operator = _PLAIN.get(field.type)
        if operator is None:
            self.source.problem(
                path,
                f'"{dotted}" needs an operator',
                f"Write {dotted}.OPERATOR = …",
                notes=[f"{dotted} understands: {', '.join(field.operators)}"],
            )
            return []
        if not self._may_look(field, dotted, path):
            return []
        return self._one(field, dotted, operator, value, path, exact=False, negated=negated)

    def _unknown_field(self, dotted: str, path: KeyPath) -> None:
        stem, dot, _ = dotted.rpartition(".")
        near = [name for name in FIELDS if name.startswith(f"{stem}.")] if dot else []
        names = [name for name in FIELDS if not name.endswith(".NAME")]
        depth = dotted.count(".") + 1
        alike = {".".join(name.split(".")[:depth]) for name in names}
        remedy = suggest(dotted, [*alike, *_GROUPS]) or suggest(dotted, names)
        notes = [f"{stem} has: {', '.join(sorted(n[len(stem) + 1 :] for n in near))}"]
        self.source.problem(path, f'unknown field "{dotted}"', remedy, notes=notes if near else ())

    def _unknown_operator(self, field: Field, dotted: str, key: str, path: KeyPath) -> None:
        self.source.problem(
            path,
            f'unknown operator "{key}" for {dotted}',
            suggest(key, field.operators),
            notes=[f"{dotted} understands: {', '.join(field.operators)}"],
        )

    def _may_look(self, field: Field, dotted: str, path: KeyPath) -> bool:
        if _STAGES.index(field.known) > _STAGES.index(self.known_until):
            where = "answer guardrail" if field.known is Stage.ANSWER else "rule"
            self.source.problem(
                path,
                f'"{dotted}" {_NOT_YET[field.known]}',
                'Look at it in a guardrail with stage = "answer".'
                if where == "answer guardrail"
                else "Look at it in a rule.",
            )
            return False
        if not field.kinds & self.kinds:
            kinds = sorted(field.kinds)
            self.source.problem(
                path,
                f'"{dotted}" exists for {" and ".join(kinds)} events only',
                f'Add on = "{kinds[0]}".',
            )
            return False
        self._known.fields.add(dotted)
        return True

    # One operator ────────────────────────────────────────────────────────────────────────────

    def _one(
        self,
        field: Field,
        dotted: str,
        operator: str,
        value: object,
        path: KeyPath,
        *,
        exact: bool,
        negated: bool,
    ) -> list[Condition]:
        # In a guardrail a missing value is what makes it hold: true, and false inside `unless`.
        missing = self.guard and not negated
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
        return [Condition(test, f"{called}{suffix} = {_brief(value)}", (dotted,))]

    def _words(
        self, field: Field, operator: str, value: object, path: KeyPath, called: str
    ) -> Collection[str] | None:
        if operator == "contains":
            word = self.source.string(path, value, called)
            return None if word is None else [word]
        if operator in {"any_of", "none_of"} and not isinstance(value, list):
            self.source.wrong(path, called, "a list of texts", value)
            return None
        words = self.source.strings(path, value, called)
        if words is None:
            return None
        places = [(*path, i) if isinstance(value, list) else path for i in range(len(words))]
        good = [self._is_known(field, w, p) for w, p in zip(words, places, strict=True)]
        return words if all(good) else None

    def _is_known(self, field: Field, word: str, path: KeyPath) -> bool:
        names = self._known.names
        if field.choices is not None and word not in field.choices:
            remedy = suggest(word, field.choices) or f"It is one of: {', '.join(field.choices)}"
            self.source.problem(path, f'"{field.path}" is never "{word}"', remedy, part="value")
            return False
        if field.names == "channels" and word not in names.channels:
            self.source.unknown(path, "channel", word, names.channels, "router.toml")
            return False
        if field.names == "categories" and word not in self._known.categories:
            self.source.unknown_category(path, word)
            return False
        if field.names == "languages" and not self.source.serves(word):
            self.source.unknown_language(path, word)
            return False
        return True

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
            return conditions.compared(dotted, operator, wanted, exact=exact, missing=missing)
        if operator == "matches":
            return self._matches(dotted, wanted, places, exact=exact, missing=missing)
        if operator == "lexicon":
            phrases: list[str] = []
            for name, place in zip(wanted, places, strict=True):
                if name not in self._known.lexicons:
                    lexicons = self._known.lexicons
                    self.source.unknown(place, "lexicon", name, lexicons, "the rules files")
                    return None
                phrases += self._known.lexicons[name]
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
        numbers = [n for each in phrases if (n := self._known.phrases.add(each)) is not None]
        make = conditions.all_phrases if every else conditions.phrases
        return make(dotted, numbers, self._known.phrases, missing=missing)

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
        if limit is None:
            return None
        return conditions.ordered(dotted, operator, limit, missing=missing)

    def _scalar(self, field: Field, value: object, path: KeyPath, called: str) -> Any:
        """Give one number, duration, time or date, or ``None`` after noting what is wrong."""
        if field.type is Type.NUMBER:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and not math.isnan(float(value)):  # type: ignore[arg-type]
                return value
            takes = "a number"
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


def _is_text(field: Field | None) -> bool:
    return field is not None and field.type is Type.TEXT


def _fields(members: list[Condition]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for each in members for path in each.fields))


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
