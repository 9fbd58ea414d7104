"""From a decision to everything that it changes, as one commit."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from router.domain.conversation import BOT, NOBODY, Conversation, ConversationStatus
from router.domain.decision import Decision, Outcome
from router.domain.message import Author
from router.domain.record import changed
from router.ids import Ids, new_secret
from router.pipeline.instances.configuration import Configuration
from router.pipeline.notices import notices
from router.pipeline.notices.because import in_words
from router.pipeline.outbound.actions import action_item, contact_of
from router.pipeline.outbound.messages import file_items, message_items
from router.pipeline.triage import memory
from router.pipeline.triage.announcing import announced
from router.pipeline.triage.effects import (
    Effect,
    contact_effects,
    draft_effect,
    escalation_effect,
    link_effect,
    ticket_effect,
    variant_effect,
)
from router.plugin.channel import Capabilities
from router.rules.recall import BOT as ANSWERED
from router.rules.trace import packed
from router.storage.store import Commit, NewItem, NewMessage, NewTimer, Work


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
        # Before what becomes of them is announced: a rule that waits for that sees it.
        more.extend(contact_effects(work, conversation, decision))
        more.extend(announced(rules, work, conversation, decision))
        more.extend(self._replies(work, conversation, decision, leaving, lines, not_before))
        link = self._actions(work, conversation, decision, text, leaving)
        if decision.draft is not None:
            more.append(draft_effect(work, conversation, decision, ids=self._ids))
        if decision.ticket is not None:
            about = None if decision.escalation else link
            more.append(ticket_effect(work, conversation, decision, about, ids=self._ids))
        if decision.escalation is not None:
            more.append(escalation_effect(work, conversation, decision, link, ids=self._ids))
            owner = NOBODY if conversation.owner == BOT else owner
        if link is not None and decision.ticket is None and decision.escalation is None:
            more.append(link_effect(work, conversation, link))
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
        can = self._configuration.capabilities(work.tenant, conversation.channel) or Capabilities()
        for reply in decision.replies:
            parts = message_items(
                reply.text,
                tenant=work.tenant,
                channel=conversation.channel,
                recipient=conversation.address,
                template=reply.template,
                author=reply.author,
                max_text=can.max_text,
                text_unit=can.text_unit,
                ids=self._ids,
                in_reply_to=None if decision.channel else conversation.last_provider_id,
                not_before=not_before,
            )
            if reply.variant is not None and parts:
                name = parts[0][0].id
                effects.append(variant_effect(work, conversation, decision, name, reply))
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
