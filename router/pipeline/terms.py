"""What a message has to keep to before it may leave: its channel's limits and window."""

import json

from router.domain.limits import Bucket
from router.pipeline.instances import LiveChannel
from router.storage.store import Item, Terms

#: Why something is not sent though no provider refused it.
CLOSED = (
    "the channel's window is closed: the customer wrote last too long ago for free text. Send a "
    "template, or wait until they write"
)


def terms_of(item: Item, live: LiveChannel) -> Terms | None:
    """Give what a message has to keep to, as its channel declares it."""
    can = live.capabilities
    buckets = []
    if can.sender_limit is not None:
        key = f"{item.tenant}/{item.destination}"
        buckets.append(Bucket(key=key, limit=can.sender_limit, shared=True))
    if can.pair_limit is not None:
        buckets.append(Bucket(key=item.lane, limit=can.pair_limit))
    window = can.window
    if window is not None and json.loads(item.body).get("template") is not None:
        window = None
    if not buckets and window is None:
        return None
    return Terms(buckets=tuple(buckets), window=window)
