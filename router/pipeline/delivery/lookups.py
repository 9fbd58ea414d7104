"""The look-up of a message of which nobody knows: an item, what it keeps, and what it settles.

From look to look it keeps in its body what is known of the message's attempts. What a look has
found is done to the message in the transaction that ends or changes the item.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from router.clock import from_micros, to_micros
from router.domain.limits import CLOCKS_APART
from router.domain.message import Author
from router.domain.outbox import ItemKind
from router.ids import Ids
from router.pipeline.instances.instances import LiveChannel
from router.storage.store import OWN_LANE, Item, NewItem, Tx

#: If the provider could not be asked for so long, a person is.
PATIENCE: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a reconcile item has in its body.

    :param item: the message.
    :param since: when its first attempt that may have left began, in microseconds.
    :param ended: when its last attempt ended.
    :param began: when that attempt began, in microseconds: another one is looked for by itself.
    :param absent: when it was first missing from a listing that counts.
    :param unsure: the clock was set back since, and nobody knows how far: what was taken may be
        listed as from before ``since``.
    """

    item: str
    since: int
    ended: int
    began: int | None
    absent: int | None = None
    unsure: bool = False

    @property
    def ended_at(self) -> datetime:
        return from_micros(self.ended)

    def is_about(self, item: Item) -> bool:
        """Say whether the last attempt of a message is still the one that is looked for."""
        return self.began == _micros(item.started_at)

    def set_back(self, now: datetime) -> "Progress":
        """Begin anew: what is kept of the attempts lies in the future, where nothing has ended."""
        since = min(from_micros(self.since), now) - PATIENCE
        return replace(self, since=to_micros(since), ended=to_micros(now), absent=None, unsure=True)

    def as_body(self) -> str:
        return json.dumps(asdict(self))


def helps(live: LiveChannel | None) -> bool:
    """Say whether looking, or waiting for a while, may still change what becomes of a message."""
    if live is None:
        return False
    return live.capabilities.find_sent or live.settings.on_unknown == "resend"


def reconciliation_of(item: Item, began: datetime, ids: Ids) -> Callable[[Tx], None]:
    """Give the effect that has a message looked for.

    :param began: when its only attempt began.
    """
    return partial(_put, about=item, name=ids(), since=to_micros(began))


def _put(tx: Tx, *, about: Item, name: str, since: int, unsure: bool = False) -> None:
    from router.storage.reconciliation import message_item

    tried = message_item(tx.connection, about.tenant, about.id)
    began = None if tried is None else _micros(tried.started_at)
    progress = Progress(item=about.id, since=since, ended=to_micros(tx.now), began=began)
    if unsure or from_micros(since) > tx.now + CLOCKS_APART:
        progress = progress.set_back(tx.now)
    look = NewItem(
        id=name,
        kind=ItemKind.RECONCILE,
        lane=OWN_LANE + name,
        author=Author.RULE,
        destination=about.destination,
        body=progress.as_body(),
    )
    tx.send(
        [look],
        tenant=about.tenant,
        conversation=about.conversation,
        epoch=about.epoch,
        decided=about.decided,
    )


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def settle(tx: Tx, *, about: Item, names: list[str], name: str, progress: Progress) -> None:
    """Settle a message that its provider has; an effect."""
    from router.storage.reconciliation import settle_sent

    if not settle_sent(tx.connection, about, names, tx.now):
        # Another message has just turned out to be what was found: look again for this one.
        _put(tx, about=about, name=name, since=progress.since, unsure=progress.unsure)


def again(
    tx: Tx, *, about: Item, why: str, proved: bool, otherwise: Callable[[Tx], None] | None = None
) -> None:
    """Send a message again; an effect.

    :param proved: it is known not to have been sent.
    :param otherwise: what is done where it may not be sent again any more.
    """
    from router.storage.reconciliation import send_again

    sent = send_again(tx.connection, about, why, tx.now, proved=proved)
    if not sent and otherwise is not None:
        # A person has written just now.
        otherwise(tx)


def keep(tx: Tx, *, tenant: str, id: str, body: str) -> None:
    """Keep what is known by now; an effect."""
    from router.storage.reconciliation import change_body

    change_body(tx.connection, tenant, id, body)


def if_unknown(tx: Tx, *, about: Item, effect: Callable[[Tx], None]) -> None:
    """Do something if nobody knows as yet what became of the same attempt; an effect."""
    from router.storage.reconciliation import unknown_item

    now = unknown_item(tx.connection, about.tenant, about.id)
    if now is not None and now.started_at == about.started_at:
        effect(tx)
