"""Quiet conversations: closed once nobody has written for long, unless somebody still waits."""

from dataclasses import replace
from typing import Final

from router.domain.conversation import NOBODY, ConversationStatus
from router.domain.decision import Decision, Outcome
from router.domain.host_event import DRAFTED, RESTORED, TimerFired
from router.pipeline.triage import facts as facting
from router.pipeline.triage.case import IDLE_TIMER, Case, Cases, idle_timer
from router.rules.engine import read
from router.storage.store import Commit, NewTimer, Work

#: Why a conversation is closed about which no rule has anything to say.
QUIET: Final = "nobody has written for long"
#: Why one is closed without a look at its rules.
SAID: Final = "it was restored from a backup, and what its rules say may have been said since"


class Quiet:
    """Decides about conversations in which nobody writes."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases

    def timer(self, work: Work, event: TimerFired) -> Commit:
        """Close a conversation that has been quiet, or look again when it may have been.

        The timer is not set anew at each message: that would be one more write for each.
        """
        if work.conversation is None or event.key != work.conversation.id:
            return Commit(work=work, outcome="superseded", conversation=work.conversation)
        case = self._cases.open(work, work.conversation)
        conversation, quiet = case.conversation, case.policy.idle_close
        heard = (conversation.last_in_at, conversation.last_person_at, conversation.owner_since)
        last = max((moment for moment in heard if moment is not None), default=case.aged - quiet)
        drafted = event.payload.get(DRAFTED, False)
        waits = conversation.turn.messages or conversation.owner == NOBODY or drafted
        again = case.aged + quiet if waits else last + quiet
        if waits or again > case.aged:
            # That it was restored counts no more once somebody has written since.
            payload = {key: it for key, it in event.payload.items() if key != DRAFTED}
            payload = payload if waits else {}
            case.timers = (idle_timer(case, again, event.generation + 1, payload),)
            outcome = "recorded"
        else:
            return self._closing(case, event)
        return Commit(
            work=case.work,
            outcome=outcome,
            conversation=case.conversation,
            owner=case.owner,
            timers=case.timers,
        )

    def look_again(self, work: Work) -> tuple[NewTimer, ...]:
        """Set the idle timer anew where its event was given up: the conversation closes one day."""
        event, conversation = work.event, work.conversation
        if conversation is None or not isinstance(event, TimerFired) or event.timer != IDLE_TIMER:
            return ()
        case = self._cases.open(work, conversation)
        return (idle_timer(case, case.now + case.policy.idle_close, event.generation + 1),)

    def _closing(self, case: Case, event: TimerFired) -> Commit:
        """Close a conversation, after its rules have had their say; one may keep it open."""
        closed = replace(case.conversation, status=ConversationStatus.CLOSED)
        rules = self._cases.configuration.rules(case.work.tenant)
        because = SAID if event.payload.get(RESTORED) else QUIET
        if because is QUIET and rules.on("idle"):
            reading = read(rules, case.policy, facting.idle_facts(case.facts()))
            decision = reading.decision
            if decision is not None and decision.changes:
                if decision.outcome is Outcome.ESCALATE:
                    again = case.now + case.policy.idle_close
                    case.timers = (idle_timer(case, again, event.generation + 1),)
                else:
                    case.conversation = closed
                quiet = "closed" if decision.outcome is Outcome.IGNORE else None
                return self._cases.settled(case, decision, reading.trace, outcome=quiet)
        case.conversation = closed
        decision = Decision(outcome=Outcome.IGNORE, because=because)
        return self._cases.settled(case, decision, {"steps": [because]}, outcome="closed")
