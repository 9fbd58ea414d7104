"""Waiting: how long a turn waits for its customer to have finished, and to have been heard out."""

from datetime import datetime
from typing import Final

from router.domain.conversation import Turn, TurnMessage
from router.domain.host_event import AnswerArrived, TimerFired
from router.domain.record import changed
from router.pipeline.media.attachments import unheard_until
from router.pipeline.triage.case import Case
from router.storage.store import NewTimer

#: The timer that waits for the customer to have finished writing.
TURN_TIMER: Final = "turn"


def is_awaited(event: object, turn: Turn) -> bool:
    """Tell whether a turn stands still without this event: then somebody waits for an answer."""
    if isinstance(event, AnswerArrived):
        return turn.pending_ask == event.item
    if isinstance(event, TimerFired) and event.timer == TURN_TIMER:
        return bool(turn.messages) and event.generation == turn.generation
    return False


def is_unheard(message: TurnMessage, case: Case) -> bool:
    """Tell whether what is said in a message is still awaited."""
    until = unheard_until((message,), case.hearing)
    return until is not None and until > case.now


def is_settled_soon(turn: Turn, case: Case) -> bool:
    """Tell whether an answer is under way that counts, whatever the customer writes meanwhile.

    Somebody who goes on writing, before a model that takes its time, would else wait for ever.
    """
    if turn.pending_ask is None or turn.started_at is None:
        return False
    return case.now >= turn.started_at + case.policy.debounce_cap


def set_turn_timer(case: Case, turn: Turn, *, quiet_since: datetime) -> None:
    """Look at a turn again when the customer has been quiet, or has waited long enough."""
    policy, started = case.policy, turn.started_at or case.now
    due = min(quiet_since + policy.debounce, started + policy.debounce_cap)
    if heard := unheard_until(turn.messages, case.hearing):
        due = max(due, heard)
    turn = changed(turn, generation=turn.generation + 1)
    case.conversation = changed(case.conversation, turn=turn)
    timer = NewTimer(
        kind=TURN_TIMER,
        key=case.conversation.id,
        due_at=max(due, case.now),
        generation=turn.generation,
    )
    case.timers = (*case.timers, timer)


def ask_for_the_rest(case: Case) -> None:
    """See to it that messages which an answer leaves open are asked about, too."""
    turn = case.conversation.turn
    if turn.messages:
        set_turn_timer(case, turn, quiet_since=turn.messages[-1].received_at)
