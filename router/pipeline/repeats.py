"""Actions that were run again though they may have been done: counted, and said."""

import json
from typing import Any

from router.plugin.action import Action
from router.storage.store import Item, Tx


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
