"""Cases: one event being worked, and the ways in which its commit comes about."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from router.ages import Ages
from router.clock import Clock
from router.domain.conversation import BOT, Conversation, ConversationStatus
from router.domain.decision import Decision, Outcome
from router.domain.event import MessageReceived
from router.domain.host_event import AnswerArrived, FileFetched, TimerFired, VoiceTranscribed
from router.domain.record import changed
from router.ids import Ids
from router.pipeline.instances.configuration import Configuration
from router.pipeline.media.attachments import hearing
from router.pipeline.outbound.approvals import Approvals
from router.pipeline.outbound.planning import Quiet, Setting, plan
from router.pipeline.outbound.plans import applied
from router.pipeline.outbound.reaching import moved, reach_of
from router.pipeline.triage import facts as facting
from router.pipeline.triage import memory
from router.pipeline.triage.announcing import announced
from router.pipeline.triage.commit import Committer, pack
from router.pipeline.triage.effects import Effect
from router.pipeline.triage.snapshot import BEFORE, snapshot
from router.rules.engine import read
from router.rules.facts import Facts
from router.rules.policy import Policy
from router.rules.recall import History
from router.rules.trace import decision_values
from router.storage.store import Commit, Event, NewItem, NewMessage, NewTimer, Tx, Work

#: The timer that closes a conversation in which nobody writes any more.
IDLE_TIMER: Final = "idle"


@dataclass(slots=True)
class Case:
    """One event being worked: the thread as the event makes it, and what it brings about."""

    work: Work
    policy: Policy
    now: datetime
    #: The same, to judge by how long somebody has been silent.
    aged: datetime
    conversation: Conversation
    new: bool = False
    owner: str | None = None
    #: How long after the customer's last message free text may be sent; ``None`` for always.
    window: timedelta | None = None
    #: What the customer has written and nobody has answered: what a notice tells.
    text: str = ""
    #: How long a turn waits for what is said in a voice note; ``None``: nobody listens.
    hearing: timedelta | None = None
    messages: tuple[NewMessage, ...] = ()
    items: tuple[NewItem, ...] = ()
    effects: tuple[Effect, ...] = ()
    timers: tuple[NewTimer, ...] = ()
    settles: tuple[int, ...] = ()

    def facts(self) -> dict[str, object]:
        before = self.work.conversation
        return facting.thread_facts(
            self.conversation,
            tenant=self.work.tenant,
            policy=self.policy,
            new=self.new,
            now=self.now,
            aged=self.aged,
            opened=before is None,
            window=self.window,
            heard_at=None if before is None else before.last_in_at,
        )

    def history(self) -> History:
        """Give what was said lately."""
        return memory.history(self.conversation.attributes, self.now)


class Cases:
    """Opens cases under one configuration, and makes commits of them."""

    def __init__(
        self,
        configuration: Configuration,
        clock: Clock,
        ids: Ids,
        ages: Ages,
        approvals: Approvals | None = None,
    ) -> None:
        self._ages = ages
        self._approvals = approvals
        self.configuration = configuration
        self.clock = clock
        self.ids = ids
        self._committer = Committer(configuration, ids)

    def open(self, work: Work, conversation: Conversation) -> Case:
        """Begin the case of an event. Who was silent for long has handed the thread back."""
        now, aged = self.clock.now(), self._ages.now()
        policy = self.configuration.policy(work.tenant)
        live = self.configuration.instances.channels.get((work.tenant, conversation.channel))
        case = Case(
            work=work,
            policy=policy,
            now=now,
            aged=aged,
            conversation=conversation,
            text=conversation.turn.text,
            window=None if live is None else live.capabilities.window,
            hearing=hearing(self.configuration, work.tenant, conversation.channel),
        )
        if facting.owner_now(conversation, policy, aged) != conversation.owner:
            case.owner = BOT
            case.conversation = changed(conversation, owner=BOT, status=ConversationStatus.ACTIVE)
        return case

    def read(self, case: Case, facts: Facts) -> Commit:
        """Let rules about echoes and deliveries have their say; they never ask a model."""
        reading = read(self.configuration.rules(case.work.tenant), case.policy, facts)
        if reading.decision is None:  # pragma: no cover - only messages ask
            message = "only messages may ask a model"
            raise AssertionError(message)
        return self.settled(case, reading.decision, reading.trace)

    def undecided(
        self,
        case: Case,
        outcome: str,
        trace: Mapping[str, Any],
        items: tuple[NewItem, ...] = (),
    ) -> Commit:
        """Give the commit of an event whose decision is still to come."""
        self._release(case)
        because = {"waiting": "waits for the customer to finish", "asking": "a model is asked"}
        decision = Decision(outcome=Outcome.IGNORE, because=because[outcome])
        return Commit(
            work=case.work,
            outcome=outcome,
            conversation=case.conversation,
            owner=case.owner,
            messages=case.messages,
            decision=decision,
            trace=pack({**trace, **self.hashes(), **self._before(case)}),
            items=(*case.items, *items),
            timers=case.timers,
            effects=(
                *case.effects,
                *announced(
                    self.configuration.rules(case.work.tenant),
                    case.work,
                    case.conversation,
                    decision,
                ),
            ),
        )

    def settled(
        self,
        case: Case,
        decision: Decision,
        trace: Mapping[str, Any],
        *,
        outcome: str | None = None,
        dead_error: str | None = None,
    ) -> Commit:
        """Give the commit of a decision.

        :param trace: how it was made, the decision itself in it if it says anything.
        """
        self._release(case)
        decision, trace, at = self._planned(case, decision, trace)
        return self._committer.commit(
            case.work,
            case.conversation,
            decision,
            {**trace, **self.hashes(), **self._before(case)},
            messages=case.messages,
            items=case.items,
            timers=case.timers,
            effects=case.effects,
            owner=case.owner,
            settles=case.settles,
            text=case.text,
            now=case.now,
            outcome=outcome,
            dead_error=dead_error,
            not_before=at,
        )

    def _release(self, case: Case) -> None:
        """Withdraw what quiet hours hold back, once the customer writes themselves."""
        attributes = case.conversation.attributes
        if not answers(case.work.event) or not memory.held(attributes, case.now):
            return
        effect = partial(_withdraw_held, tenant=case.work.tenant, thread=case.conversation.id)
        case.effects = (*case.effects, effect)
        case.conversation = changed(case.conversation, attributes=memory.released(attributes))

    def _planned(
        self, case: Case, decision: Decision, trace: Mapping[str, Any]
    ) -> tuple[Decision, Mapping[str, Any], datetime | None]:
        """Plan what a decision says: where, how and when it leaves, or why it does not."""
        if not decision.replies:
            return decision, trace, None
        tenant, channel = case.work.tenant, decision.channel or case.conversation.channel
        can = self.configuration.capabilities(tenant, channel)
        reach = reach_of(
            case.conversation,
            channel,
            wrote=() if case.work.known is None else case.work.known.wrote,
            can=can,
        )
        setting = Setting(
            asked=answers(case.work.event),
            opted_out=case.conversation.contact.opted_out,
            confirms=decision.opted_out is True,
            quiet=_quiet(case.policy),
        )
        language = case.policy.language
        approvals = self._approvals
        listing = None if approvals is None else approvals.get(tenant, channel, case.now)
        made = plan(decision.replies, reach, setting, case.now, listing=listing)
        before, decision = decision, applied(decision, made, language)
        if decision.channel is not None:
            case.conversation = moved(case.conversation, reach)
        if made.sends and made.at is not None:
            attributes = memory.holding(case.conversation.attributes, made.at)
            case.conversation = changed(case.conversation, attributes=attributes)
        # A trace speaks English throughout, as its readers do; what people read is the ticket.
        told: dict[str, Any] = {"plan": made.values("en")}
        if decision is not before:
            told["decision"] = decision_values(decision)
        return decision, {**trace, **told}, made.at

    def hashes(self) -> dict[str, str]:
        """Give what names the configuration in a trace."""
        return {"settings": self.configuration.settings.hash}

    def _before(self, case: Case) -> dict[str, Any]:
        """Give what the decision was made on, so that it can be made again."""
        remembers = self.configuration.rules(case.work.tenant).remembers
        return {BEFORE: snapshot(case.work, case.now, remembers=remembers)}


def _quiet(policy: Policy) -> Quiet | None:
    if policy.quiet_hours is None:
        return None
    return Quiet(policy.quiet_hours, policy.timezone)


def _withdraw_held(tx: Tx, *, tenant: str, thread: str) -> None:
    from router.storage.fence import withdraw_held

    withdraw_held(tx.connection, tenant, thread, "the customer wrote before it was sent", tx.now)


def answers(event: Event) -> bool:
    """Say whether what is said after an event answers what the customer wrote."""
    if isinstance(event, TimerFired):
        return event.timer != IDLE_TIMER
    heard = (MessageReceived, AnswerArrived, FileFetched, VoiceTranscribed)
    return isinstance(event, heard)


def close_turn(case: Case, seq: int) -> None:
    """Take the messages up to ``seq`` out of the turn: they are answered."""
    turn = case.conversation.turn
    rest = tuple(item for item in turn.messages if item.seq > seq)
    settled = tuple(item.seq for item in turn.messages if item.seq <= seq)
    here = case.work.ref.seq
    case.settles += tuple(number for number in settled if number != here)
    turn = changed(turn, messages=rest, pending_ask=None)
    case.conversation = changed(case.conversation, turn=turn)


def close_message(case: Case, seq: int) -> None:
    """Take one message out of the turn: it is answered, and the others are not."""
    turn = case.conversation.turn
    rest = tuple(item for item in turn.messages if item.seq != seq)
    case.settles += (seq,)
    case.conversation = changed(case.conversation, turn=changed(turn, messages=rest))


def idle_timer(
    case: Case, due_at: datetime, generation: int, payload: Mapping[str, Any] | None = None
) -> NewTimer:
    """Give the timer that looks whether a conversation has been quiet."""
    name = case.conversation.id
    return NewTimer(
        kind=IDLE_TIMER, key=name, due_at=due_at, generation=generation, payload=payload or {}
    )
