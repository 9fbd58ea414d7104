"""Files of cases, read and checked: suites, or every problem at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from router.errors import ConfigError
from router.rules.examples import INPUTS, read_inputs
from router.rules.model import Example
from router.rules.policy import Policy
from router.rules.source import Known, Source
from router.rules.suites.expecting import Expecting
from router.rules.suites.given import Given
from router.rules.suites.model import Case, Exemption, Subject, Suite
from router.rules.suites.subjects import Subjects
from router.toml import Document, KeyPath, Part, Problem, load, suggest

_TABLES: Final = ("rules", "tenant", "policy", "common", "case", "equivalent")
_COMMON: Final = (*(key for key in INPUTS if key not in {"say", "event"}), "given")
_CASE: Final = ("name", *INPUTS, "given", "expect")
_ABOVE: Final = frozenset({"rules", "tenant", "policy", "common"})
_EQUIVALENT: Final = ("mutant", "because")
_POLICY: Final = (
    "mode",
    "autopilot_categories",
    "confidence_threshold",
    "review_fixed_texts",
    "while_owned",
    "language",
)


def load_suites(files: Sequence[Path], subjects: Subjects) -> tuple[Suite, ...]:
    """Read files of cases.

    :raises ConfigError: with every problem of all files and of the rules that they name, each
        once.
    """
    problems: list[Problem] = []
    suites: list[Suite] = []
    for path in files:
        try:
            suite = read_suite(load(path), path, subjects, problems)
        except ConfigError as error:
            problems += [each for each in error.problems if isinstance(each, Problem)]
        else:
            if suite is not None:
                suites.append(suite)
    if problems:
        # Several suites may name the same rules.
        told = list({str(problem): problem for problem in problems}.values())
        order = {str(path): number for number, path in enumerate(files)}
        told.sort(key=lambda each: (order.get(str(each.path), -1), each.line, each.column))
        raise ConfigError(told)
    return tuple(suites)


def examples_of(subjects: Iterable[Subject]) -> tuple[Suite, ...]:
    """Give the examples of rules files as suites, each file once."""
    suites: dict[str, Suite] = {}
    for subject in subjects:
        cases: dict[str, list[Case]] = {}
        for example in subject.rules.examples:
            file = str(example.place.document.path)
            if file not in suites:
                cases.setdefault(file, []).append(_case_of(example, subject.policy))
        for file, found in cases.items():
            suites[file] = Suite(path=Path(file), subject=subject, cases=tuple(found))
    return tuple(suites.values())


def _case_of(example: Example, policy: Policy) -> Case:
    facts = example.facts
    expect: dict[str, Any] = {
        key: (value,) if key in {"rule", "reply"} else value
        for key, value in example.expect.items()
    }
    return Case(
        name=_name(facts),
        facts=facts,
        answer=example.answer,
        expect=expect,
        policy=policy,
        place=example.place,
    )


def _name(facts: Mapping[str, object]) -> str:
    said = " ".join(str(facts.get("text") or "").split())
    return said or str(facts.get("event.kind", "message"))


def read_suite(
    document: Document, path: Path, subjects: Subjects, problems: list[Problem]
) -> Suite | None:
    """Read one file of cases; ``None`` after noting why its rules cannot be told.

    :raises ConfigError: if the rules that it names have mistakes.
    """
    outer = Source(document, Known(next(iter(subjects.tenants.values())).names), problems)
    subject = _subject(outer, path, subjects)
    if subject is None:
        return None
    rules = subject.rules
    known = Known(
        subject.names,
        lexicons=dict(rules.lexicons),
        categories=dict(rules.categories),
        phrases=rules.phrases,
    )
    return _Reader(Source(document, known, problems), subject, path).read()


def _subject(source: Source, path: Path, subjects: Subjects) -> Subject | None:
    values = source.document.values
    before = len(source.problems)
    source.table((), values, _TABLES, "a suite")
    tenant: str | None = next(iter(subjects.tenants))
    if "tenant" in values:
        tenant = source.string(("tenant",), values["tenant"])
        if tenant is not None and tenant not in subjects.tenants:
            source.unknown(("tenant",), "tenant", tenant, subjects.tenants, "router.toml")
    files = None
    if "rules" in values:
        named = source.strings(("rules",), values["rules"]) or []
        files = tuple(path.parent / name for name in named)
        for index, file in enumerate(files):
            if not file.is_file():
                here: KeyPath = (
                    ("rules", index) if isinstance(values["rules"], list) else ("rules",)
                )
                remedy = "The path is relative to the suite."
                source.problem(
                    here, f'there is no rules file "{named[index]}"', remedy, part="value"
                )
    if len(source.problems) > before or tenant is None:
        return None
    return subjects.of(tenant, files)


class _Reader:
    """Reads the cases of one file."""

    def __init__(self, source: Source, subject: Subject, path: Path) -> None:
        self.source = source
        self.subject = subject
        self.path = path
        self.expecting = Expecting(source, subject.rules)
        self.names: dict[str, Case] = {}
        self.cases: list[Case] = []

    def read(self) -> Suite:
        values = self.source.document.values
        policy = self._policy(values.get("policy", {}))
        common = self._common(values.get("common", {}))
        if "case" not in values:
            self.source.problem((), "this suite has no case", "Add a [[case]].")
        elif isinstance(values["case"], dict):
            self.source.problem(("case",), '"case" is a list', "Write [[case]].")
        else:
            for path, table in self.source.tables(("case",), values["case"]):
                self._case(path, table, common, policy)
        return Suite(
            path=self.path,
            subject=self.subject,
            cases=tuple(self.cases),
            exempt=self._exempt(values.get("equivalent", [])),
        )

    def _policy(self, value: object) -> Policy:
        source, path = self.source, ("policy",)
        table = source.table(path, value, _POLICY, '"policy" of a suite') or {}
        changes: dict[str, Any] = {}
        for key, each in table.items():
            here: KeyPath = (*path, key)
            if key in {"mode", "while_owned"}:
                choices = ("assisted", "autopilot") if key == "mode" else ("draft", "notify")
                changes[key] = source.choice(here, each, choices, key)
            elif key == "autopilot_categories":
                named = [] if each == [] else source.strings(here, each) or []
                for index, name in enumerate(named):
                    source.category((*here, index) if isinstance(each, list) else here, name)
                changes[key] = frozenset(named)
            elif key == "review_fixed_texts":
                changes[key] = source.flag(here, each)
            elif key == "language":
                changes[key] = source.language(here, each)
            elif key == "confidence_threshold":
                if isinstance(each, int | float) and not isinstance(each, bool):
                    changes[key] = float(each)
                else:
                    source.wrong(here, key, "a number", each)
        good = {key: each for key, each in changes.items() if each is not None}
        return replace(self.subject.policy, **good)

    def _common(self, value: object) -> dict[str, Any]:
        """Give what every case has; nothing, if there are mistakes in it: they are told once."""
        before = len(self.source.problems)
        path = ("common",)
        table = self.source.table(path, value, _COMMON, "common") or {}
        read_inputs(self.source, path, table)
        if "given" in table:
            Given(self.source, "message").read((*path, "given"), table["given"])
        return {} if len(self.source.problems) > before else table

    def _case(
        self, path: KeyPath, table: dict[str, Any], common: Mapping[str, Any], policy: Policy
    ) -> None:
        source = self.source
        before = len(source.problems)
        for key in table.keys() & _ABOVE:
            # In TOML everything below a [[case]] belongs to it.
            remedy = "It belongs above the first [[case]]."
            source.problem((*path, key), f'unknown key "{key}" in a case', remedy)
        own = {key: value for key, value in table.items() if key not in _ABOVE}
        source.table(path, own, _CASE, "a case")
        if ("say" in table) is ("event" in table):
            remedy = 'Write say = "…" for what a customer says.'
            source.problem(path, "a case has either say or event", remedy)
            return
        name = source.string((*path, "name"), table["name"]) if "name" in table else None
        # A table without anything in it is what "expects nothing" is told of; so is none at all.
        expect = self.expecting.read((*path, "expect"), table.get("expect", {}))
        whole = _merged(common, table)
        said = table.get("say")
        if isinstance(said, list):
            for index, text in enumerate(source.strings((*path, "say"), said) or ()):
                called = f"{name}: {text}" if name else None
                each = {**whole, "say": text}
                self._add(path, each, expect, policy, called, (*path, "say", index), before)
        else:
            self._add(path, whole, expect, policy, name, path, before)

    def _add(  # noqa: PLR0917 - what a case is made of
        self,
        path: KeyPath,
        table: Mapping[str, Any],
        expect: Mapping[str, Any],
        policy: Policy,
        name: str | None,
        place: KeyPath,
        before: int,
    ) -> None:
        source = self.source
        facts, answer = read_inputs(source, path, table)
        if "given" in table:
            kind = str(facts.get("event.kind", "message"))
            facts |= Given(source, kind).read((*path, "given"), table["given"])
        if len(source.problems) > before:
            return
        part: Part = "key" if place == path else "value"
        case = Case(
            name=name or _name(facts),
            facts={"tenant": self.subject.tenant, **facts},
            answer=answer,
            expect=expect,
            policy=policy,
            place=source.place(place),
            part=part,
        )
        if name is not None and name in self.names:
            where = ("name",) if place == path else ()
            message = f'there is a case "{name}" already'
            remedy = f"Name it otherwise; the first is {self.names[name].where}."
            problem = case.place.problem(message, remedy, below=where, part="value")
            source.problems.append(problem)
        elif name is not None:
            self.names[name] = case
        self.cases.append(case)

    def _exempt(self, value: object) -> tuple[Exemption, ...]:
        found: list[Exemption] = []
        for path, table in self.source.tables(("equivalent",), value):
            self.source.table(path, table, _EQUIVALENT, "an equivalent")
            missing = [key for key in _EQUIVALENT if key not in table]
            for key in missing:
                self.source.problem(path, f'this equivalent has no "{key}"', f'Add {key} = "…".')
            if missing:
                continue
            mutant, because = (self.source.string((*path, k), table[k]) for k in _EQUIVALENT)
            if mutant is not None and because is not None:
                place = self.source.place(path)
                found.append(Exemption(mutant=mutant, because=because, place=place))
        return tuple(found)


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Give both tables as one; its own values win, and tables are merged key by key."""
    found = dict(common)
    for key, value in own.items():
        if isinstance(value, Mapping) and isinstance(found.get(key), Mapping):
            found[key] = _merged(found[key], value)
        else:
            found[key] = value
    return found


def nearest_name(text: str, suites: Iterable[Suite]) -> str:
    """Give a hint where no case has this in its name."""
    return suggest(text, {case.name for suite in suites for case in suite.cases})
