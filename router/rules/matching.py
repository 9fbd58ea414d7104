"""``when`` and ``unless`` as written in a file, checked and compiled to conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router.rules import conditions
from router.rules.comparing import Comparing
from router.rules.conditions import Condition, Needs
from router.rules.durations import duration_text, parse_duration
from router.rules.fields import FIELDS, KINDS, LONGEST_WINDOW, Field, Stage, Type, find, is_prefix
from router.rules.source import Known, Source, last_key
from router.rules.texts import check, looked_at
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
    Type.HOSTS: "contains",
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

    def shows(self, then: object, path: KeyPath) -> None:
        """Note what texts look at that is not known where they are filled in."""
        if isinstance(then, str):
            # Not every text is filled in, so that one which cannot be may be none of these.
            for dotted in sorted(looked_at(then)) if check(then) is None else ():
                if (field := find(dotted)) is not None:
                    self._is_known(field, dotted, path)
        elif isinstance(then, dict | list):
            below = then.items() if isinstance(then, dict) else enumerate(then)
            for key, each in below:
                self.shows(each, (*path, key))

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
                needs = next((each.needs for each in inner if each.needs is not None), None)
                test = conditions.all_of(inner)
                members.append(Condition(test, f"({text})", fields, needs=needs))
            else:
                members += inner
        if not members:
            return []
        test = conditions.any_of(members) if key == "any" else conditions.all_of(members)
        text = "; ".join(each.text for each in members)
        needs = _needed(members, every=key == "all")
        return [Condition(test, f"{key} of [{text}]", _fields(members), needs=needs)]

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
                found += self._compared(
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
        return self._compared(field, dotted, operator, value, path, exact=False, negated=negated)

    def _compared(
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
        if field.path == "event.kind" and not negated and not self._may_be(operator, value, path):
            return []
        # In a guardrail a missing value is what makes it hold: true, and false inside `unless`.
        missing = self.guard and not negated
        comparing = Comparing(self.source)
        return comparing.condition(
            field, dotted, operator, value, path, exact=exact, missing=missing
        )

    def _may_be(self, operator: str, value: object, path: KeyPath) -> bool:
        """Note kinds of events that the rule is not read for at all."""
        stated = value if isinstance(value, list) else [value]
        named = [each for each in stated if each in KINDS]
        if operator not in {"equals", "any_of"} or not named or len(named) < len(stated):
            return True
        if not self.kinds.isdisjoint(named):
            return True
        self.source.problem(
            path,
            f"this is read for {' and '.join(sorted(self.kinds))} events only",
            f'Add on = "{named[0]}" in place of the condition.',
            part="value",
        )
        return False

    def _unknown_field(self, dotted: str, path: KeyPath) -> None:
        stem, dot, _ = dotted.rpartition(".")
        near = [name for name in FIELDS if name.startswith(f"{stem}.")] if dot else []
        names = [name for name in FIELDS if not name.endswith((".NAME", ".WINDOW"))]
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
        if not self._is_known(field, dotted, path) or not self._is_produced(field, dotted, path):
            return False
        self._known.fields.add(dotted)
        return True

    def _is_known(self, field: Field, dotted: str, path: KeyPath) -> bool:
        """Note a field that has no value yet, or never has one where this is read."""
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
        return True

    def _is_produced(self, field: Field, dotted: str, path: KeyPath) -> bool:
        """Note a field whose value depends on what the files do not say."""
        if field.path.endswith(".WINDOW"):
            window = dotted.rpartition(".")[2]
            length = parse_duration(window)
            if length is None or not length or length > LONGEST_WINDOW:
                stem = dotted.rpartition(".")[0]
                self.source.problem(
                    path,
                    f'"{window}" is no time that {stem} looks back',
                    f"Write {stem}.10m, or any duration up to {duration_text(LONGEST_WINDOW)}.",
                )
                return False
        hours = self._known.hours
        if dotted == "clock.open" and hours is None:
            self.source.problem(
                path,
                "no [hours] says when the business is open",
                'Add hours.mon-fri = "09:00-18:00".',
            )
            return False
        if dotted == "clock.holiday" and (hours is None or not hours.regions):
            self.source.problem(
                path, "no [hours] says whose holidays are kept", 'Add hours.holidays = "CO".'
            )
            return False
        return True


def _is_text(field: Field | None) -> bool:
    return field is not None and field.type is Type.TEXT


def _fields(members: list[Condition]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for each in members for path in each.fields))


def _needed(members: Sequence[Condition], *, every: bool) -> Needs | None:
    """Give what a group needs: of ``all`` what any member does, of ``any`` what each one does."""
    needs = [each.needs for each in members if each.needs is not None]
    if every:
        return needs[0] if needs else None
    if len(needs) < len(members):
        return None
    return tuple(each for needed in needs for each in needed)
