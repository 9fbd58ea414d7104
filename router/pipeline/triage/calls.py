"""Calls: one that is over joins the customer's thread, once, and the rules have their say."""

from dataclasses import replace
from functools import partial
from typing import Any

from router.domain.conversation import Contact, Conversation
from router.domain.event import CallEnded
from router.domain.host_event import FileFetched
from router.pipeline.media.attachments import described, recording
from router.pipeline.triage import facts as facting
from router.pipeline.triage import memory
from router.pipeline.triage.case import Case, Cases, idle_timer
from router.pipeline.triage.effects import Effect
from router.storage.store import Commit, EventRef, Tx, Work

#: Where a conversation comes from that begins with a call.
POST_CALL = "post_call"


class Calls:
    """Decides about calls that are over."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases

    def ended(self, work: Work, event: CallEnded) -> Commit:
        """Note a call in its customer's thread, and let the rules have their say.

        However often and by whichever way a call is reported, the rules see it once: a later
        report only adds what the earlier ones did not tell.
        """
        if work.known is not None and work.known.call:
            return self._again(work, event)
        case = self.opened(work, event)
        return self._cases.read(
            case, facting.call_facts(event, case.facts(), work.source.split("/")[1])
        )

    def _again(self, work: Work, event: CallEnded) -> Commit:
        """Note what a later report of a call tells and the earlier ones did not."""
        effects = [self._kept(work, event, "")]
        contact = work.contact
        # A name that a call gave is known by now, or a later call has corrected it.
        if contact is not None and event.name and not memory.named(contact.attributes):
            values = _told(contact, replace(event, language=None))
            effects.append(partial(_update, tenant=work.tenant, contact=contact.id, values=values))
        return Commit(
            work=work,
            outcome="recorded",
            conversation=work.conversation,
            items=recording(self._cases.configuration, work, event, self._cases.ids),
            effects=tuple(effects),
        )

    def recorded(self, work: Work, event: FileFetched) -> Commit:
        """Note what became of a call's recording: it is here, or never will be."""
        return Commit(
            work=work,
            outcome="recorded",
            conversation=work.conversation,
            effects=(partial(_record, work=work, event=event),),
        )

    def opened(self, work: Work, event: CallEnded) -> Case:
        """Begin the case of a call: its thread found or opened."""
        channel = work.source.split("/")[1]
        key = work.ref.lane[len(work.tenant) + 1 :]
        effects: list[Effect] = []
        contact = work.contact
        if contact is None:
            contact = Contact(
                id=self._cases.ids(),
                key=key,
                name=event.name,
                language=event.language,
                attributes=memory.naming({}) if event.name else {},
            )
        elif told := _told(contact, event):
            effects.append(partial(_update, tenant=work.tenant, contact=contact.id, values=told))
            contact = replace(contact, **told)
        conversation = work.conversation or Conversation(
            id=self._cases.ids(),
            contact=contact,
            channel=channel,
            address=event.party,
            source=POST_CALL,
        )
        case = self._cases.open(work, replace(conversation, contact=contact))
        case.new = work.contact is None
        # As after a message: who was just spoken with has not been quiet.
        again = case.now + case.policy.idle_close
        case.timers = (idle_timer(case, again, work.ref.seq),)
        effects.append(self._kept(work, event, conversation.id))
        case.effects = tuple(effects)
        case.items = recording(self._cases.configuration, work, event, self._cases.ids)
        return case

    def _kept(self, work: Work, event: CallEnded, conversation: str) -> Effect:
        return partial(
            _keep,
            tenant=work.tenant,
            event=event,
            conversation=conversation,
            channel=work.source.split("/")[1],
            ref=work.ref,
            work=work,
        )


def _told(contact: Contact, event: CallEnded) -> dict[str, Any]:
    """Give what a call tells of its customer that is not known, or known otherwise.

    Their language only where none is known: an agent has one, whoever speaks with it.
    """
    told: dict[str, Any] = {}
    if event.name and not (event.name == contact.name and memory.named(contact.attributes)):
        told["name"] = event.name
        told["attributes"] = memory.naming(contact.attributes)
    if event.language and contact.language is None:
        told["language"] = event.language
    return told


def _keep(
    tx: Tx,
    *,
    tenant: str,
    event: CallEnded,
    conversation: str,
    channel: str,
    ref: EventRef,
    work: Work,
) -> None:
    from router.storage.calls import keep_call

    keep_call(
        tx.connection,
        tenant,
        event,
        conversation_id=conversation,
        channel=channel,
        ref=ref,
        received_at=work.received_at,
    )


def _update(tx: Tx, *, tenant: str, contact: str, values: dict[str, Any]) -> None:
    from router.storage.contacts import update_contact

    update_contact(tx.connection, tenant, contact, values)


def _record(tx: Tx, *, work: Work, event: FileFetched) -> None:
    from router.storage.calls import describe_recording

    ref = EventRef(work.ref.lane, event.message_seq)
    change = partial(described, event=event)
    describe_recording(tx.connection, work.tenant, ref, change)
