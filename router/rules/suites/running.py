"""Cases run: what became of each, and what was looked at on the way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

from router.rules.conditions import Condition
from router.rules.examples import Seen, example_facts, see
from router.rules.facts import Facts
from router.rules.model import Guardrail, Rule, RuleSet
from router.rules.suites.differences import Difference, differences
from router.rules.suites.model import Case, Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a case.

    :param differences: empty where everything is as expected.
    :param seconds: how long it took.
    """

    suite: Suite
    case: Case
    differences: tuple[Difference, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether everything is as expected."""
        return not self.differences

    def report(self) -> str:
        """Give a failure with its place, expected (-) against found (+)."""
        lines = [f'{self.case.where}: the case "{self.case.name}" fails. Expected (-), found (+):']
        lines += [f"    {line}" for each in self.differences for line in each.lines()]
        return "\n".join(lines)


def run(suites: Iterable[Suite]) -> list[Result]:
    """Run every case, in the order of the suites."""
    return [run_case(suite, case) for suite in suites for case in suite.cases]


def run_case(suite: Suite, case: Case) -> Result:
    """Run one case."""
    began = perf_counter()
    seen = see_case(suite.subject.rules, case, case_facts(case))
    return Result(
        suite=suite,
        case=case,
        differences=tuple(differences(case.expect, seen)),
        seconds=perf_counter() - began,
    )


def case_facts(case: Case) -> Facts:
    """Give the facts of a case. They never change, so that several runs may share them."""
    return example_facts(case.facts, case.policy)


def see_case(rules: RuleSet, case: Case, facts: Facts) -> Seen:
    """Give what becomes of a case."""
    return see(rules, case.policy, facts, case.answer)


# Watching ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Visit:
    """One case, and the facts that each rule and guardrail saw in it, by id."""

    suite: Suite
    case: Case
    facts: Facts
    saw: dict[str, list[Facts]] = field(default_factory=dict)
    #: The default decided, or asked.
    by_default: bool = False


def watch(suites: Sequence[Suite]) -> list[Visit]:
    """Run every case once more and note what each rule and guardrail saw.

    The engine is the same; each rule only has a condition in front that always holds, and notes
    the facts.
    """
    watched: dict[int, _Watched] = {}
    visits: list[Visit] = []
    for suite in suites:
        rules = suite.subject.rules
        subject = watched.setdefault(id(rules), _Watched(rules))
        for case in suite.cases:
            visit = Visit(suite, case, case_facts(case))
            subject.now = visit.saw
            seen = see_case(subject.rules, case, visit.facts)
            visit.by_default = "default" in seen.rules
            visits.append(visit)
    return visits


class _Watched:
    """Rules that note what they see in ``now``."""

    def __init__(self, rules: RuleSet) -> None:
        self.now: dict[str, list[Facts]] = {}
        self.rules = replace(
            rules,
            rules=tuple(map(self._rule, rules.rules)),
            input_guardrails=tuple(map(self._guardrail, rules.input_guardrails)),
            answer_guardrails=tuple(map(self._guardrail, rules.answer_guardrails)),
        )

    def _rule(self, rule: Rule) -> Rule:
        return replace(rule, conditions=self._noted(rule))

    def _guardrail(self, guardrail: Guardrail) -> Guardrail:
        return replace(guardrail, conditions=self._noted(guardrail))

    def _noted(self, what: Rule | Guardrail) -> tuple[Condition, ...]:
        # Without the hint of what a condition needs, no rule is passed over.
        return (self._noting(what.id), *(replace(each, needs=None) for each in what.conditions))

    def _noting(self, id_: str) -> Condition:
        def test(facts: Facts) -> bool:
            saw = self.now.setdefault(id_, [])
            # The nearest miss looks a second time.
            if not saw or saw[-1] is not facts:
                saw.append(facts)
            return True

        return Condition(test, "", ())


def matches(what: Rule | Guardrail, facts: Facts) -> bool:
    """Say whether every condition holds."""
    return all(condition.test(facts) for condition in what.conditions)
