"""What a decision changes in the database besides its commit's own rows, as effects."""

from collections.abc import Callable
from functools import partial
from typing import Any

from router.domain.conversation import Conversation
from router.domain.decision import Decision, Reply
from router.ids import Ids
from router.storage.store import Tx, Work

Effect = Callable[[Tx], None]


def variant_effect(
    work: Work,
    conversation: Conversation,
    decision: Decision,
    message: str,
    reply: Reply,
) -> Effect:
    """Note which of a rule's variants a message says."""
    rule, variant = decision.rule or "default", reply.variant

    def note(tx: Tx) -> None:
        from router.storage.variants import note_variant

        assert variant is not None  # noqa: S101 - for the type checker
        note_variant(
            tx.connection,
            work.tenant,
            message,
            conversation=conversation.id,
            rule=rule,
            variant=variant,
            now=tx.now,
        )

    return note


def draft_effect(work: Work, conversation: Conversation, decision: Decision, *, ids: Ids) -> Effect:
    """Open the draft of what a person is to approve."""
    draft_id, request = ids(), decision.draft

    def open_it(tx: Tx) -> None:
        from router.storage.drafts import open_draft

        assert request is not None  # noqa: S101 - for the type checker
        open_draft(
            tx.connection,
            id=draft_id,
            tenant=work.tenant,
            conversation=conversation.id,
            event=work.ref,
            request=request,
            now=tx.now,
        )

    return open_it


def ticket_effect(
    work: Work, conversation: Conversation, decision: Decision, link: str | None, *, ids: Ids
) -> Effect:
    """Open a ticket; a notice's link leads to it."""
    ticket_id, request = ids(), decision.ticket

    def open_it(tx: Tx) -> None:
        from router.storage.tickets import open_ticket

        assert request is not None  # noqa: S101 - for the type checker
        number = open_ticket(
            tx.connection,
            id=ticket_id,
            tenant=work.tenant,
            conversation=conversation.id,
            event=work.ref,
            request=request,
            author=f"rule {decision.rule}" if decision.rule else "router",
            now=tx.now,
        )
        if link is not None:
            _link(tx, work, conversation, link, ticket_number=number)

    return open_it


def escalation_effect(
    work: Work, conversation: Conversation, decision: Decision, link: str | None, *, ids: Ids
) -> Effect:
    """Call a person; a notice's link leads there."""
    escalation_id, request = ids(), decision.escalation

    def open_it(tx: Tx) -> None:
        from router.storage.tickets import open_escalation

        assert request is not None  # noqa: S101 - for the type checker
        open_escalation(
            tx.connection,
            id=escalation_id,
            tenant=work.tenant,
            conversation=conversation.id,
            event=work.ref,
            request=request,
            now=tx.now,
        )
        if link is not None:
            _link(tx, work, conversation, link, escalation=escalation_id)

    return open_it


def contact_effects(work: Work, conversation: Conversation, decision: Decision) -> list[Effect]:
    """Change what is known of the customer. Who opts out gets nothing that was decided before."""
    contact = conversation.contact
    values: dict[str, Any] = {}
    if decision.contact_attributes:
        values["attributes"] = {**contact.attributes, **decision.contact_attributes}
    if decision.opted_out is not None:
        values["opted_out"] = decision.opted_out
    if not values:
        return []

    def update(tx: Tx) -> None:
        from router.storage.contacts import update_contact

        update_contact(tx.connection, work.tenant, contact.id, values)
        if decision.opted_out:
            from router.storage.drafts import discard_theirs
            from router.storage.fence import withdraw, withdraw_closed

            why, thread = "the customer opted out", conversation.id
            withdraw(tx.connection, work.tenant, thread, conversation.epoch, why, tx.now)
            withdraw_closed(tx.connection, work.tenant, contact.id, why, tx.now)
            discard_theirs(tx.connection, work.tenant, contact.id, because=why, now=tx.now)

    return [update]


def link_effect(work: Work, conversation: Conversation, secret: str) -> Effect:
    """Open the link of a notice that leads to the conversation alone."""
    return partial(_link, work=work, conversation=conversation, secret=secret)


def _link(tx: Tx, work: Work, conversation: Conversation, secret: str, **about: Any) -> None:
    from router.storage.links import open_link

    open_link(
        tx.connection,
        secret=secret,
        tenant=work.tenant,
        conversation=conversation.id,
        now=tx.now,
        **about,
    )
