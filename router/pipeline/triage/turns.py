"""Turns: what a customer writes until they are answered; waiting, asking, and what comes back."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from router.domain.conversation import Conversation, Turn, TurnMessage
from router.domain.decision import AskRequest, Decision, Outcome
from router.domain.event import MessageReceived
from router.domain.host_event import AnswerArrived, FileFetched, TimerFired, VoiceTranscribed
from router.domain.record import changed
from router.pipeline.ai.question import QUESTION, question_digest, question_item
from router.pipeline.media.attachments import (
    describe,
    described_turn,
    transcription,
    unheard_until,
)
from router.pipeline.triage import facts as facting
from router.pipeline.triage.case import Case, Cases, close_message, close_turn
from router.pipeline.triage.commit import pack
from router.pipeline.triage.waiting import (
    ask_for_the_rest,
    is_settled_soon,
    is_unheard,
    set_turn_timer,
)
from router.rules.decide import conclude, failed
from router.rules.engine import Reading, read
from router.rules.grounds import Grounds
from router.storage.store import Commit, NewItem, NewTimer, Work


class Turns:
    """Decides about turns."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases

    def message(self, case: Case, event: MessageReceived) -> Commit:
        """Decide about a message, or make it part of a turn that is asked about."""
        work = case.work
        message = TurnMessage(
            seq=work.ref.seq,
            text=event.text,
            received_at=work.received_at,
            attachments=event.attachments,
            in_reply_to=event.in_reply_to,
            metadata=event.metadata,
        )
        before = case.conversation.turn
        turn = changed(before, messages=(*before.messages, message))
        if is_unheard(message, case):
            return self._listen(case, turn)
        return self._read(case, message, turn)

    def attachment(self, work: Work, event: FileFetched | VoiceTranscribed) -> Commit:
        """Take up what became known of an attachment; a voice note is decided about now.

        What comes too late, when its turn is answered or a model is at it, decides nothing.
        """
        effect = partial(describe, work=work, event=event)
        items = self._to_hear(work, event)
        conversation = work.conversation
        before = () if conversation is None else conversation.turn.messages
        known = next((it for it in before if it.seq == event.message_seq), None)
        if conversation is None or known is None or event.index >= len(known.attachments):
            return Commit(
                work=work,
                outcome="recorded",
                conversation=conversation,
                items=items,
                effects=(effect,),
            )
        case = self._cases.open(work, conversation)
        case.effects = (effect,)
        turn = described_turn(conversation.turn, event)
        message = next(it for it in turn.messages if it.seq == event.message_seq)
        case.conversation = changed(case.conversation, turn=turn)
        waited = is_unheard(known, case)
        if not waited or is_unheard(message, case) or turn.pending_ask is not None:
            return Commit(
                work=work,
                outcome="recorded",
                conversation=case.conversation,
                owner=case.owner,
                items=items,
                effects=case.effects,
            )
        return self._read(case, message, turn)

    def _to_hear(self, work: Work, event: FileFetched | VoiceTranscribed) -> tuple[NewItem, ...]:
        """Give what has a voice note written down. Late or not: people want to read it."""
        if not isinstance(event, FileFetched):
            return ()
        return transcription(self._cases.configuration, work, event, self._cases.ids)

    def _read(self, case: Case, message: TurnMessage, turn: Turn) -> Commit:
        """Read the rules about a message that has been heard out."""
        work, before = case.work, case.conversation.turn
        case.conversation = facting.speaking(case.conversation, turn.text, case.policy)
        facts = facting.message_facts(message, turn, case.now, case.facts(), case.history())
        reading = read(self._cases.configuration.rules(work.tenant), case.policy, facts)
        if reading.decision is not None:
            # What was asked before and still waits for its answer goes on waiting, unless a
            # person takes over now, or the customer wants to hear no more.
            if reading.decision.outcome > Outcome.REPLY or reading.decision.opted_out:
                close_turn(case, max(message.seq, turn.messages[-1].seq))
            elif message.seq != work.ref.seq:
                close_message(case, message.seq)
            return self._cases.settled(case, reading.decision, reading.trace)
        heard = unheard_until(turn.messages, case.hearing)
        unheard = heard is not None and heard > case.now
        if case.policy.debounce or is_settled_soon(before, case) or unheard:
            return self._wait(case, turn, reading)
        return self._ask(case, turn, reading, {})

    def _listen(self, case: Case, turn: Turn) -> Commit:
        """Wait for what is said in a voice note before anything is decided about it."""
        set_turn_timer(case, turn, quiet_since=case.now)
        trace = {"steps": ["waits for what is said in a voice note"]}
        return self._cases.undecided(case, "waiting", trace)

    def _wait(self, case: Case, turn: Turn, reading: Reading) -> Commit:
        """Give the customer a moment to finish; the timer's event then asks about all of it."""
        set_turn_timer(case, turn, quiet_since=case.now)
        return self._cases.undecided(case, "waiting", reading.trace)

    def timer(self, work: Work, event: TimerFired) -> Commit:
        """Read the rules over a turn whose customer has been quiet."""
        conversation = work.conversation
        if conversation is None or event.key != conversation.id:
            return Commit(work=work, outcome="superseded", conversation=conversation)
        turn = conversation.turn
        if event.generation != turn.generation or not turn.messages:
            return Commit(work=work, outcome="superseded", conversation=conversation)
        case = self._cases.open(work, conversation)
        if is_settled_soon(turn, case):
            return Commit(work=work, outcome="superseded", conversation=conversation)
        return self._turn(case, turn, {})

    def _turn(
        self, case: Case, turn: Turn, ai: Mapping[str, object], after: tuple[int, ...] = ()
    ) -> Commit:
        """Read the rules over a whole turn, and ask if they leave it open."""
        facts = facting.turn_facts(turn, case.now, {**case.facts(), **ai}, case.history())
        reading = read(self._cases.configuration.rules(case.work.tenant), case.policy, facts)
        if reading.decision is not None:
            case.settles = tuple(number for number in after if number > turn.messages[-1].seq)
            close_turn(case, turn.messages[-1].seq)
            ask_for_the_rest(case)
            return self._cases.settled(case, reading.decision, reading.trace)
        return self._ask(case, turn, reading, ai, after)

    def _ask(
        self,
        case: Case,
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
        item = question_item(
            conversation,
            turn,
            request,
            language=_language(conversation, reading),
            ai=ai,
            asked_by=asked_by,
            ids=self._cases.ids,
        )
        turn = changed(turn, pending_ask=item.id)
        case.conversation = changed(conversation, turn=turn)
        trace = {**reading.trace, QUESTION: self._digest(case, turn, request, reading, ai)}
        return self._cases.undecided(case, "asking", trace, items=(item,))

    def _digest(
        self,
        case: Case,
        turn: Turn,
        request: AskRequest,
        reading: Reading,
        ai: Mapping[str, object],
    ) -> list[Any]:
        """Give what names a question: its digest, and the messages that it is about."""
        digest = question_digest(
            self._cases.configuration,
            case.work.tenant,
            request,
            language=_language(case.conversation, reading),
            ai=ai,
        )
        return [digest, [message.seq for message in turn.messages]]

    def answer(self, work: Work, event: AnswerArrived) -> Commit:
        """Decide about what a backend answered, unless the conversation has moved on."""
        conversation = work.conversation
        if conversation is None or conversation.turn.pending_ask != event.item:
            return self._superseded(work, event, "the conversation has moved on")
        if event.epoch is not None and event.epoch != conversation.epoch:
            return self._superseded(work, event, "a person has had the conversation since")
        case = self._cases.open(work, conversation)
        turn = conversation.turn
        asked = tuple(item for item in turn.messages if item.seq <= event.asked_seq)
        newer = len(asked) < len(turn.messages)
        capped = bool(asked) and case.now >= asked[0].received_at + case.policy.debounce_cap
        if not asked or (newer and not capped):
            return self._superseded(work, event, "the customer has written more since")
        seen = changed(turn, messages=asked)
        ai = dict(event.ai)
        if event.classify:
            ai |= facting.classified_facts(event.completion)
            return self._turn(case, seen, ai, event.asked_by)
        facts = facting.turn_facts(seen, case.now, {**case.facts(), **ai}, case.history())
        rules = self._cases.configuration.rules(work.tenant)
        reading = read(rules, case.policy, facts)
        if reading.ask is not None and reading.ask.classify:
            # The rules changed while the model was thinking, and want to know its sort first.
            return self._ask(case, seen, reading, ai, event.asked_by)
        case.settles = tuple(number for number in event.asked_by if number > event.asked_seq)
        close_turn(case, event.asked_seq)
        ask_for_the_rest(case)
        if reading.decision is not None:
            # A person took over or the rules changed while the model was thinking.
            return self._cases.settled(case, reading.decision, reading.trace)
        if event.completion is None:
            reason = f'"{event.backend}" failed: {event.error}'
            conclusion = failed(rules, case.policy, facts, reading, reason)
        else:
            grounds = None if event.grounds is None else Grounds.from_json(event.grounds)
            conclusion = conclude(
                rules, case.policy, facts, reading, event.completion, grounds=grounds
            )
        trace = {**conclusion.trace, "model": _model(event)}
        return self._cases.settled(case, conclusion.decision, trace)

    def _superseded(self, work: Work, event: AnswerArrived, because: str) -> Commit:
        """Record an answer that came too late; the turn stays open, and is asked about again."""
        conversation, owner = work.conversation, None
        timers: tuple[NewTimer, ...] = ()
        if conversation is not None and conversation.turn.pending_ask == event.item:
            turn = changed(conversation.turn, pending_ask=None)
            case = self._cases.open(work, changed(conversation, turn=turn))
            ask_for_the_rest(case)
            conversation, owner, timers = case.conversation, case.owner, case.timers
        decision = Decision(outcome=Outcome.IGNORE, because=because)
        trace = {"model": _model(event), "steps": [f"superseded: {because}"]}
        return Commit(
            work=work,
            outcome="superseded",
            conversation=conversation,
            owner=owner,
            timers=timers,
            # The question is settled; the messages it was about wait for another one.
            settles=tuple(number for number in event.asked_by if number > event.asked_seq),
            decision=decision,
            trace=pack({**trace, **self._cases.hashes()}),
        )


def _language(conversation: Conversation, reading: Reading) -> str | None:
    """Give the language to answer in, as far as it is known."""
    return reading.language or conversation.language or conversation.contact.language


def _model(event: AnswerArrived) -> dict[str, Any]:
    found: dict[str, Any] = {"backend": event.backend, "seconds": round(event.seconds, 3)}
    if event.passages:
        found["passages"] = list(event.passages)
    if event.lookups:
        found["lookups"] = [dict(it) for it in event.lookups]
    if event.error:
        found["error"] = event.error
    if event.completion is not None:
        usage = event.completion.usage
        if usage.model:
            found["model"] = usage.model
        if usage.input_tokens or usage.output_tokens:
            found["tokens"] = [usage.input_tokens, usage.output_tokens]
    return found
