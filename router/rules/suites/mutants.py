"""A mutant: the rules with one small mistake, that some case should notice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from router.rules.model import Default, Guardrail, Place, Rule, RuleSet
from router.toml import KeyPath, Part, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """The rules with one mistake.

    :param id: the same from run to run, such as ``legal/word/when.text.words/abogado``.
    :param mutator: one of :data:`router.rules.suites.mutators.MUTATORS`.
    :param what: what is other than in the rules, a clause.
    :param remedy: what a case that notices it would do.
    :param changed: what stands in place of the rule or guardrail of this id; ``None``: nothing.
    :param phrase: the number of the only phrase that it can make a difference about.
    :param first: the rule that the one behind it is put before, in a swap.
    """

    id: str
    mutator: str
    what: str
    remedy: str
    place: Place
    below: KeyPath = ()
    part: Part = "key"
    changed: Mapping[str, Rule | Guardrail | None]
    default: Default | None = None
    phrase: int | None = None
    first: str | None = None
    #: Events may get to the rule that were not for it before.
    widened: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other, in whichever suite's rules it was made."""
        return str(self.place.document.path), self.id

    def problem(self) -> Problem:
        """Say that no case notices it, and which case would."""
        return self.place.problem(
            f"no case fails when {self.what}",
            f"{self.remedy} Mutant: {self.id}",
            below=self.below,
            part=self.part,
        )

    def applied(self, rules: RuleSet) -> RuleSet:
        """Give the rules with it."""
        changed = self.changed
        found = _exchanged(rules.rules, changed)
        if self.first is not None:
            at_ = next(i for i, rule in enumerate(found) if rule.id == self.first)
            found[at_], found[at_ + 1] = found[at_ + 1], found[at_]
        return replace(
            rules,
            rules=tuple(found),
            input_guardrails=tuple(_exchanged(rules.input_guardrails, changed)),
            answer_guardrails=tuple(_exchanged(rules.answer_guardrails, changed)),
            default=self.default or rules.default,
        )


def _exchanged(
    before: Sequence[Rule | Guardrail], changed: Mapping[str, Rule | Guardrail | None]
) -> list[Any]:
    """Give them with those that are changed in place of those that were; of the same sort."""
    return [new for each in before if (new := changed.get(each.id, each)) is not None]
