"""What a person writes to a customer, as it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass

from router.domain.decision import Reply
from router.domain.identity import Address
from router.domain.message import Attachment, Author
from router.errors import ActRefused
from router.pipeline.outbound.messages import file_items, message_items
from router.pipeline.outbound.planning import Setting, plan
from router.pipeline.outbound.reaching import reach_for
from router.pipeline.people.surroundings import Surroundings
from router.storage import conversations
from router.storage.store import NewItem, NewMessage, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What sends a person's words.

    :param pairs: for each provider message an item and a line, in order.
    :param note: why something leaves in another form than it was given; ``None`` where nothing
        does.
    """

    pairs: tuple[tuple[NewItem, NewMessage], ...]
    note: str | None = None


def written(
    tx: Tx,
    thread: conversations.ConversationView,
    text: str,
    around: Surroundings,
    media: Sequence[Attachment] = (),
) -> Written:
    """Give what sends a person's text and files, planned as everything that leaves.

    A person decides when they write; what the provider would refuse they are told at once.

    :raises ActRefused: if it cannot be said there.
    """
    can = around.capabilities(thread.tenant, thread.channel)
    at, shut_at, source = conversations.heard(tx.connection, thread.tenant, thread.id)
    recipient = Address.from_text(thread.address)
    made = plan(
        (Reply(text=text, author=Author.PERSON, media=tuple(media)),),
        reach_for(thread.channel, recipient, can, wrote_at=at, shut_at=shut_at, source=source),
        Setting(asked=True),
        tx.now,
    )
    if can is None or not made.sends:
        raise ActRefused(f'nothing can be written through "{thread.channel}": {made.words("en")}')
    (reply,) = made.replies
    lines = message_items(
        reply.text,
        tenant=thread.tenant,
        channel=thread.channel,
        recipient=recipient,
        author=Author.PERSON,
        max_text=can.max_text,
        text_unit=can.text_unit,
        in_reply_to=thread.last_provider_id,
    )
    files = file_items(
        reply.media,
        tenant=thread.tenant,
        channel=thread.channel,
        recipient=recipient,
        author=Author.PERSON,
        own_echoes=can.own_echoes,
    )
    return Written(pairs=(*lines, *files), note=made.words("en") if made.linked else None)
