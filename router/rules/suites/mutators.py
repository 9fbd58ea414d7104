"""Mutants: the rules with one small mistake each, that some case should notice.

====================  ============================================================================
``condition``         a condition is dropped, or ``channels`` or ``languages``
``word``              a word of a list is dropped
``any-all``           ``any`` and ``all`` are swapped, ``words`` and ``all_words``, too
``threshold``         a limit is one step higher or lower
``swap``              two neighbouring rules change places
``unless``            ``unless`` is dropped
``outcome``           the outcome is one step less careful
====================  ============================================================================

What comes to the same as the rules as they are is no mutant. The order is that of the rules.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from router.rules.model import Gate, Guardrail, Place, Rule
from router.rules.suites.implications import Implications
from router.rules.suites.leaves import (
    Compiler,
    Leaf,
    at,
    dots,
    groups,
    leaves,
    put,
    renamed,
    table_of,
    without,
)
from router.rules.suites.meaning import Meaning
from router.rules.suites.model import Subject
from router.rules.suites.mutants import Mutant
from router.rules.suites.outcomes import DROPPED, less_careful, less_careful_verdict
from router.rules.suites.steps import stepped
from router.rules.suites.swapping import same_either_way
from router.toml import KeyPath, Part, load

MUTATORS: Final[Mapping[str, str]] = {
    "condition": "a condition is dropped",
    "word": "a word of a list is dropped",
    "any-all": "any and all are swapped",
    "threshold": "a limit is one step higher or lower",
    "swap": "two neighbouring rules change places",
    "unless": "unless is dropped",
    "outcome": "the outcome is one step less careful",
}
_SWAPPED: Final = {"any": "all", "all": "any", "words": "all_words", "all_words": "words"}
_ORDERED: Final = frozenset({"above", "below", "at_least", "at_most", "between", "equals"})


def mutants_of(subject: Subject, skip: Collection[tuple[str, str]] = ()) -> Iterator[Mutant]:
    """Give every mutant of a subject's rules, one after the other.

    :param skip: the keys of mutants that are not needed any more.
    """
    maker = _Maker(subject, skip)
    rules = subject.rules
    yield from maker.lexicons()
    for number, rule in enumerate(rules.rules):
        yield from maker.conditions(rule)
        yield from maker.outcome(rule)
        if number + 1 < len(rules.rules):
            yield from maker.swap(rule, rules.rules[number + 1])
    yield from maker.default()
    for guardrail in rules.guardrails:
        yield from maker.conditions(guardrail)
        yield from maker.verdict(guardrail)


class _Maker:
    """Makes the mutants of one subject."""

    def __init__(self, subject: Subject, skip: Collection[tuple[str, str]] = ()) -> None:
        self.subject = subject
        self.skip = skip
        self.rules = subject.rules
        self.implications = Implications(self.rules.phrases)
        self.compiler = Compiler(subject, implications=self.implications)
        self.meanings = {guard: Meaning(self.compiler, guard=guard) for guard in (False, True)}

    # Conditions ──────────────────────────────────────────────────────────────────────────────

    def conditions(self, what: Rule | Guardrail) -> Iterator[Mutant]:
        """Give those of the conditions of a rule; what comes to the same only once."""
        table = table_of(what.place)
        meaning = self.meanings[isinstance(what, Guardrail)]
        seen = {meaning.of(table)}
        for mutator, path, detail, changed, clause, remedy, part in self._tables(table):
            form = meaning.of(changed)
            if form in seen:
                continue
            seen.add(form)
            # A word is named by itself: its place in the list changes when others are added.
            named = path[:-1] if mutator == "word" else path
            id_ = "/".join(filter(None, (what.id, mutator, dots(named), detail)))
            if (str(what.place.document.path), id_) in self.skip:
                continue
            conditions = self.compiler.conditions(what, changed)
            if conditions is None:
                continue
            yield Mutant(
                id=id_,
                mutator=mutator,
                what=f'"{what.id}" {clause}',
                remedy=remedy,
                place=what.place,
                below=path,
                part=part,
                changed={what.id: replace(what, conditions=conditions)},
            )
        yield from self._gates(what, table)

    def _tables(
        self, table: dict[str, Any]
    ) -> Iterator[tuple[str, KeyPath, str, dict[str, Any], str, str, Part]]:
        if "unless" in table:
            yield (
                "unless",
                ("unless",),
                "",
                without(table, ("unless",)),
                'goes without its "unless"',
                "Add a case that it keeps out.",
                "key",
            )
        for group in groups(table):
            if len(group.members) < 2:
                continue
            word = str(group.path[-1])
            other = _SWAPPED[word]
            around = at(table, group.path[:-1])
            if other not in around:
                remedy = f"Add a case in which only one of {dots(group.path)} holds."
                clause = f"has {other} in place of {word}"
                changed = renamed(table, group.path, other)
                yield "any-all", group.path, "", changed, clause, remedy, "key"
            clause = f"goes without {dots(group.path)}"
            remedy = "Add a case in which everything else holds, and this does not."
            yield "condition", group.path, "", without(table, group.path), clause, remedy, "key"
        for leaf in leaves(table):
            yield from self._leaf(table, leaf)

    def _leaf(
        self, table: dict[str, Any], leaf: Leaf
    ) -> Iterator[tuple[str, KeyPath, str, dict[str, Any], str, str, Part]]:
        path = leaf.path
        dropped = without(table, path)
        clause = f"goes without the condition {leaf.text}"
        remedy = (
            "Add a case that it keeps out."
            if leaf.negated
            else "Add a case in which everything else holds, and this does not."
        )
        yield "condition", path, "", dropped, clause, remedy, "key"
        if leaf.operator in _ORDERED or leaf.operator is None:
            for where, value, new in stepped(leaf):
                clause = f"has {new} in place of {value} in {leaf.text}"
                remedy = f"Add cases at {value} and right beside it."
                changed = put(table, (*path, *where), new)
                yield "threshold", (*path, *where), str(new), changed, clause, remedy, "value"
        if not isinstance(leaf.value, list) or leaf.operator == "between" or len(leaf.value) < 2:
            return
        for index, word in enumerate(leaf.value):
            clause = f'goes without "{word}" in {leaf.text}'
            remedy = f'Add a case for "{word}" alone.'
            changed = without(table, (*path, index))
            yield "word", (*path, index), str(word), changed, clause, remedy, "value"
        if leaf.operator in {"words", "all_words"}:
            other = _SWAPPED[leaf.operator]
            if other not in at(table, path[:-1]):
                clause = f"has {other} in place of {leaf.operator} in {dots(path[:-1])}"
                remedy = "Add a case that says only one of them."
                yield "any-all", path, "", renamed(table, path, other), clause, remedy, "key"

    def _gates(self, what: Rule | Guardrail, table: Mapping[str, Any]) -> Iterator[Mutant]:
        gates: dict[str, Gate] = {
            "channels": replace(what.gate, channels=None),
            "languages": replace(what.gate, languages=None),
        }
        for key, gate in gates.items():
            if key in table:
                yield Mutant(
                    id=f"{what.id}/condition/{key}",
                    mutator="condition",
                    what=f'"{what.id}" is for all {key}',
                    remedy=f"Add a case of another of the {key}.",
                    place=what.place,
                    below=(key,),
                    changed={what.id: replace(what, gate=gate)},
                    widened=True,
                )

    # Lexicons ────────────────────────────────────────────────────────────────────────────────

    def lexicons(self) -> Iterator[Mutant]:
        """Give those that lack a word of a lexicon."""
        listed: dict[str, list[tuple[Place, KeyPath, str]]] = {}
        for file in self.rules.files:
            document = load(Path(file))
            for name, table in document.values.get("lexicon", {}).items():
                for key in ("any", "add"):
                    value = table.get(key, [])
                    several = value if isinstance(value, list) else [value]
                    for index, word in enumerate(several):
                        below: KeyPath = (key, index) if isinstance(value, list) else (key,)
                        place = Place(document, ("lexicon", name))
                        listed.setdefault(name, []).append((place, below, word))
        users = self._users()
        for name, words in listed.items():
            if name in users and len(words) > 1:
                yield from self._words(name, words, users[name])

    def _users(self) -> dict[str, list[Rule | Guardrail]]:
        """Give, by lexicon, the rules and guardrails that name it."""
        users: dict[str, list[Rule | Guardrail]] = {}
        for what in self.subject.all_rules:
            named = {
                name
                for leaf in leaves(table_of(what.place))
                if leaf.operator == "lexicon"
                for name in (leaf.value if isinstance(leaf.value, list) else [leaf.value])
            }
            for name in named:
                users.setdefault(name, []).append(what)
        return users

    def _words(
        self, name: str, words: list[tuple[Place, KeyPath, str]], users: list[Rule | Guardrail]
    ) -> Iterator[Mutant]:
        seen: set[str] = set()
        tables = [(what, table_of(what.place)) for what in users]
        exact = any("exact" in leaf.beside for _, table in tables for leaf in leaves(table))
        before = [self.meanings[isinstance(w, Guardrail)].of(table) for w, table in tables]
        for number, (place, below, word) in enumerate(words):
            if word in seen:
                continue
            seen.add(word)
            id_ = f"lexicon.{name}/word/{word}"
            if (str(place.document.path), id_) in self.skip:
                continue
            rest = tuple(each for i, (_, _, each) in enumerate(words) if i != number)
            lexicons = {**self.rules.lexicons, name: rest}
            compiler = Compiler(self.subject, lexicons, self.implications)
            changed: dict[str, Rule | Guardrail | None] = {}
            for (what, table), form in zip(tables, before, strict=True):
                meaning = Meaning(compiler, guard=isinstance(what, Guardrail))
                if meaning.of(table) == form:
                    continue
                conditions = compiler.conditions(what, table)
                if conditions is not None:  # pragma: no branch - a word less is no mistake
                    changed[what.id] = replace(what, conditions=conditions)
            if changed:
                yield Mutant(
                    id=id_,
                    mutator="word",
                    what=f'the lexicon "{name}" goes without "{word}"',
                    remedy=f'Add a case for "{word}" alone.',
                    place=place,
                    below=below,
                    part="value",
                    changed=changed,
                    phrase=None if exact else self.implications.numbered(word)[0],
                )

    # Order and outcomes ──────────────────────────────────────────────────────────────────────

    def swap(self, one: Rule, other: Rule) -> Iterator[Mutant]:
        """Give the one that reads a rule after its neighbour."""
        if same_either_way(one, other):
            return
        yield Mutant(
            id=f"{one.id}/swap/{other.id}",
            mutator="swap",
            what=f'"{other.id}" is read before "{one.id}"',
            remedy="Add a case that both are for.",
            place=other.place,
            changed={},
            first=one.id,
        )

    def outcome(self, rule: Rule) -> Iterator[Mutant]:
        """Give the one of a rule that decides less carefully."""
        if rule.decider is None:
            return
        decider = less_careful(rule.decider)
        if decider is not None:
            yield self._outcome(rule, replace(rule, decider=decider), decider.summary)

    def verdict(self, guardrail: Guardrail) -> Iterator[Mutant]:
        """Give the one of a guardrail whose verdict is less careful, or that is not there."""
        verdict = less_careful_verdict(guardrail.verdict, guardrail.stage)
        if verdict is DROPPED:
            yield self._outcome(guardrail, None, "nothing")
        elif verdict is not None:
            yield self._outcome(guardrail, replace(guardrail, verdict=verdict), verdict.summary)

    @staticmethod
    def _outcome(what: Rule | Guardrail, changed: Rule | Guardrail | None, summary: str) -> Mutant:
        end = what.decider if isinstance(what, Rule) else what.verdict
        before = end.summary if end is not None else ""
        return Mutant(
            id=f"{what.id}/outcome",
            mutator="outcome",
            what=f'"{what.id}" leads to {_brief(summary)} in place of {_brief(before)}',
            remedy=f'Add a case that expects rule = "{what.id}" and its decision.',
            place=what.place,
            below=("then",),
            changed={what.id: changed},
        )

    def default(self) -> Iterator[Mutant]:
        """Give the one whose default is less careful."""
        default = self.rules.default
        decider = less_careful(default.decider)
        if decider is None or default.place is None:
            return
        before, after = _brief(default.decider.summary), _brief(decider.summary)
        yield Mutant(
            id="default/outcome",
            mutator="outcome",
            what=f"the default leads to {after} in place of {before}",
            remedy="Add a case that expects the default's decision.",
            place=default.place,
            changed={},
            default=replace(default, decider=decider),
        )


def _brief(summary: str) -> str:
    return summary.partition(":")[0].partition(' "')[0]
