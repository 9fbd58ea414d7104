"""Rules files to a :class:`~router.rules.model.RuleSet`, or every problem at once."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from router.errors import ConfigError
from router.rules.definitions import check_stand_ins, read_additions, read_definitions
from router.rules.effects import Consequences
from router.rules.examples import read_example
from router.rules.fields import FIELDS, KINDS, Stage, find
from router.rules.matching import Matching
from router.rules.model import (
    DEFAULT_QUEUE,
    AskAnswer,
    Decider,
    Default,
    Effects,
    Example,
    Gate,
    Guardrail,
    GuardStage,
    Names,
    OpenTicket,
    PromptText,
    Rule,
    RuleSet,
)
from router.rules.source import Known, Source
from router.toml import Document, KeyPath, Problem, load, suggest

_RULE = ("id", "on", "channels", "languages", "when", "unless", "then")
_GUARDRAIL = ("id", "stage", "on", "channels", "languages", "when", "unless", "then")


def load_rules(files: Sequence[Path], names: Names) -> RuleSet:
    """Read rules files in this order: shared ones first, then the tenant's.

    A later ``[default]`` and a later ``[category.X]`` win over an earlier one. Without any file
    the default is a ticket in the queue ``default``: nothing is lost.

    :raises ConfigError: with *every* problem of all files, in the order of files and lines.
    """
    problems: list[Problem] = []
    documents: list[Document] = []
    for path in files:
        try:
            documents.append(load(path))
        except ConfigError as error:
            problems += [each for each in error.problems if isinstance(each, Problem)]
    return _build(documents, names, problems)


def build_rules(documents: Sequence[Document], names: Names) -> RuleSet:
    """Do the same from documents that were read already."""
    return _build(documents, names, [])


def _build(documents: Sequence[Document], names: Names, problems: list[Problem]) -> RuleSet:
    # A file that is no TOML may hold the lexicons and categories that the others name.
    broken = bool(problems)
    known = Known(names)
    sources = [Source(document, known, problems) for document in documents]
    for source in sources:
        read_definitions(source)
    for source in sources:
        read_additions(source, broken=broken)
        check_stand_ins(source, broken=broken)
    reader = _Reader()
    for source in sources:
        reader.read(source)
    if not documents and not broken:
        reader.default = Default(decider=OpenTicket(queue=DEFAULT_QUEUE), classify=None)
    if not reader.has_default and documents and not broken:
        sources[0].problem(
            (),
            "no [default] says what happens when no rule decides",
            'Add default.answer = "…" with the name of an [ai.*] table.',
        )
    if not broken:
        _unreachable(reader.rules, problems)
        _expected(reader, problems)
    if problems or reader.default is None:
        order = [str(document.path) for document in documents]
        problems.sort(key=lambda each: _order(each, order))
        raise ConfigError(problems)
    return RuleSet(
        rules=tuple(reader.rules),
        input_guardrails=tuple(g for g in reader.guardrails if g.stage is GuardStage.INPUT),
        answer_guardrails=tuple(g for g in reader.guardrails if g.stage is GuardStage.ANSWER),
        lexicons=known.lexicons,
        categories=known.categories,
        default=reader.default,
        examples=tuple(reader.examples),
        phrases=known.phrases,
        fields=tuple(sorted(known.fields, key=_field_order)),
        hash=_hash(documents, known.prompts.values()),
        files=tuple(str(document.path) for document in documents),
        hours=known.hours,
        prompts=known.prompts,
        templates=known.templates,
    )


def _order(problem: Problem, files: list[str]) -> tuple[int, int, int]:
    path = str(problem.path)
    place = files.index(path) if path in files else len(files)
    return place, problem.line, problem.column


def _field_order(path: str) -> tuple[int, str]:
    field = find(path)
    return list(FIELDS).index(path if field is None else field.path), path


def _hash(documents: Sequence[Document], prompts: Iterable[PromptText]) -> str:
    """Give the same text for files that mean the same: comments and layout do not count."""
    meaning = [
        {key: value for key, value in document.values.items() if key != "example"}
        for document in documents
    ]
    meaning += [{"prompt": prompt.name, "hash": prompt.hash} for prompt in prompts]
    canonical = json.dumps(meaning, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode("utf-8", "replace")).hexdigest()


class _Reader:
    """What was read so far from all files."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.guardrails: list[Guardrail] = []
        self.examples: list[Example] = []
        self.default: Default | None = None
        self.has_default = False
        self.ids: dict[str, str] = {}

    def read(self, source: Source) -> None:
        values = source.document.values
        if "default" in values:
            self.has_default = True
            decider, classify = Consequences(source).default(values["default"], ("default",))
            if decider is not None:
                place = source.place(("default",))
                self.default = Default(decider=decider, classify=classify, place=place)
        for path, table in self._each(source, "rule"):
            self._rule(source, path, table)
        for path, table in self._each(source, "guardrail"):
            self._guardrail(source, path, table)
        for path, table in self._each(source, "example"):
            example = read_example(source, path, table)
            if example is not None:
                self.examples.append(example)

    def _each(self, source: Source, key: str) -> list[tuple[KeyPath, dict[str, Any]]]:
        tables = source.document.values.get(key, [])
        if isinstance(tables, dict):
            source.problem((key,), f'"{key}" is a list', f"Write [[{key}]].")
            return []
        return source.tables((key,), tables)

    def _rule(self, source: Source, path: KeyPath, table: dict[str, Any]) -> None:
        before = len(source.problems)
        source.table(path, table, _RULE, "a rule")
        id_ = self._id(source, path, table, "rule")
        gate = self._gate(source, path, table)
        matching = Matching(source, Stage.CLASSIFIED, gate.kinds, guard=False)
        conditions = matching.read(table, path)
        if "then" not in table:
            source.problem(path, "this rule leads to nothing", 'Add a "then".')
            return
        read = Consequences(source).rule(table["then"], (*path, "then"))
        if read is None or id_ is None:
            return
        effects, decider = read
        if len(source.problems) == before:
            matching.shows(table["then"], (*path, "then"))
        self._asks_about_messages(source, path, gate, effects, decider)
        if len(source.problems) > before:
            # It may have lost a condition, and would seem to decide about everything.
            return
        self.rules.append(
            Rule(
                id=id_,
                gate=gate,
                conditions=conditions,
                effects=effects,
                decider=decider,
                place=source.place(path),
            )
        )

    @staticmethod
    def _asks_about_messages(
        source: Source, path: KeyPath, gate: Gate, effects: Effects, decider: Decider | None
    ) -> None:
        key = "classify" if effects.classify else "answer"
        if (effects.classify or isinstance(decider, AskAnswer)) and gate.kinds != {"message"}:
            source.problem(
                (*path, "then", key),
                "a model is asked about messages only",
                'Leave "on" out, or decide without a model.',
            )

    def _guardrail(self, source: Source, path: KeyPath, table: dict[str, Any]) -> None:
        source.table(path, table, _GUARDRAIL, "a guardrail")
        id_ = self._id(source, path, table, "guardrail")
        stage = GuardStage.ANSWER
        if "stage" in table:
            word = source.choice((*path, "stage"), table["stage"], tuple(GuardStage), "stage")
            stage = GuardStage(word) if word else stage
        gate = self._gate(source, path, table)
        if stage is GuardStage.ANSWER and "message" not in gate.kinds:
            source.problem(
                (*path, "on"),
                "only messages are answered, so this guardrail is never asked",
                'Leave "on" out.',
                part="value",
            )
        until = Stage.ANSWER if stage is GuardStage.ANSWER else Stage.EVENT
        matching = Matching(source, until, gate.kinds, guard=True)
        conditions = matching.read(table, path)
        if "then" not in table:
            source.problem(path, "this guardrail has no verdict", 'Add a "then".')
            return
        read = Consequences(source).guardrail(table["then"], (*path, "then"), stage)
        if read is None or id_ is None:
            return
        effects, verdict = read
        self.guardrails.append(
            Guardrail(
                id=id_,
                stage=stage,
                gate=gate,
                conditions=conditions,
                effects=effects,
                verdict=verdict,
                place=source.place(path),
            )
        )

    def _id(self, source: Source, path: KeyPath, table: Mapping[str, Any], what: str) -> str | None:
        if "id" not in table:
            source.problem(path, f"this {what} has no id", 'Add id = "…"; traces show it.')
            return None
        id_ = source.string((*path, "id"), table["id"])
        if id_ is None:
            return None
        here = source.document.locate((*path, "id"), "value")
        if id_ in self.ids or id_ == "default":
            first = self.ids.get(id_, "the id of [default]")
            source.problem(
                (*path, "id"),
                f'the id "{id_}" is taken',
                f"Choose another; the first is {first}.",
                part="value",
            )
            return id_
        self.ids[id_] = f"{source.document.path}:{here.line}:{here.column}"
        return id_

    def _gate(self, source: Source, path: KeyPath, table: Mapping[str, Any]) -> Gate:
        kinds = frozenset({"message"})
        if "on" in table:
            kinds = source.choices((*path, "on"), table["on"], KINDS, "kind of event") or kinds
        channels = None
        if "channels" in table:
            here = (*path, "channels")
            known = source.known.names.channels
            named = source.strings(here, table["channels"])
            for index, name in enumerate(named or ()):
                if name not in known:
                    place = (*here, index) if isinstance(table["channels"], list) else here
                    source.unknown(place, "channel", name, known, "router.toml")
            channels = frozenset(named or ())
        languages = None
        if "languages" in table:
            here = (*path, "languages")
            tags = source.strings(here, table["languages"])
            for index, tag in enumerate(tags or ()):
                place = (*here, index) if isinstance(table["languages"], list) else here
                source.is_language(place, tag)
            languages = frozenset(tag.casefold().split("-")[0] for tag in tags or ())
        return Gate(kinds=kinds, channels=channels, languages=languages)


def _expected(reader: _Reader, problems: list[Problem]) -> None:
    """Note each example that expects a rule which is not there."""
    for example in reader.examples:
        rule = example.expect.get("rule")
        if rule is not None and rule not in reader.ids and rule != "default":
            message = f'no rule or guardrail "{rule}" in the rules files'
            remedy = suggest(rule, reader.ids)
            place = ("expect", "rule")
            problems.append(example.place.problem(message, remedy, below=place, part="value"))


def _unreachable(rules: Sequence[Rule], problems: list[Problem]) -> None:
    """Note each rule that is never read because earlier ones decide about all that it is for."""
    deciding: list[Rule] = []
    for rule in rules:
        stoppers = [
            next((each for each in deciding if each.gate.covers(rule.gate, kind)), None)
            for kind in sorted(rule.gate.kinds)
        ]
        found = [each for each in stoppers if each is not None]
        if len(found) == len(stoppers):
            problems.append(
                rule.place.problem(
                    f'the rule "{rule.id}" is never read: "{found[0].id}" always decides before it',
                    "Move it up, or give the other one a condition.",
                    below=("id",),
                    part="value",
                )
            )
        elif rule.decider is not None and not rule.conditions:
            deciding.append(rule)
