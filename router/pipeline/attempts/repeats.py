"""What was begun again though it may have been done: how often, and how that is said."""

import json
from contextlib import suppress
from typing import Any, Final

from router.domain.outbox import ItemState
from router.errors import NotFound
from router.plugin.action import Action
from router.storage.store import Item, Tx

#: Times that a process may die, one after the other, while something is done that may be repeated.
#: Most of what was under way is a bystander; but what kills it must not be done for ever.
INTERRUPTIONS: Final = 10


def interruptions(item: Item) -> int:
    """Give how many attempts in a row have begun, up to the last, and have never ended."""
    if item.state is not ItemState.STARTED:
        return 0
    return item.attempt - _first(item) + 1


def _first(item: Item) -> int:
    """Give the first attempt of that row: anew where one has ended since, whichever way."""
    first, last = json.loads(item.body).get("interrupted", (0, 0))
    return first if 0 < last == item.attempt - 1 else item.attempt


def interrupted(tx: Tx, *, item: Item) -> None:
    """Note that the last attempt has never ended, before another one begins."""
    from router.storage.outbox import show_item
    from router.storage.reconciliation import change_body

    with suppress(NotFound):  # its customer was erased meanwhile
        now = show_item(tx.connection, item.tenant, item.id)
        if (now.state, now.attempt) == (ItemState.STARTED, item.attempt):
            values = {**now.body, "interrupted": (_first(item), item.attempt)}
            body = json.dumps(values, ensure_ascii=False)
            change_body(tx.connection, item.tenant, item.id, body)


def words(unknown: int, action: Action[Any]) -> str | None:
    """Say for the trace that an action was run again though it may have been done before."""
    if not unknown:
        return None
    times = "once" if unknown == 1 else f"{unknown} times"
    why = "under the same id" if action.idempotent else "because a repeat is harmless"
    return f"nobody knew whether it was done, so it was run again {times}, {why}"


def count(tx: Tx, *, item: Item) -> None:
    """Note that nobody knows how a run ended, and that it is run again; an effect."""
    from router.storage.reconciliation import change_body

    values = json.loads(item.body)
    values["unknown"] = values.get("unknown", 0) + 1
    body = json.dumps(values, ensure_ascii=False)
    change_body(tx.connection, item.tenant, item.id, body)
