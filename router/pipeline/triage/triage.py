"""Triage: one event and its thread in, everything that it changes out. No I/O, no waiting.

What would take time (a model, an action, a send) leaves as an outbox item, and what it brings
back is another event of the same lane.
"""

from collections.abc import Mapping

from router.ages import Ages
from router.clock import Clock
from router.domain.event import (
    CallEnded,
    ContactOptedOut,
    DeliveryReported,
    MessageEchoed,
    MessageReceived,
)
from router.domain.host_event import (
    AnswerArrived,
    ConversationChanged,
    FileFetched,
    OwnEcho,
    TimerFired,
    Unparsed,
    VoiceTranscribed,
)
from router.ids import Ids
from router.pipeline.instances.configuration import Configuration
from router.pipeline.media.attachments import RECORDING
from router.pipeline.outbound.approvals import Approvals
from router.pipeline.triage.calls import Calls
from router.pipeline.triage.case import IDLE_TIMER, Cases, close_turn
from router.pipeline.triage.changes import Changes
from router.pipeline.triage.quiet import Quiet
from router.pipeline.triage.received import received
from router.pipeline.triage.reports import Reports
from router.pipeline.triage.turns import Turns
from router.pipeline.triage.waiting import is_awaited
from router.rules.decide import failed
from router.rules.facts import Facts
from router.storage.store import Commit, Work


class Triage:
    """Decides about events under one configuration.

    :param aliases: the addresses learnt so far, as the store keeps them in memory.
    :param ages: by which it is judged who has been silent for long.
    :param approvals: what providers say of their templates; ``None``: nothing is known.
    """

    def __init__(
        self,
        configuration: Configuration,
        clock: Clock,
        ids: Ids,
        aliases: Mapping[tuple[str, str], str],
        *,
        ages: Ages,
        approvals: Approvals | None = None,
    ) -> None:
        self._aliases = aliases
        self._cases = Cases(configuration, clock, ids, ages, approvals)
        self._turns = Turns(self._cases)
        self._quiet = Quiet(self._cases)
        self._reports = Reports(self._cases)
        self._calls = Calls(self._cases)
        self._changes = Changes(self._cases)

    def missing(self, work: Work) -> str | None:
        """Name what an event needs and the configuration has not; ``None``: it has all."""
        known = work.tenant in self._cases.configuration.settings.tenants
        return None if known else f'tenant "{work.tenant}"'

    def decide(self, work: Work) -> Commit:
        """Give everything that an event changes."""
        match work.event:
            case MessageReceived() as message:
                opened = received(self._cases, self._aliases, work, message)
                return self._turns.message(opened, message)
            case AnswerArrived() as answer:
                return self._turns.answer(work, answer)
            case TimerFired() as timer if timer.timer == IDLE_TIMER:
                return self._quiet.timer(work, timer)
            case TimerFired() as timer:
                return self._turns.timer(work, timer)
            case DeliveryReported() as report:
                return self._reports.delivery(work, report)
            case MessageEchoed() as echo:
                return self._reports.echo(work, echo)
            case ContactOptedOut():
                return self._reports.opted_out(work)
            case ConversationChanged() as changed:
                return self._changes.changed(work, changed)
            case CallEnded() as call:
                return self._calls.ended(work, call)
            case FileFetched() as file if file.attached == RECORDING:
                return self._calls.recorded(work, file)
            case FileFetched() | VoiceTranscribed() as known:
                return self._turns.attachment(work, known)
            case OwnEcho():
                return Commit(work=work, outcome="recorded", conversation=work.conversation)
            case Unparsed() as request:
                if work.ref.lane == f"{work.tenant}/raw:{request.channel}":
                    return Commit(work=work, outcome="unparsed")
                # No request at all: an event that was stored in a form unknown to this version.
                return Commit(work=work, outcome="dead", dead_error=request.error)

    def give_up(self, work: Work, error: str) -> Commit:
        """Give the commit of an event that cannot be worked: a dead letter, and an apology.

        Only somebody who waits for an answer is told anything: who wrote, or whose turn is open.
        """
        conversation = work.conversation
        if isinstance(work.event, MessageReceived):
            case = received(self._cases, self._aliases, work, work.event)
        elif conversation is not None and is_awaited(work.event, conversation.turn):
            case = self._cases.open(work, conversation)
        else:
            return Commit(
                work=work,
                outcome="dead",
                timers=self._quiet.look_again(work),
                dead_error=error,
            )
        facts = Facts({**case.facts(), "event.kind": "message", "text": case.text})
        rules = self._cases.configuration.rules(work.tenant)
        conclusion = failed(rules, case.policy, facts, None, f"it could not be worked: {error}")
        close_turn(case, work.ref.seq)
        return self._cases.settled(
            case, conclusion.decision, conclusion.trace, outcome="dead", dead_error=error
        )
