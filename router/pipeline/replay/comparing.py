"""Comparing what was decided with what is decided now, rule by rule."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from router.domain.decision import Outcome
from router.pipeline.replay.deciding import Decided, Doubt, Replayed
from router.pipeline.replay.masking import as_shared
from router.storage.recordings import RecordedEvent, RecordedTurn

#: What is said where no rule and no guardrail decided.
NO_RULE: Final = "(default)"
#: Examples kept of each change.
_EXAMPLES: Final = 3
#: Reasons, and who gave them, are told to people; they are not what becomes of a customer.
_REASONS: Final = frozenset({"because", "rule"})


class Verdict(StrEnum):
    """How a decision compares with the recorded one."""

    SAME = "same"
    MORE_CAREFUL = "more careful"
    LESS_CAREFUL = "less careful"
    DIFFERENT = "different"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One turn, then and now.

    :param now: the most careful of the decisions now; ``None`` where none is known.
    :param then: what it is compared with; ``None``: with the recorded decision.
    """

    turn: RecordedTurn
    verdict: Verdict
    now: Decided | None
    because: str = ""
    then: Decided | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What a decision came to, for a table."""

    outcome: str
    rule: str


@dataclass(slots=True, kw_only=True)
class Change:
    """Turns that changed in the same way.

    :param now: ``None`` where it is not known.
    :param because: why it is not known, or what else is to be said.
    """

    verdict: Verdict
    tenant: str
    then: End
    now: End | None
    because: str
    count: int = 0
    examples: list[Compared] = field(default_factory=list)


@dataclass(slots=True)
class Comparison:
    """All turns, then and now.

    :ivar rules: by the rule that decided then: how its decisions compare.
    """

    totals: Counter[Verdict] = field(default_factory=Counter)
    rules: dict[str, Counter[Verdict]] = field(default_factory=dict)
    changes: dict[tuple[Any, ...], Change] = field(default_factory=dict)

    @property
    def turns(self) -> int:
        return self.totals.total()

    @property
    def changed(self) -> int:
        """How many are not known to be the same: what is in doubt counts as changed."""
        return self.turns - self.totals[Verdict.SAME]

    @property
    def share(self) -> float:
        """The share that changed, 0 to 1; 0 where nothing was decided."""
        return self.changed / self.turns if self.turns else 0.0

    def add(self, compared: Compared) -> None:
        """Count one more turn; the first of each change are its examples."""
        then, verdict = _end(compared.then or compared.turn.decided), compared.verdict
        self.totals[verdict] += 1
        self.rules.setdefault(then.rule, Counter())[verdict] += 1
        if verdict is Verdict.SAME:
            return
        now = None if compared.now is None else _end(compared.now)
        key = (verdict, compared.turn.tenant, then, now, compared.because)
        change = self.changes.get(key)
        if change is None:
            change = self.changes[key] = Change(
                verdict=verdict,
                tenant=compared.turn.tenant,
                then=then,
                now=now,
                because=compared.because,
            )
        change.count += 1
        if len(change.examples) < _EXAMPLES:
            change.examples.append(compared)

    def most_first(self) -> list[Change]:
        """Give the changes, the most frequent of each kind first."""
        order = list(Verdict)
        return sorted(
            self.changes.values(),
            key=lambda it: (
                order.index(it.verdict),
                -it.count,
                it.tenant,
                it.then.rule,
                it.then.outcome,
                "" if it.now is None else f"{it.now.rule} {it.now.outcome}",
                it.because,
            ),
        )


def compare(turn: RecordedTurn, replayed: Replayed) -> Compared:
    """Say how a turn's decision compares with the recorded one.

    Two decisions are the same if the customer and the people of the business get the same:
    outcome, texts, tickets, category, tags and so on. The reasons may differ, and so may the
    rule that decided.
    """
    if replayed.doubt is not None:
        verdict = Verdict.STALE if replayed.doubt is Doubt.STALE else Verdict.UNKNOWN
        return Compared(turn=turn, verdict=verdict, now=None, because=replayed.because)
    then, now = turn.decided, max(replayed.decided, key=_care)
    if turn.shared:
        now = replace(
            now,
            body=as_shared(turn, now.body),
            changes=as_shared(turn, {"text": now.changes})["text"],
        )
    parts = len(replayed.decided)
    because = f"the messages of the turn would be answered in {parts} parts" if parts > 1 else ""
    if parts == 1 and _effects(then) == _effects(now):
        verdict = Verdict.SAME
    elif any(event.masked for event in turn.events):
        # The recorded decision was made on what is not there any more.
        because = "personal data was taken out of the recording, and it is decided otherwise"
        return Compared(turn=turn, verdict=Verdict.UNKNOWN, now=None, because=because)
    else:
        verdict = _moved(then, now)
    return Compared(turn=turn, verdict=verdict, now=now, because=because)


def compare_both(recorded: Compared, before: Replayed, after: Replayed) -> Compared:
    """Say what another configuration changes about a turn, compared with the one in force.

    What the one in force would decide otherwise than was recorded is no change of the other's, and
    neither is what both cannot know for the same reason.

    :param recorded: how the other one compares with what was recorded; not the same.
    """
    if before.doubt is not None:
        return replace(recorded, verdict=Verdict.SAME) if before == after else recorded
    then, now = max(before.decided, key=_care), recorded.now
    if now is None:
        return replace(recorded, then=then)
    same = len(before.decided) == len(after.decided) and _effects(then) == _effects(now)
    return replace(recorded, verdict=Verdict.SAME if same else _moved(then, now), then=then)


def compare_all(pairs: Iterable[tuple[RecordedTurn, Replayed]]) -> Comparison:
    """Compare turns, in their order."""
    comparison = Comparison()
    for turn, replayed in pairs:
        comparison.add(compare(turn, replayed))
    return comparison


def differences(then: RecordedEvent, now: Decided) -> dict[str, tuple[Any, Any]]:
    """Give what differs between two decisions: by its name, the value then and now."""
    before, after = _effects(then), _effects(now)
    names = [*before, *(name for name in after if name not in before)]
    return {
        name: (before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    }


def _effects(what: RecordedEvent | Decided) -> dict[str, Any]:
    """Give what becomes of an event, without the reasons."""
    word = what.outcome if isinstance(what, RecordedEvent) else what.word
    effects = {name: _reasonless(each) for name, each in what.body.items() if name not in _REASONS}
    effects["outcome"] = word
    if what.changes:
        effects["set"] = dict(what.changes)
    return effects


def _reasonless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: each for name, each in value.items() if name != "because"}
    return value


def _moved(then: RecordedEvent | Decided, now: Decided) -> Verdict:
    before, after = _care(then), _care(now)
    if after == before:
        return Verdict.DIFFERENT
    return Verdict.MORE_CAREFUL if after > before else Verdict.LESS_CAREFUL


def _care(what: RecordedEvent | Decided) -> Outcome:
    word = what.body.get("outcome")
    return Outcome.IGNORE if word is None else Outcome.from_word(word)


def _end(what: RecordedEvent | Decided) -> End:
    word = what.outcome if isinstance(what, RecordedEvent) else what.word
    return End(outcome=word, rule=what.body.get("rule") or NO_RULE)
