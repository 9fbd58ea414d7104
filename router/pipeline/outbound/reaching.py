"""How a customer is reached through a channel: at which address, and whether by free text.

What a channel takes depends on when the customer last wrote there, which need not be where the
conversation is.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from router.domain.conversation import Conversation
from router.domain.identity import Address
from router.domain.message import Attachment
from router.domain.record import changed, record
from router.plugin.channel import Capabilities
from router.storage.store import Wrote


@record(frozen=True, slots=True, kw_only=True)
class Reach:
    """How a customer is reached through one channel.

    :param address: as they last wrote there; else as they are known.
    :param wrote_at: when they last wrote there; ``None`` if never.
    :param window: how long after that the channel takes free text; ``None`` for always.
    :param shut_at: when the channel said that it takes no free text any more.
    :param known: the channel is configured.
    :param sends: the channel sends messages at all.
    :param media: files may be sent there, each as a message of its own.
    :param media_types: of which content types; ``None`` for any.
    :param unsure: they may have written there before anything was stored here.
    """

    channel: str
    address: Address
    wrote_at: datetime | None = None
    window: timedelta | None = None
    shut_at: datetime | None = None
    known: bool = True
    sends: bool = True
    media: bool = False
    media_types: frozenset[str] | None = None
    unsure: bool = False

    def takes_text(self, now: datetime) -> bool:
        """Say whether free text may be sent now."""
        if self.window is None:
            return True
        if self.wrote_at is None:
            return self.unsure and self.shut_at is None
        if self.shut_at is not None and self.shut_at >= self.wrote_at:
            return False
        return now < self.wrote_at + self.window

    def takes_file(self, file: Attachment) -> bool:
        """Say whether a file may be sent. One of which nobody knows what it is is not risked."""
        return self.media and (self.media_types is None or file.content_type in self.media_types)


def reach_for(
    channel: str,
    address: Address,
    can: Capabilities | None,
    *,
    wrote_at: datetime | None,
    shut_at: datetime | None = None,
    source: str = "",
) -> Reach:
    """Say how a customer is reached through a channel.

    :param can: what the channel can do; ``None`` where it is not configured.
    :param source: where the conversation comes from that is there.
    """
    known, can = can is not None, can or Capabilities()
    return Reach(
        channel=channel,
        address=address,
        wrote_at=wrote_at,
        window=can.window,
        shut_at=shut_at,
        known=known,
        sends=can.sends,
        media=can.media,
        media_types=can.media_types,
        # Somebody of the business wrote first, past the router.
        unsure=source == "manual",
    )


def reach_of(
    conversation: Conversation,
    channel: str,
    *,
    wrote: Sequence[Wrote],
    can: Capabilities | None,
) -> Reach:
    """Say how the customer of a conversation is reached through a channel.

    :param wrote: where they have ever written, as far as that is known.
    :param can: what the channel can do; ``None`` where it is not configured.
    """
    if conversation.channel == channel:
        return reach_for(
            channel,
            conversation.address,
            can,
            wrote_at=conversation.last_in_at,
            shut_at=conversation.window_shut_at,
            source=conversation.source,
        )
    there = next((it for it in wrote if it.channel == channel), None)
    if there is None:
        return reach_for(channel, conversation.address, can, wrote_at=None)
    return reach_for(channel, there.address, can, wrote_at=there.at)


def moved(conversation: Conversation, reach: Reach) -> Conversation:
    """Give the conversation as it goes on where it is written to now."""
    if conversation.channel == reach.channel:
        return conversation
    return changed(
        conversation,
        channel=reach.channel,
        address=reach.address,
        last_in_at=reach.wrote_at,
        last_provider_id=None,
    )
