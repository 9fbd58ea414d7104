"""Items on their way into the outbox, the same for both databases."""

from datetime import datetime
from typing import NamedTuple

from router.domain.outbox import ItemState
from router.storage.store import Commit, EventRef, Item, NewItem


class Queued(NamedTuple):
    """An item, and what decided it.

    :param conversation: whose it is.
    :param epoch: the conversation's, as it was when this was decided.
    """

    item: NewItem
    tenant: str
    conversation: str | None
    epoch: int
    decided: EventRef | None

    def fresh(self, seq: int, now: datetime, *, lease: int = 0) -> Item:
        """Give it as it is claimed at once, under a number of its lane."""
        item = self.item
        return Item(
            id=item.id,
            tenant=self.tenant,
            lane=item.lane,
            seq=seq,
            kind=item.kind,
            conversation=self.conversation,
            decided=self.decided,
            author=item.author,
            epoch=self.epoch,
            destination=item.destination,
            body=item.body,
            state=ItemState.WAITING,
            attempt=0,
            created_at=now,
            lease=lease,
            not_before=item.not_before,
        )


def queued_by(commit: Commit) -> list[Queued]:
    """Give the items that working an event puts out."""
    tenant, decided, thread = commit.work.tenant, commit.work.ref, commit.conversation
    name, epoch = (None, 0) if thread is None else (thread.id, thread.epoch)
    return [Queued(item, tenant, name, epoch, decided) for item in commit.items]
