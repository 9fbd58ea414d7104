"""Triage: one event and its thread in, everything that it changes out. No I/O, no waiting.

What would take time (a model, an action, a send) leaves as an outbox item, and what it brings
back is another event of the same lane.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from router.clock import Clock
from router.domain.conversation import (
    BOT,
    NOBODY,
    Contact,
    Conversation,
    ConversationStatus,
    Turn,
    TurnMessage,
)
from router.domain.decision import AskRequest, Decision, Outcome
from router.domain.event import DeliveryReported, MessageEchoed, MessageReceived
from router.domain.host_event import AnswerArrived, OwnEcho, TimerFired, Unparsed
from router.domain.identity import thread_key
from router.domain.message import Author, Direction
from router.domain.outbox import ItemKind
from router.ids import Ids
from router.pipeline import facts as facting
from router.pipeline.commit import Committer, Effect, pack
from router.pipeline.configuration import Configuration
from router.rules.decide import conclude, failed
from router.rules.engine import Reading, read
from router.rules.facts import Facts
from router.rules.policy import Policy
from router.storage.store import Commit, NewItem, NewMessage, NewTimer, Tx, Work

#: The timer that waits for the customer to have finished writing.
TURN_TIMER = "turn"
#: The timer that closes a conversation in which nobody writes any more.
IDLE_TIMER = "idle"


@dataclass(slots=True)
class _Case:
    """One event being worked: the thread as the event makes it, and what it brings about."""

    work: Work
    policy: Policy
    now: datetime
    conversation: Conversation
    new: bool = False
    owner: str | None = None
    #: What the customer has written and nobody has answered: what a notice tells.
    text: str = ""
    messages: tuple[NewMessage, ...] = ()
    effects: tuple[Effect, ...] = ()
    timers: tuple[NewTimer, ...] = ()
    settles: tuple[int, ...] = ()

    def facts(self) -> dict[str, object]:
        return facting.thread_facts(
            self.conversation,
            tenant=self.work.tenant,
            policy=self.policy,
            new=self.new,
            now=self.now,
        )


class Triage:
    """Decides about events under one configuration.

    :param aliases: the addresses learnt so far, as the store keeps them in memory.
    """

    def __init__(
        self,
        configuration: Configuration,
        clock: Clock,
        ids: Ids,
        aliases: Mapping[tuple[str, str], str],
    ) -> None:
        self._configuration = configuration
        self._aliases = aliases
        self._clock = clock
        self._ids = ids
        self._committer = Committer(configuration, ids)

    def decide(self, work: Work) -> Commit:
        """Give everything that an event changes."""
        match work.event:
            case MessageReceived() as message:
                return self._message(work, message)
            case AnswerArrived() as answer:
                return self._answer(work, answer)
            case TimerFired() as timer:
                return self._timer(work, timer)
            case DeliveryReported() as report:
                return self._delivery(work, report)
            case MessageEchoed() as echo:
                return self._echo(work, echo)
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
        if isinstance(work.event, MessageReceived):
            case = self._received(work, work.event)
        elif work.conversation is not None and isinstance(work.event, AnswerArrived | TimerFired):
            case = self._case(work, work.conversation)
        else:
            return Commit(work=work, outcome="dead", dead_error=error)
        facts = Facts({**case.facts(), "event.kind": "message", "text": case.text})
        rules = self._configuration.rules(work.tenant)
        conclusion = failed(rules, case.policy, facts, None, f"it could not be worked: {error}")
        self._close_turn(case, work.ref.seq)
        return self._settled(
            case, conclusion.decision, conclusion.trace, outcome="dead", dead_error=error
        )

    # --- what a customer wrote

    def _message(self, work: Work, event: MessageReceived) -> Commit:
        case = self._received(work, event)
        message = TurnMessage(
            seq=work.ref.seq,
            text=event.text,
            received_at=work.received_at,
            attachments=event.attachments,
        )
        before = case.conversation.turn
        turn = replace(before, messages=(*before.messages, message))
        facts = facting.message_facts(message, turn, case.now, case.facts())
        reading = read(self._configuration.rules(work.tenant), case.policy, facts)
        if reading.decision is not None:
            # What was asked before and still waits for its answer goes on waiting, unless a
            # person takes over now.
            if reading.decision.outcome > Outcome.REPLY:
                self._close_turn(case, work.ref.seq)
            return self._settled(case, reading.decision, reading.trace)
        if case.policy.debounce:
            return self._wait(case, turn, reading)
        return self._ask(case, turn, reading, {})

    def _received(self, work: Work, event: MessageReceived) -> _Case:
        """Give the thread as a message makes it: found or opened, with what it tells of people."""
        source = work.source.split("/")
        known, contact = work.conversation, work.contact
        key = work.ref.lane[len(work.tenant) + 1 :]
        effects: list[Effect] = []
        if contact is None:
            contact = Contact(id=self._ids(), key=key, name=event.name, language=event.language)
        else:
            contact = self._told(work.tenant, contact, event, effects)
        for address in event.aliases:
            other = thread_key(address)
            if other != key and self._aliases.get((work.tenant, other)) != key:
                effects.append(partial(_learn, tenant=work.tenant, address=other, key=key))
        base = known or Conversation(
            id=self._ids(), contact=contact, channel=source[1], address=event.sender
        )
        conversation = replace(
            base,
            contact=contact,
            channel=source[1],
            address=event.sender,
            last_in_at=work.received_at,
            last_provider_id=event.id,
        )
        case = self._case(work, conversation)
        case.new = work.contact is None
        if known is None:
            case.timers = (_idle_timer(case, case.now + case.policy.idle_close, 1),)
        case.text = "\n".join(text for text in (case.text, event.text) if text)
        case.effects = tuple(effects)
        case.messages = (
            NewMessage(
                id=self._ids(),
                direction=Direction.IN,
                author=Author.CUSTOMER,
                text=event.text,
                channel=source[1],
                address=event.sender,
                attachments=event.attachments,
                provider_id=event.id,
            ),
        )
        return case

    def _told(
        self, tenant: str, contact: Contact, event: MessageReceived, effects: list[Effect]
    ) -> Contact:
        name = event.name or contact.name
        language = event.language or contact.language
        if (name, language) == (contact.name, contact.language):
            return contact
        values = {"name": name, "language": language}
        effects.append(partial(_update, tenant=tenant, contact=contact.id, values=values))
        return replace(contact, name=name, language=language)

    def _wait(self, case: _Case, turn: Turn, reading: Reading) -> Commit:
        """Give the customer a moment to finish; the timer's event then asks about all of it."""
        policy, started = case.policy, turn.started_at or case.now
        due = min(case.now + policy.debounce, started + policy.debounce_cap)
        turn = replace(turn, generation=turn.generation + 1)
        case.conversation = replace(case.conversation, turn=turn)
        timer = NewTimer(
            kind=TURN_TIMER,
            key=case.conversation.id,
            due_at=max(due, case.now),
            generation=turn.generation,
        )
        case.timers = (*case.timers, timer)
        return self._undecided(case, "waiting", reading.trace)

    # --- what falls due, and what comes back

    def _timer(self, work: Work, event: TimerFired) -> Commit:
        conversation = work.conversation
        if conversation is None or event.key != conversation.id:
            return Commit(work=work, outcome="superseded", conversation=conversation)
        if event.timer == IDLE_TIMER:
            return self._idle(self._case(work, conversation), event)
        turn = conversation.turn
        if event.generation != turn.generation or not turn.messages:
            return Commit(work=work, outcome="superseded", conversation=conversation)
        return self._turn(self._case(work, conversation), turn, {})

    def _idle(self, case: _Case, event: TimerFired) -> Commit:
        """Close a conversation that has been quiet, or look again when it may have been.

        The timer is not set anew at each message: that would be one more write for each.
        """
        conversation, quiet = case.conversation, case.policy.idle_close
        heard = (conversation.last_in_at, conversation.last_person_at, conversation.owner_since)
        last = max((moment for moment in heard if moment is not None), default=case.now - quiet)
        waits = conversation.turn.messages or conversation.owner == NOBODY
        again = case.now + quiet if waits else last + quiet
        if waits or again > case.now:
            case.timers = (_idle_timer(case, again, event.generation + 1),)
            outcome = "recorded"
        else:
            case.conversation = replace(conversation, status=ConversationStatus.CLOSED)
            outcome = "closed"
        return Commit(
            work=case.work, outcome=outcome, conversation=case.conversation, timers=case.timers
        )

    def _turn(
        self, case: _Case, turn: Turn, ai: Mapping[str, object], after: tuple[int, ...] = ()
    ) -> Commit:
        """Read the rules over a whole turn, and ask if they leave it open."""
        facts = facting.turn_facts(turn, case.now, {**case.facts(), **ai})
        reading = read(self._configuration.rules(case.work.tenant), case.policy, facts)
        if reading.decision is not None:
            case.settles = tuple(number for number in after if number > turn.messages[-1].seq)
            self._close_turn(case, turn.messages[-1].seq)
            return self._settled(case, reading.decision, reading.trace)
        return self._ask(case, turn, reading, ai, after)

    def _ask(
        self,
        case: _Case,
        turn: Turn,
        reading: Reading,
        ai: Mapping[str, object],
        after: tuple[int, ...] = (),
    ) -> Commit:
        request = reading.ask
        if request is None:  # pragma: no cover - a reading has a decision or an ask
            message = "the reading has neither a decision nor a question"
            raise AssertionError(message)
        conversation = case.conversation
        asked_by = (*after, case.work.ref.seq)
        item = self._question(conversation, turn, request, reading, ai, asked_by)
        turn = replace(turn, pending_ask=item.id)
        case.conversation = replace(conversation, turn=turn)
        return self._undecided(case, "asking", reading.trace, items=(item,))

    def _question(
        self,
        conversation: Conversation,
        turn: Turn,
        request: AskRequest,
        reading: Reading,
        ai: Mapping[str, object],
        asked_by: tuple[int, ...],
    ) -> NewItem:
        kind = ItemKind.CLASSIFY if request.classify else ItemKind.ASK
        body = {
            "asked_seq": turn.messages[-1].seq,
            "asked_by": asked_by,
            "lane_key": conversation.contact.key,
            "text": turn.text,
            "language": reading.language or conversation.language or conversation.contact.language,
            "ai": dict(ai),
        }
        return NewItem(
            id=self._ids(),
            kind=kind,
            lane=conversation.id,
            author=Author.BOT,
            destination=request.backend,
            body=json.dumps(body, ensure_ascii=False, default=str),
        )

    def _answer(self, work: Work, event: AnswerArrived) -> Commit:
        conversation = work.conversation
        if conversation is None or conversation.turn.pending_ask != event.item:
            return self._superseded(work, event, "the conversation has moved on")
        case = self._case(work, conversation)
        turn = conversation.turn
        asked = tuple(item for item in turn.messages if item.seq <= event.asked_seq)
        newer = len(asked) < len(turn.messages)
        capped = bool(asked) and case.now >= asked[0].received_at + case.policy.debounce_cap
        if not asked or (newer and not capped):
            return self._superseded(work, event, "the customer has written more since")
        seen = replace(turn, messages=asked)
        ai = dict(event.ai)
        if event.classify:
            ai |= facting.classified_facts(event.completion)
            return self._turn(case, seen, ai, event.asked_by)
        facts = facting.turn_facts(seen, case.now, {**case.facts(), **ai})
        rules = self._configuration.rules(work.tenant)
        reading = read(rules, case.policy, facts)
        case.settles = tuple(number for number in event.asked_by if number > event.asked_seq)
        self._close_turn(case, event.asked_seq)
        if reading.decision is not None:
            # A person took over or the rules changed while the model was thinking.
            return self._settled(case, reading.decision, reading.trace)
        if event.completion is None:
            reason = f'"{event.backend}" failed: {event.error}'
            conclusion = failed(rules, case.policy, facts, reading, reason)
        else:
            conclusion = conclude(rules, case.policy, facts, reading, event.completion)
        trace = {**conclusion.trace, "model": _model(event)}
        return self._settled(case, conclusion.decision, trace)

    def _superseded(self, work: Work, event: AnswerArrived, because: str) -> Commit:
        """Record an answer that came too late; the turn stays open."""
        conversation = work.conversation
        if conversation is not None and conversation.turn.pending_ask == event.item:
            turn = replace(conversation.turn, pending_ask=None)
            conversation = replace(conversation, turn=turn)
        decision = Decision(outcome=Outcome.IGNORE, because=because)
        trace = {"model": _model(event), "steps": [f"superseded: {because}"]}
        return Commit(
            work=work,
            outcome="superseded",
            conversation=conversation,
            # The question is settled; the messages it was about wait for another one.
            settles=tuple(number for number in event.asked_by if number > event.asked_seq),
            decision=decision,
            trace=pack({**trace, **self._hashes()}),
        )

    # --- what people and providers report

    def _echo(self, work: Work, event: MessageEchoed) -> Commit:
        """Record what a person wrote outside the router. Owner and epoch changed at acceptance."""
        conversation = work.conversation
        if conversation is None:  # closed since; the fence had opened it
            return Commit(work=work, outcome="recorded")
        case = self._case(work, replace(conversation, bot_turns=0))
        self._close_turn(case, work.ref.seq)
        case.messages = (
            NewMessage(
                id=self._ids(),
                direction=Direction.OUT,
                author=Author.PERSON,
                text=event.text,
                channel=work.source.split("/")[1],
                address=event.recipient,
                attachments=event.attachments,
                provider_id=event.provider_id or event.id,
                status="sent",
            ),
        )
        case.timers = (_idle_timer(case, case.now + case.policy.idle_close, work.ref.seq),)
        facts = facting.echo_facts(event.text, event.attachments, case.facts())
        return self._read(case, facts)

    def _delivery(self, work: Work, event: DeliveryReported) -> Commit:
        channel = work.source.split("/")[1]
        effect = partial(_report, tenant=work.tenant, channel=channel, event=event)
        if work.conversation is None:
            return Commit(work=work, outcome="recorded", effects=(effect,))
        case = self._case(work, work.conversation)
        case.effects = (effect,)
        return self._read(case, facting.delivery_facts(event, case.facts()))

    def _read(self, case: _Case, facts: Facts) -> Commit:
        """Let rules about echoes and deliveries have their say; they never ask a model."""
        reading = read(self._configuration.rules(case.work.tenant), case.policy, facts)
        if reading.decision is None:  # pragma: no cover - only messages ask
            message = "only messages may ask a model"
            raise AssertionError(message)
        return self._settled(case, reading.decision, reading.trace)

    # --- common to all

    def _case(self, work: Work, conversation: Conversation) -> _Case:
        now = self._clock.now()
        policy = self._configuration.policy(work.tenant)
        case = _Case(
            work=work,
            policy=policy,
            now=now,
            conversation=conversation,
            text=conversation.turn.text,
        )
        if facting.owner_now(conversation, policy, now) != conversation.owner:
            case.owner = BOT
            case.conversation = replace(conversation, owner=BOT, status=ConversationStatus.ACTIVE)
        return case

    def _close_turn(self, case: _Case, seq: int) -> None:
        """Take the messages up to ``seq`` out of the turn: they are answered."""
        turn = case.conversation.turn
        rest = tuple(item for item in turn.messages if item.seq > seq)
        settled = tuple(item.seq for item in turn.messages if item.seq <= seq)
        here = case.work.ref.seq
        case.settles += tuple(number for number in settled if number != here)
        turn = replace(turn, messages=rest, pending_ask=None)
        case.conversation = replace(case.conversation, turn=turn)

    def _undecided(
        self,
        case: _Case,
        outcome: str,
        trace: Mapping[str, Any],
        items: tuple[NewItem, ...] = (),
    ) -> Commit:
        because = {"waiting": "waits for the customer to finish", "asking": "a model is asked"}
        decision = Decision(outcome=Outcome.IGNORE, because=because[outcome])
        return Commit(
            work=case.work,
            outcome=outcome,
            conversation=case.conversation,
            owner=case.owner,
            messages=case.messages,
            decision=decision,
            trace=pack({**trace, **self._hashes()}),
            items=items,
            timers=case.timers,
            effects=case.effects,
        )

    def _settled(
        self,
        case: _Case,
        decision: Decision,
        trace: Mapping[str, Any],
        *,
        outcome: str | None = None,
        dead_error: str | None = None,
    ) -> Commit:
        return self._committer.commit(
            case.work,
            case.conversation,
            decision,
            {**trace, **self._hashes()},
            messages=case.messages,
            timers=case.timers,
            effects=case.effects,
            owner=case.owner,
            settles=case.settles,
            text=case.text,
            outcome=outcome,
            dead_error=dead_error,
        )

    def _hashes(self) -> dict[str, str]:
        return {"settings": self._configuration.settings.hash}


def _idle_timer(case: _Case, due_at: datetime, generation: int) -> NewTimer:
    name = case.conversation.id
    return NewTimer(kind=IDLE_TIMER, key=name, due_at=due_at, generation=generation)


def _model(event: AnswerArrived) -> dict[str, Any]:
    found: dict[str, Any] = {"backend": event.backend, "seconds": round(event.seconds, 3)}
    if event.passages:
        found["passages"] = list(event.passages)
    if event.error:
        found["error"] = event.error
    if event.completion is not None:
        usage = event.completion.usage
        if usage.model:
            found["model"] = usage.model
        if usage.input_tokens or usage.output_tokens:
            found["tokens"] = [usage.input_tokens, usage.output_tokens]
    return found


def _learn(tx: Tx, *, tenant: str, address: str, key: str) -> None:
    from router.storage.contacts import learn_address

    learn_address(tx, tenant, address, key)


def _update(tx: Tx, *, tenant: str, contact: str, values: Mapping[str, Any]) -> None:
    from router.storage.contacts import update_contact

    update_contact(tx.connection, tenant, contact, values)


def _report(tx: Tx, *, tenant: str, channel: str, event: DeliveryReported) -> None:
    from router.storage.deliveries import apply_report

    apply_report(tx.connection, tenant, channel, event, tx.now)
