"""Actions that are to be run: outbox items, and what they are told of the customer."""

import json
from collections.abc import Mapping
from typing import Any

from router.domain.message import Author
from router.domain.outbox import ItemKind
from router.ids import Ids
from router.storage.store import OWN_LANE, NewItem


def contact_of(name: str | None, address: str, channel: str) -> dict[str, str]:
    """Give what an action is told of the customer: all that ``ActionCall.contact`` has.

    :param name: ``None`` where nobody knows it.
    :param address: where they write, ``scheme:value``.
    :param channel: on which of ours.
    """
    return {"name": name or "", "address": address, "channel": channel}


def action_item(
    action: str,
    params: Mapping[str, Any],
    *,
    because: str,
    ids: Ids,
    conversation: str | None = None,
    contact: Mapping[str, str] | None = None,
    author: Author = Author.RULE,
) -> NewItem:
    """Give what must be stored to run an action; it waits for nothing else.

    :param conversation: which it is about; ``None``: none.
    :param contact: see :func:`contact_of`; ``None``: it is about no customer.
    :param author: who wants it.
    """
    name = ids()
    body = {
        "params": params,
        "conversation": conversation,
        "contact": contact or {},
        "because": because,
    }
    return NewItem(
        id=name,
        kind=ItemKind.ACTION,
        lane=OWN_LANE + name,
        author=author,
        destination=action,
        body=json.dumps(body, ensure_ascii=False),
    )
