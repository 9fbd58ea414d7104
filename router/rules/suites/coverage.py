"""Coverage: which rules and which conditions no case looks at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from router.rules.model import Guardrail, Place, Rule
from router.rules.suites.leaves import Compiler, leaves, table_of
from router.rules.suites.model import Subject
from router.rules.suites.running import Visit, matches
from router.toml import KeyPath, Problem

if TYPE_CHECKING:
    from router.rules.conditions import Condition


@dataclass(slots=True, kw_only=True)
class RuleCover:
    """A rule or guardrail, or the default, and how many cases it was in.

    :param read: cases in which it was looked at.
    :param matched: cases in which it matched.
    """

    id: str
    what: str
    place: Place
    read: int = 0
    matched: int = 0

    @property
    def covered(self) -> bool:
        """Whether some case is for it."""
        return self.matched > 0

    def problem(self) -> Problem:
        """Say what is missing."""
        read = f"{self.read} read it" if self.read else "none reads it"
        named = self.what if self.what == self.id else f'{self.what} "{self.id}"'
        return self.place.problem(
            f"no case is for the {named}: {read}",
            f'Add one that expects rule = "{self.id}".',
            below=() if self.what == "default" else ("id",),
            part="value",
        )


@dataclass(slots=True, kw_only=True)
class ConditionCover:
    """A condition, and in how many cases it held and did not, when its rule was looked at."""

    text: str
    rule: str
    place: Place
    below: KeyPath
    held: int = 0
    failed: int = 0

    @property
    def covered(self) -> bool:
        """Whether some case meets it and some does not."""
        return self.held > 0 and self.failed > 0

    def problem(self) -> Problem:
        """Say what is missing."""
        if self.held:
            what, remedy = "always holds", "Add a case in which it does not."
        elif self.failed:
            what, remedy = "never holds", "Add a case in which it does."
        else:
            what, remedy = "is never looked at", f'Add a case that gets to "{self.rule}".'
        message = f'{self.text} of "{self.rule}" {what} in the cases'
        return self.place.problem(message, remedy, below=self.below)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What the cases look at, in the order of the rules."""

    rules: Sequence[RuleCover]
    conditions: Sequence[ConditionCover]

    @property
    def percent(self) -> float:
        """How many of a hundred rules some case is for."""
        return percent(sum(each.covered for each in self.rules), len(self.rules))

    @property
    def problems(self) -> list[Problem]:
        """What no case looks at, in the order of files and lines."""
        missed = [rule.problem() for rule in self.rules if not rule.covered]
        missed += [each.problem() for each in self.conditions if not each.covered]
        files = list(dict.fromkeys(str(each.place.document.path) for each in self.rules))
        order = {file: number for number, file in enumerate(files)}
        return sorted(
            missed, key=lambda each: (order.get(str(each.path), -1), each.line, each.column)
        )


def percent(some: int, all_: int) -> float:
    """Give a share in percent; of nothing, everything is there."""
    return 100.0 * some / all_ if all_ else 100.0


@dataclass(slots=True)
class _Book:
    """What is counted so far, by where it stands: several suites may share a rules file."""

    rules: dict[tuple[str, KeyPath], RuleCover] = field(default_factory=dict)
    conditions: dict[tuple[str, KeyPath], ConditionCover] = field(default_factory=dict)


def cover(subjects: Iterable[Subject], visits: Iterable[Visit]) -> Coverage:
    """Give what the cases that were watched look at."""
    book = _Book()
    seen = list(visits)
    for subject in subjects:
        mine = [visit for visit in seen if visit.suite.subject is subject]
        compiler = Compiler(subject)
        for what in subject.all_rules:
            _count(book, what, compiler, mine)
        default = subject.rules.default
        if default.place is not None:
            known = _rule(book, "default", "default", default.place)
            known.read += sum(visit.by_default for visit in mine)
            known.matched += sum(visit.by_default for visit in mine)
    return Coverage(rules=list(book.rules.values()), conditions=list(book.conditions.values()))


def _rule(book: _Book, id_: str, what: str, place: Place) -> RuleCover:
    key = (str(place.document.path), place.key_path)
    return book.rules.setdefault(key, RuleCover(id=id_, what=what, place=place))


def _count(
    book: _Book, what: Rule | Guardrail, compiler: Compiler, visits: Sequence[Visit]
) -> None:
    known = _rule(book, what.id, "rule" if isinstance(what, Rule) else "guardrail", what.place)
    counted: list[tuple[ConditionCover, Condition, bool]] = []
    file = str(what.place.document.path)
    for leaf in leaves(table_of(what.place)):
        compiled = compiler.conditions(what, leaf.alone())
        if not compiled:  # pragma: no cover - what is right in a rule is right alone
            continue
        cover_ = book.conditions.setdefault(
            (file, (*what.place.key_path, *leaf.path)),
            ConditionCover(text=leaf.text, rule=what.id, place=what.place, below=leaf.path),
        )
        counted.append((cover_, compiled[0], leaf.negated))
    for visit in visits:
        saw = visit.saw.get(what.id, ())
        known.read += bool(saw)
        known.matched += any(matches(what, facts) for facts in saw)
        for cover_, condition, negated in counted:
            found = {condition.test(facts) is not negated for facts in saw}
            cover_.held += True in found
            cover_.failed += False in found
