"""The nearest miss of a reading: the rule that would have matched, but for the least."""

from collections.abc import Sequence

from router.rules.facts import Facts
from router.rules.model import Rule
from router.rules.trace import Trace


class Nearest:
    """The rule with the fewest failed conditions, of those of which something held.

    Rules are considered in reading order, each with the facts as they were when it was read. One
    failed condition cannot be beaten: after it nothing more is looked at.
    """

    __slots__ = ("_at", "_numbers", "_rules", "failed", "rule")

    def __init__(self, rules: Sequence[Rule], several: Sequence[int]) -> None:
        self._rules = rules
        self._numbers = several
        self._at = 0
        self.rule: Rule | None = None
        self.failed: list[str] = []

    def until(self, number: int, facts: Facts) -> None:
        """Consider the rules before this one; this one is no miss, or was not for this event."""
        numbers = self._numbers
        if len(self.failed) == 1:
            return
        while self._at < len(numbers) and numbers[self._at] < number:
            self._consider(self._rules[numbers[self._at]], facts)
            if len(self.failed) == 1:
                return
            self._at += 1
        if self._at < len(numbers) and numbers[self._at] == number:
            self._at += 1

    def excepted(self, number: int, facts: Facts) -> None:
        """Consider a rule that failed because of an exception.

        Of a rule that states one condition, exceptions apart, that is all there is to consider:
        where the condition fails nothing has held.
        """
        self.until(number, facts)
        if len(self.failed) != 1:
            self._consider(self._rules[number], facts)

    def _consider(self, rule: Rule, facts: Facts) -> None:
        """Look at a rule of several conditions that failed.

        That an exception does not apply is no news: of ``unless`` only what failed counts.
        """
        if not any(each.test(facts) for each in rule.conditions if not each.negated):
            return
        failed = [each.text for each in rule.conditions if not each.test(facts)]
        if self.rule is None or len(failed) < len(self.failed):
            self.rule, self.failed = rule, failed

    def note(self, trace: Trace) -> None:
        """Put it into the trace, if there is one."""
        if self.rule is not None:
            trace["near"] = [
                self.rule.id,
                self.failed,
                len(self.rule.conditions) - len(self.failed),
            ]
