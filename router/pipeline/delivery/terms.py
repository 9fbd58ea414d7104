"""What a message has to keep to before it may leave: its channel's limits, window and templates."""

import json

from router.domain.limits import Bucket
from router.domain.message import Template
from router.pipeline.instances.instances import LiveChannel
from router.pipeline.outbound.approvals import Listing, Objection
from router.storage.store import Item, Terms

#: Why something is not sent though no provider refused it.
CLOSED = (
    "the channel's window is closed: the customer wrote last too long ago for free text. Send a "
    "template, or wait until they write"
)


#: What the body of every item with a template holds, and hardly any other.
_TEMPLATE = '"template"'


def objection_to(item: Item, listing: Listing) -> Objection | None:
    """Say why the provider would refuse a message by now; ``None`` if it is not known to.

    Whether the customer wrote lately is not asked: what needs no approval then may be tried.
    """
    if _TEMPLATE not in item.body:
        return None
    found = json.loads(item.body).get("template")
    if found is None:
        return None
    return listing.objection(Template(found["ref"], found["variables"]), in_window=True)


def terms_of(item: Item, live: LiveChannel, *, barred: bool = False) -> Terms:
    """Give what a message has to keep to, as its channel declares it, and who sends it.

    :param barred: there is an objection to it.
    """
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
    return Terms(buckets=tuple(buckets), window=window, account=live.account, barred=barred)
