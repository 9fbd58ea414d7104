"""Reports: what a person wrote outside the router, and what providers say of our messages."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from router.domain.decision import Outcome
from router.domain.event import DeliveryReported, MessageEchoed
from router.domain.message import Author, Direction
from router.errors import Refusal
from router.pipeline.notices import undelivered
from router.pipeline.triage import facts as facting
from router.pipeline.triage.case import Cases, close_turn, idle_timer
from router.storage.store import Commit, NewMessage, Tx, Work


class Reports:
    """Decides about echoes and delivery reports."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases

    def echo(self, work: Work, event: MessageEchoed) -> Commit:
        """Record what a person wrote outside the router. Owner and epoch changed at acceptance."""
        conversation = work.conversation
        if conversation is None:  # closed since; the fence had opened it
            return Commit(work=work, outcome="recorded")
        case = self._cases.open(work, replace(conversation, bot_turns=0))
        close_turn(case, work.ref.seq)
        case.messages = (
            NewMessage(
                id=self._cases.ids(),
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
        case.timers = (idle_timer(case, case.now + case.policy.idle_close, work.ref.seq),)
        facts = facting.echo_facts(event.text, event.attachments, case.facts())
        return self._cases.read(case, facts)

    def opted_out(self, work: Work) -> Commit:
        """Leave a customer alone who wants no messages. Contact and epoch changed at acceptance."""
        if work.conversation is None:
            return Commit(work=work, outcome="recorded")
        case = self._cases.open(work, work.conversation)
        close_turn(case, work.ref.seq)
        return Commit(
            work=work,
            outcome="recorded",
            conversation=case.conversation,
            owner=case.owner,
            settles=case.settles,
        )

    def delivery(self, work: Work, event: DeliveryReported) -> Commit:
        """Note how far a message got, and let the rules have their say."""
        channel = work.source.split("/")[1]
        lost = partial(
            undelivered.lost, configuration=self._cases.configuration, ids=self._cases.ids
        )
        effect = partial(_report, tenant=work.tenant, channel=channel, event=event)
        told = partial(effect, lost=lost)
        if work.conversation is None:
            return Commit(work=work, outcome="recorded", effects=(told,))
        case = self._cases.open(work, work.conversation)
        case.effects = (effect,)
        if event.why is Refusal.WINDOW_CLOSED:
            shut = event.sent_at or work.received_at
            case.conversation = replace(case.conversation, window_shut_at=shut)
        commit = self._cases.read(case, facting.delivery_facts(event, case.facts()))
        if commit.decision is not None and commit.decision.outcome > Outcome.IGNORE:
            return commit
        # No rule makes a template of it, or anything else: somebody has to know.
        effects = tuple(told if each is effect else each for each in commit.effects)
        return replace(commit, effects=effects)


def _report(
    tx: Tx,
    *,
    tenant: str,
    channel: str,
    event: DeliveryReported,
    lost: Callable[[Tx, str, str, DeliveryReported], None] | None = None,
) -> None:
    from router.storage.deliveries import apply_report

    item, failed = event.item, True
    # What the host itself reports of a refusal is noted with its attempt.
    if item is None or event.provider_id != item:
        moved = apply_report(tx.connection, tenant, channel, event, tx.now)
        item, failed = (None, False) if moved is None else moved
    # Whoever wants no messages misses none.
    if lost is not None and item is not None and failed and event.why is not Refusal.OPTED_OUT:
        lost(tx, tenant, item, event)
