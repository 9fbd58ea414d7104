"""Deciding again: a recorded turn through the triage of another configuration.

Nothing is asked, sent or stored: what a decision would queue is thrown away, and the answers of
models are the recorded ones. What cannot be known from the record is said, never guessed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import count
from typing import Any, Final

from router.ages import Ages
from router.domain.conversation import Conversation, TurnMessage
from router.domain.decision import Decision
from router.domain.event import MessageReceived
from router.domain.host_event import AnswerArrived, TimerFired
from router.errors import RouterError
from router.pipeline.ai.question import QUESTION
from router.pipeline.instances.configuration import Configuration
from router.pipeline.triage.snapshot import Restored, restored
from router.pipeline.triage.triage import Triage
from router.pipeline.triage.waiting import TURN_TIMER
from router.rules.decide import GROUNDS
from router.rules.trace import unpacked
from router.storage import codec
from router.storage.decisions import UNSETTLED
from router.storage.recordings import RecordedEvent, RecordedTurn
from router.storage.store import Commit, Work

_WAITING: Final = "waiting"
_ASKING: Final = "asking"


class Doubt(StrEnum):
    """Why a replay cannot say what would have been decided."""

    #: The recorded answer is one to another question.
    STALE = "stale"
    #: The record does not hold what the decision would rest on.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What became of an event.

    :param word: what is kept with the event: an outcome, or ``closed`` and the like.
    :param body: as ``router.storage.codec.decision_values`` gives it.
    :param changes: the attributes that are set.
    :param trace: as it is stored.
    """

    word: str
    body: Mapping[str, Any]
    changes: Mapping[str, str]
    trace: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a turn comes to now.

    :param decided: every decision in it; more than one where the messages of the turn would no
        longer be answered together. Empty where that is not known.
    :param doubt: why it is not known; ``None`` if it is.
    :param because: the same as a sentence for people.
    :param asked: the digest of the question that the recorded answer is none to, and the messages
        that it is about.
    """

    decided: tuple[Decided, ...] = ()
    doubt: Doubt | None = None
    because: str = ""
    asked: tuple[str, tuple[int, ...]] | None = None


class _InDoubt(Exception):
    """The record does not say how it goes on."""

    def __init__(
        self, doubt: Doubt, because: str, asked: tuple[str, tuple[int, ...]] | None = None
    ) -> None:
        super().__init__(because)
        self.replayed = Replayed(doubt=doubt, because=because, asked=asked)


class _RecordedClock:
    """The clock as it stood when an event was worked."""

    def __init__(self) -> None:
        self.at: datetime | None = None

    def now(self) -> datetime:
        if self.at is None:  # pragma: no cover - set before every decision
            message = "the clock of a replay was read before it was set"
            raise AssertionError(message)
        return self.at

    def monotonic(self) -> float:
        return self.now().timestamp()


class Replayer:
    """Decides recorded turns again.

    :param configuration: the one to decide by; its instances are never started.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._clock = _RecordedClock()
        numbers = count(1)
        self._triage = Triage(
            configuration,
            self._clock,
            lambda: f"replay-{next(numbers)}",
            {},
            ages=Ages(self._clock),
        )

    def replay(self, turn: RecordedTurn) -> Replayed:
        """Decide a turn again, from its first event to the one that decided it."""
        if turn.tenant not in self._configuration.settings.tenants:
            because = f'the configuration has no tenant "{turn.tenant}"'
            return Replayed(doubt=Doubt.UNKNOWN, because=because)
        try:
            decided = tuple(self._walk(turn))
        except _InDoubt as doubt:
            return doubt.replayed
        return Replayed(decided=decided)

    def _walk(self, turn: RecordedTurn) -> list[Decided]:
        found: list[Decided] = []
        # Messages that another decision of this turn has answered meanwhile.
        answered: set[int] = set()
        last: Commit | None = None
        for event in turn.events:
            work, memory = self._work(turn, event, answered)
            if answered and not _is_open(work):
                continue
            self._check(turn.tenant, work, memory)
            self._clock.at = memory.at
            commit = self._decide(work)
            if event.question is not None:
                commit = self._asked(commit, event)
            last = commit
            if commit.outcome in UNSETTLED:
                continue
            found.append(_decided(commit))
            answered.update((event.ref.seq, *commit.settles))
        if not found:
            raise _InDoubt(Doubt.UNKNOWN, _undecided(last))
        return found

    def _decide(self, work: Work) -> Commit:
        try:
            return self._triage.decide(work)
        except RouterError as error:
            raise _InDoubt(Doubt.UNKNOWN, f"it could not be decided: {error}") from error

    def _work(
        self, turn: RecordedTurn, event: RecordedEvent, answered: set[int]
    ) -> tuple[Work, Restored]:
        if event.before is None:
            why = "it was recorded without the state of its conversation"
            raise _InDoubt(Doubt.UNKNOWN, why)
        fact = codec.decode(event.kind, event.payload)
        try:
            memory = restored(
                event.before,
                lane_key=event.ref.lane[len(turn.tenant) + 1 :],
                conversation=event.conversation or "replayed",
                item=fact.item if isinstance(fact, AnswerArrived) else None,
                messages=lambda number: _message(turn, number),
            )
        except LookupError:
            why = "a message of the turn is not kept any more"
            raise _InDoubt(Doubt.UNKNOWN, why) from None
        except (AttributeError, TypeError, ValueError) as error:
            why = f"the recorded state of its conversation cannot be read: {error}"
            raise _InDoubt(Doubt.UNKNOWN, why) from None
        work = Work(
            ref=event.ref,
            tenant=turn.tenant,
            source=event.source,
            event=fact,
            received_at=event.received_at,
            contact=memory.contact,
            conversation=_without(memory.conversation, answered),
            known=memory.known,
        )
        return work, memory

    def _check(self, tenant: str, work: Work, memory: Restored) -> None:
        """See to it that what these rules look at was recorded.

        :raises _InDoubt: if it was not.
        """
        rules = self._configuration.rules(tenant)
        if rules.remembers and not memory.remembers and memory.conversation is not None:
            why = "the rules count what was said before, which was not recorded"
            raise _InDoubt(Doubt.UNKNOWN, why)
        answer = work.event
        if not isinstance(answer, AnswerArrived) or answer.classify or answer.completion is None:
            return
        looked_at = {f"answer.{name}" for name in GROUNDS}.intersection(rules.fields)
        if looked_at and answer.grounds is None:
            why = f"the rules look at {', '.join(sorted(looked_at))}, which was not recorded"
            raise _InDoubt(Doubt.UNKNOWN, why)

    def _asked(self, commit: Commit, event: RecordedEvent) -> Commit:
        """Compare what would be asked with the question whose answer was recorded.

        :raises _InDoubt: if they are not the same.
        """
        conversation = commit.conversation
        if commit.outcome == _WAITING and conversation is not None:
            # The record did not wait; the wait ends with nothing more written.
            turn = conversation.turn
            timer = TimerFired(timer=TURN_TIMER, key=conversation.id, generation=turn.generation)
            commit = self._decide(replace(commit.work, event=timer, conversation=conversation))
        if commit.outcome != _ASKING or event.question is None:
            return commit
        digest, numbers = unpacked(commit.trace or b"")[QUESTION]
        recorded, about = event.question
        asked = (digest, tuple(numbers))
        if digest != recorded:
            why = "the recorded answer is one to other instructions, or another backend's"
            raise _InDoubt(Doubt.STALE, why, asked)
        if asked[1] != about:
            raise _InDoubt(Doubt.STALE, "the recorded answer is one to other messages", asked)
        return commit


def _is_open(work: Work) -> bool:
    """Say whether an event still has something to decide about.

    What ends a wait, or answers a question, has nothing left once its messages are answered.
    """
    ends = isinstance(work.event, AnswerArrived) or (
        isinstance(work.event, TimerFired) and work.event.timer == TURN_TIMER
    )
    return not ends or (work.conversation is not None and bool(work.conversation.turn.messages))


def _without(conversation: Conversation | None, answered: set[int]) -> Conversation | None:
    if conversation is None or not answered:
        return conversation
    messages = tuple(it for it in conversation.turn.messages if it.seq not in answered)
    return replace(conversation, turn=replace(conversation.turn, messages=messages))


def _message(turn: RecordedTurn, number: int) -> TurnMessage:
    line = turn.lines[number]
    event = codec.decode("message", line.payload)
    assert isinstance(event, MessageReceived)  # noqa: S101 - for the type checker
    return TurnMessage(
        seq=number,
        text=event.text,
        received_at=line.received_at,
        attachments=event.attachments,
        in_reply_to=event.in_reply_to,
        metadata=event.metadata,
    )


def _undecided(commit: Commit | None) -> str:
    """Say why nothing was decided: a model would be asked, of whom nothing is recorded."""
    trace = unpacked(commit.trace) if commit is not None and commit.trace else {}
    if asked := trace.get("asked"):
        what, backend = asked
        wanted = "an answer" if what == "answer" else "a category"
        return f'"{backend}" would be asked for {wanted}, and none is recorded'
    return "the recorded answer would have come too late"


def _decided(commit: Commit) -> Decided:
    trace = commit.trace or b""
    changes = unpacked(trace).get("decision", {}).get("set", {}) if trace else {}
    decision = commit.decision
    return Decided(word=commit.outcome, body=_values(decision), changes=changes, trace=trace)


def _values(decision: Decision | None) -> dict[str, Any]:
    if decision is None:
        return {}
    # As it would be read back: lists for tuples, and plain words for enumerations.
    values: dict[str, Any] = json.loads(codec.dumps(codec.decision_values(decision)))
    return values
