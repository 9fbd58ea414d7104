"""From a decision to everything that it changes, as one commit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from router.domain.conversation import BOT, NOBODY, Conversation, ConversationStatus
from router.domain.decision import Decision, Outcome, Reply
from router.domain.message import Author
from router.domain.record import changed
from router.ids import Ids, new_secret
from router.pipeline import memory, notices
from router.pipeline.actions import action_item, contact_of
from router.pipeline.announcing import announced
from router.pipeline.because import in_words
from router.pipeline.configuration import Configuration
from router.pipeline.outgoing import file_items, message_items
from router.rules.recall import BOT as ANSWERED
from router.rules.trace import packed
from router.storage.store import Commit, NewItem, NewMessage, NewTimer, Tx, Work

Effect = Callable[[Tx], None]


class Committer:
    """Turns decisions into commits.

    :param ids: gives the ids of what is created.
    """

    def __init__(self, configuration: Configuration, ids: Ids) -> None:
        self._configuration = configuration
        self._ids = ids

    def commit(
        self,
        work: Work,
        conversation: Conversation,
        decision: Decision,
        trace: Mapping[str, Any],
        *,
        messages: tuple[NewMessage, ...] = (),
        items: tuple[NewItem, ...] = (),
        timers: tuple[NewTimer, ...] = (),
        effects: tuple[Effect, ...] = (),
        owner: str | None = None,
        settles: tuple[int, ...] = (),
        text: str = "",
        now: datetime | None = None,
        outcome: str | None = None,
        dead_error: str | None = None,
        not_before: datetime | None = None,
    ) -> Commit:
        """Give the commit of a decision about an event.

        :param conversation: the thread after the event, before the decision's own effects.
        :param items: what is to be done whatever is decided.
        :param owner: the new owner, where the event itself changed it.
        :param settles: numbers of earlier events that waited for this decision.
        :param text: what the customer wrote, for whoever is told of it.
        :param now: when it is decided; default: when the event came.
        :param not_before: when what the decision says may leave at the earliest.
        :param outcome: the word kept with the event, where it is not the decision's outcome.
        """
        if decision.opted_out:
            # As when a person takes over: what was decided before may not leave after it.
            conversation = changed(conversation, epoch=conversation.epoch + 1)
        leaving = list(items)
        lines = list(messages)
        more: list[Effect] = list(effects)
        rules = self._configuration.rules(work.tenant)
        more.extend(announced(rules, work, conversation, decision))
        more.extend(self._replies(work, conversation, decision, leaving, lines, not_before))
        link = self._actions(work, conversation, decision, text, leaving)
        if decision.draft is not None:
            more.append(self._draft(work, conversation, decision))
        if decision.ticket is not None:
            more.append(
                self._ticket(work, conversation, decision, None if decision.escalation else link)
            )
        if decision.escalation is not None:
            more.append(self._escalation(work, conversation, decision, link))
            owner = NOBODY if conversation.owner == BOT else owner
        if link is not None and decision.ticket is None and decision.escalation is None:
            more.append(partial(_link, work=work, conversation=conversation, secret=link))
        more.extend(self._contact(work, conversation, decision))
        queued = _queued(leaving, lines)
        return Commit(
            work=work,
            outcome=outcome or decision.outcome.word,
            conversation=self._after(work, conversation, decision, now or work.received_at),
            owner=owner,
            settles=settles,
            messages=tuple(lines),
            decision=decision,
            trace=pack({**trace, "queued": queued} if queued else trace),
            items=tuple(leaving),
            timers=timers,
            effects=tuple(more),
            dead_error=dead_error,
        )

    def _replies(
        self,
        work: Work,
        conversation: Conversation,
        decision: Decision,
        items: list[NewItem],
        lines: list[NewMessage],
        not_before: datetime | None,
    ) -> list[Effect]:
        effects: list[Effect] = []
        max_text = self._configuration.max_text(work.tenant, conversation.channel)
        for reply in decision.replies:
            parts = message_items(
                reply.text,
                tenant=work.tenant,
                channel=conversation.channel,
                recipient=conversation.address,
                template=reply.template,
                author=reply.author,
                max_text=max_text,
                ids=self._ids,
                in_reply_to=None if decision.channel else conversation.last_provider_id,
                not_before=not_before,
            )
            if reply.variant is not None and parts:
                effects.append(self._variant(work, conversation, decision, parts[0][0].id, reply))
            for item, line in parts:
                items.append(item)
                lines.append(line)
        for item, line in self._files(work, conversation, decision, not_before):
            items.append(item)
            lines.append(line)
        return effects

    def _files(
        self,
        work: Work,
        conversation: Conversation,
        decision: Decision,
        not_before: datetime | None,
    ) -> Iterator[tuple[NewItem, NewMessage]]:
        """Give the files of what is said, which follow everything that is said."""
        for reply in decision.replies:
            if not reply.media:
                continue
            can = self._configuration.capabilities(work.tenant, conversation.channel)
            yield from file_items(
                reply.media,
                tenant=work.tenant,
                channel=conversation.channel,
                recipient=conversation.address,
                author=reply.author,
                own_echoes=can is not None and can.own_echoes,
                not_before=not_before,
                ids=self._ids,
            )

    def _variant(
        self,
        work: Work,
        conversation: Conversation,
        decision: Decision,
        message: str,
        reply: Reply,
    ) -> Effect:
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

    def _actions(
        self,
        work: Work,
        conversation: Conversation,
        decision: Decision,
        text: str,
        items: list[NewItem],
    ) -> str | None:
        """Queue what is to be run and who is to be told; give the secret of the notices' link."""
        calls = [(request.action, dict(request.params)) for request in decision.actions]
        language, secret = self._configuration.policy(work.tenant).language, None
        if told := notices.told(self._configuration, decision):
            secret = new_secret()
            url = notices.address_of(self._configuration, work.tenant, secret)
            notice = notices.words(decision, conversation, text, url, language)
            calls += [(name, notice) for name in told]
            secret = secret if url else None
        if not calls:
            return None
        contact = contact_of(
            conversation.contact.name, str(conversation.address), conversation.channel
        )
        items.extend(
            action_item(
                name,
                params,
                conversation=conversation.id,
                contact=contact,
                because=in_words(decision.because, language),
                ids=self._ids,
            )
            for name, params in calls
        )
        return secret

    def _after(
        self, work: Work, conversation: Conversation, decision: Decision, now: datetime
    ) -> Conversation:
        """Give the thread as a decision leaves it."""
        changes: dict[str, Any] = {}
        if decision.outcome is Outcome.ESCALATE:
            changes["status"] = ConversationStatus.ESCALATED
        if any(reply.author is Author.BOT for reply in decision.replies):
            changes["bot_turns"] = conversation.bot_turns + 1
        for name in ("category", "risk", "priority", "language"):
            if stated := getattr(decision, name):
                changes[name] = stated
        if decision.tags or decision.untags:
            changes["tags"] = (conversation.tags | decision.tags) - decision.untags
        attributes = conversation.attributes
        if decision.conversation_attributes:
            attributes = {**attributes, **decision.conversation_attributes}
        if decision.snooze:
            attributes = memory.snoozing(attributes, decision.snooze, now)
        said = "\n".join(reply.text for reply in decision.replies)
        if said and self._configuration.rules(work.tenant).remembers:
            attributes = memory.remembering(attributes, ANSWERED, said, now)
        if attributes is not conversation.attributes:
            changes["attributes"] = attributes
        return changed(conversation, **changes) if changes else conversation

    def _draft(self, work: Work, conversation: Conversation, decision: Decision) -> Effect:
        draft_id, request = self._ids(), decision.draft

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

    def _ticket(
        self, work: Work, conversation: Conversation, decision: Decision, link: str | None
    ) -> Effect:
        ticket_id, request = self._ids(), decision.ticket

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

    def _escalation(
        self, work: Work, conversation: Conversation, decision: Decision, link: str | None
    ) -> Effect:
        escalation_id, request = self._ids(), decision.escalation

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

    def _contact(self, work: Work, conversation: Conversation, decision: Decision) -> list[Effect]:
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
                from router.storage.drafts import discard_drafts
                from router.storage.fence import withdraw

                why, thread = "the customer opted out", conversation.id
                withdraw(tx.connection, work.tenant, thread, conversation.epoch, why, tx.now)
                discard_drafts(tx.connection, work.tenant, thread, because=why, now=tx.now)

        return [update]


def pack(trace: Mapping[str, Any]) -> bytes:
    """Compress a trace as it is stored."""
    return packed(trace)


def _queued(items: Sequence[NewItem], lines: Sequence[NewMessage]) -> list[dict[str, str | None]]:
    """Give what was queued as the trace keeps it; of a message that is a file, the address, too."""
    files = {line.id: {"file": line.attachments[0].url} for line in lines if line.attachments}
    return [
        {"kind": str(item.kind), "id": item.id, "to": item.destination, **files.get(item.id, {})}
        for item in items
    ]


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
