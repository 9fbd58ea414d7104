"""``given`` of a case: the value of any field that a rule can look at, checked by its type."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from router.rules.durations import parse_duration
from router.rules.fields import FIELDS, Field, Stage, Type, find, is_prefix
from router.rules.source import Source
from router.toml import KeyPath, suggest

_TAKES = {
    Type.NUMBER: "a number",
    Type.DURATION: 'a duration such as "90s", "15m", "24h" or "7d"',
    Type.FLAG: "true or false",
    Type.TIME: 'a time such as "22:00"',
    Type.DATE: 'a date such as "2026-12-24"',
}


class Given:
    """Reads the fields of a case.

    :param kind: of the event; it has not every field.
    """

    def __init__(self, source: Source, kind: str) -> None:
        self._source = source
        self._kind = kind
        self._found: dict[str, object] = {}

    def read(self, path: KeyPath, value: object) -> dict[str, object]:
        """Give the values by the paths of their fields, after noting every mistake."""
        self._below("", path, value)
        return self._found

    def _below(self, stem: str, path: KeyPath, value: object) -> None:
        if not isinstance(value, Mapping):
            self._source.wrong(path, stem or "given", "a table of fields", value)
            return
        for key, each in value.items():
            dotted = f"{stem}.{key}" if stem else key
            here = (*path, key)
            field = find(dotted)
            if isinstance(each, Mapping) and is_prefix(dotted):
                self._below(dotted, here, each)
            elif field is None:
                self._unknown(dotted, here)
            elif self._may_state(field, dotted, here):
                fact = self._value(field, dotted, here, each)
                if fact is not None:
                    self._found[dotted] = fact

    def _unknown(self, dotted: str, path: KeyPath) -> None:
        names = [name for name in FIELDS if not name.endswith((".NAME", ".WINDOW"))]
        remedy = suggest(dotted, names) or "The reference in the guide to the rules lists them."
        self._source.problem(path, f'unknown field "{dotted}"', remedy)

    def _may_state(self, field: Field, dotted: str, path: KeyPath) -> bool:
        if field.known is Stage.TRIAGE:
            self._source.problem(
                path, f'"{dotted}" is what the rules make of it', "Leave it out, or expect it."
            )
        elif field.known is not Stage.EVENT:
            self._source.problem(
                path, f'"{dotted}" comes with the answer', "Write answer = { … } for it."
            )
        elif self._kind not in field.kinds:
            kinds = " and ".join(sorted(field.kinds))
            self._source.problem(
                path, f'"{dotted}" exists for {kinds} events only', "Leave it out."
            )
        else:
            return True
        return False

    def _value(self, field: Field, dotted: str, path: KeyPath, value: object) -> Any:
        """Give a value of the field's type; ``None`` after noting what is wrong."""
        if field.type is Type.TEXT:
            if isinstance(value, str):
                return value
            self._source.wrong(path, dotted, "a text", value)
            return None
        if field.type in {Type.WORD, Type.LANGUAGE}:
            word = self._source.string(path, value, dotted)
            return word if word is not None and self._known(field, dotted, word, path) else None
        if field.type in {Type.SET, Type.HOSTS}:
            words = [] if value == [] else self._source.strings(path, value, dotted)
            several = isinstance(value, list)
            good = words is not None and all(
                # Every mistake is told, not only the first.
                [  # noqa: C419
                    self._known(field, dotted, word, (*path, index) if several else path)
                    for index, word in enumerate(words)
                ]
            )
            return frozenset(words or ()) if good else None
        found = _scalar(field.type, value)
        if found is None:
            self._source.wrong(path, dotted, _TAKES[field.type], value)
        return found

    def _known(self, field: Field, dotted: str, word: str, path: KeyPath) -> bool:
        source = self._source
        if field.choices is not None and word not in field.choices:
            remedy = suggest(word, field.choices) or f"It is one of: {', '.join(field.choices)}"
            source.problem(path, f'"{dotted}" is never "{word}"', remedy, part="value")
            return False
        if field.names == "channels" and word not in source.known.names.channels:
            source.unknown(path, "channel", word, source.known.names.channels, "router.toml")
            return False
        if field.names == "categories" and word not in source.known.categories:
            source.unknown_category(path, word)
            return False
        if field.names == "countries":
            return source.is_country(path, word)
        return field.names != "languages" or source.is_language(path, word)


def _scalar(type_: Type, value: object) -> Any:
    if type_ is Type.FLAG:
        return value if isinstance(value, bool) else None
    if type_ is Type.NUMBER:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return value if number else None
    if type_ is Type.DURATION:
        return parse_duration(value) if isinstance(value, str) else None
    try:
        if type_ is Type.TIME:
            moment = time.fromisoformat(value) if isinstance(value, str) else value
            return moment if isinstance(moment, time) and moment.tzinfo is None else None
        day = date.fromisoformat(value) if isinstance(value, str) else value
        return day if isinstance(day, date) and not isinstance(day, datetime) else None
    except ValueError:
        return None
