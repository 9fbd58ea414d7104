"""Which mutants some case notices, and which none does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from router.rules.facts import Facts
from router.rules.fields import Type, find
from router.rules.model import Guardrail, Rule
from router.rules.suites.coverage import percent
from router.rules.suites.differences import passes
from router.rules.suites.model import Exemption, Subject, Suite
from router.rules.suites.mutants import Mutant
from router.rules.suites.mutators import mutants_of
from router.rules.suites.running import Visit, matches, see_case
from router.toml import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Killing:
    """What became of the mutants, in the order of files and lines.

    :param killed: how many some case notices.
    :param survivors: those that none does.
    :param exempt: those that a suite says change nothing, and that no case notices.
    :param wrong: exemptions that are wrong: there is no such mutant, or a case notices it.
    """

    killed: int
    survivors: Sequence[Mutant]
    exempt: Sequence[Mutant]
    wrong: Sequence[Problem] = ()

    @property
    def count(self) -> int:
        """How many there are; those that are exempt do not count."""
        return self.killed + len(self.survivors)

    @property
    def percent(self) -> float:
        """How many of a hundred some case notices."""
        return percent(self.killed, self.count)

    @property
    def problems(self) -> list[Problem]:
        """Say of each that survived what is other than in the rules, and which case is missing."""
        return [mutant.problem() for mutant in self.survivors]


def kill(subjects: Iterable[Subject], suites: Sequence[Suite], visits: Sequence[Visit]) -> Killing:
    """Try every mutant on the cases that it can make a difference to.

    Every case has to pass on the rules as they are. A mutant of a rules file that several suites
    share is noticed if one of them notices it.
    """
    state: dict[tuple[str, str], Mutant | None] = {}
    seen = [
        (subject, [visit for visit in visits if visit.suite.subject is subject])
        for subject in subjects
    ]
    files = dict.fromkeys(file for subject, _ in seen for file in subject.rules.files)
    order = {file: number for number, file in enumerate(files)}
    # What the most cases are about comes first: of what they notice, the others need nothing.
    for subject, concerned in sorted(seen, key=lambda each: -len(each[1])):
        trial = _Trial(subject, concerned)
        noticed = {key for key, mutant in state.items() if mutant is None}
        for mutant in mutants_of(subject, noticed):
            if state.get(mutant.key, mutant) is not None:
                state[mutant.key] = None if trial.notices(mutant) else mutant
    exempt = {each.mutant: each for suite in suites for each in suite.exempt}
    survivors = [mutant for mutant in state.values() if mutant is not None]
    survivors.sort(key=lambda each: (order[each.key[0]], each.problem().line))
    known = {mutant.id for mutant in survivors}
    killed = {id_ for (_, id_), mutant in state.items() if mutant is None}
    return Killing(
        killed=sum(mutant is None for mutant in state.values()),
        survivors=[mutant for mutant in survivors if mutant.id not in exempt],
        exempt=[mutant for mutant in survivors if mutant.id in exempt],
        wrong=[_wrong(each, killed) for id_, each in exempt.items() if id_ not in known],
    )


def _wrong(exemption: Exemption, killed: set[str]) -> Problem:
    there = exemption.mutant in killed
    return exemption.place.problem(
        f'a case fails with the mutant "{exemption.mutant}"'
        if there
        else f'there is no mutant "{exemption.mutant}"',
        "Leave this out.",
        below=("mutant",),
        part="value",
    )


class _Trial:
    """The cases of one subject, and where each rule held in them."""

    def __init__(self, subject: Subject, visits: Sequence[Visit]) -> None:
        self._rules = subject.rules
        self._visits = visits
        self._texts = [
            path for path in subject.rules.fields if (it := find(path)) and it.type is Type.TEXT
        ]
        self._phrases: dict[int, frozenset[int]] = {}
        self._saw: dict[str, list[tuple[Visit, Facts, bool]]] = {}
        for what in subject.all_rules:
            self._saw[what.id] = [
                (visit, facts, matches(what, facts))
                for visit in visits
                for facts in visit.saw.get(what.id, ())
            ]

    def notices(self, mutant: Mutant) -> bool:
        """Say whether a case fails with a mutant."""
        concerned = self._concerned(mutant)
        if not concerned:
            return False
        rules = mutant.applied(self._rules)
        return any(
            not passes(visit.case.expect, see_case(rules, visit.case, visit.facts))
            for visit in concerned
        )

    def _concerned(self, mutant: Mutant) -> list[Visit]:
        """Give the cases that a mutant can make a difference to.

        A rule that holds where it held before, and fails where it failed, makes none: up to there
        everything is the same, and so it is from there on.
        """
        if mutant.widened:
            return list(self._visits)
        if mutant.default is not None:
            return [visit for visit in self._visits if visit.by_default]
        if mutant.first is not None:
            pair = self._neighbours(mutant.first)
            return _once(visit for id_ in pair for visit, _, matched in self._saw[id_] if matched)
        return _once(
            visit
            for id_, changed in mutant.changed.items()
            for visit, facts, matched in self._saw[id_]
            if (mutant.phrase is None or mutant.phrase in self._said(facts))
            and _differs(mutant, changed, facts, matched=matched)
        )

    def _said(self, facts: Facts) -> frozenset[int]:
        """Give the phrases that are in any of the texts."""
        found = self._phrases.get(id(facts))
        if found is None:
            hits = (facts.hits(path, self._rules.phrases) for path in self._texts)
            found = frozenset().union(*(each for each in hits if each))
            self._phrases[id(facts)] = found
        return found

    def _neighbours(self, first: str) -> tuple[str, str]:
        ids = [rule.id for rule in self._rules.rules]
        number = ids.index(first)
        return ids[number], ids[number + 1]


def _differs(
    mutant: Mutant, changed: Rule | Guardrail | None, facts: Facts, *, matched: bool
) -> bool:
    if mutant.mutator == "outcome" or changed is None:
        return matched
    return matches(changed, facts) is not matched


def _once(visits: Iterable[Visit]) -> list[Visit]:
    found: Mapping[int, Visit] = {id(visit): visit for visit in visits}
    return list(found.values())
