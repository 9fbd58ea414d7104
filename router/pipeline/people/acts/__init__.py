"""What a person may do, from the command line, the desk or the API: one table of acts.

An act is a function over one transaction with checked arguments. Who calls it does not matter:
the process that owns the database runs it, everybody else asks that process over its control
socket, so there is one writer always.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio
from pydantic import ValidationError

from router.domain.identity import MAIN_TENANT
from router.errors import ActRefused, NotFound
from router.pipeline.people.acts import (
    calls,
    contacts,
    conversations,
    drafts,
    duties,
    events,
    tokens,
)
from router.pipeline.people.acts.table import Act, Acts
from router.pipeline.people.surroundings import Surroundings
from router.storage import outbox
from router.storage.store import Store, Tx

__all__ = ["ACTS", "PATIENCE", "Act", "bound", "landed", "perform"]

#: How long a takeover waits for messages that are just leaving, in seconds.
PATIENCE: Final = 5.0
_LOOK_AGAIN: Final = 0.05

ACTS: Final[Acts] = {
    **drafts.ACTS,
    **events.ACTS,
    **conversations.ACTS,
    **duties.ACTS,
    **calls.ACTS,
    **contacts.ACTS,
    **tokens.ACTS,
}


async def perform(
    store: Store,
    name: str,
    arguments: Mapping[str, Any],
    surroundings: Surroundings,
    *,
    patience: float = PATIENCE,
) -> dict[str, Any]:
    """Do one act, and give what came of it as values for JSON.

    A takeover answers once nothing of the bot's is on its way any more, or after ``patience``
    seconds; ``under_way`` then names the messages that could not be called back. An erasure
    waits longer, and is refused then.

    :raises NotFound: if there is no such act, or nothing of the id.
    :raises ActRefused: if an argument is wrong, or things do not stand so; nothing was changed.
    :raises StorageUnavailable: if the database is away.
    """
    act = bound(name, arguments, surroundings)
    if name == contacts.ERASE:
        tenant = str(arguments.get("tenant", MAIN_TENANT))
        return await contacts.erased(
            store, act, tenant, surroundings, patience=contacts.PATIENCE if patience else 0.0
        )
    result = await store.write(act)
    return await landed(store, result, patience=patience)


def bound(
    name: str, arguments: Mapping[str, Any], surroundings: Surroundings
) -> Callable[[Tx], dict[str, Any]]:
    """Give one act as a function over a transaction, its arguments checked.

    :raises NotFound: if there is no such act.
    :raises ActRefused: if an argument is wrong.
    """
    act = ACTS.get(name)
    if act is None:
        raise NotFound(f'there is no act "{name}"')
    try:
        given = act.arguments.model_validate(dict(arguments))
    except ValidationError as error:
        raise ActRefused(_in_words(error)) from None
    return lambda tx: act.function(tx, given, surroundings)


async def landed(
    store: Store, result: dict[str, Any], *, patience: float = PATIENCE
) -> dict[str, Any]:
    """Give what came of an act, once nothing of the bot's is on its way any more.

    :param result: of an act that :func:`bound` gave; ``under_way`` becomes what still is.
    :param patience: how long to wait for that, in seconds.
    """
    if result.get("under_way"):
        return {**result, "under_way": await _leaving(store, result, patience)}
    return result


async def _leaving(store: Store, taken: Mapping[str, Any], patience: float) -> list[str]:
    """Wait for the messages that are just leaving; give those that still are."""
    tenant, conversation = taken["conversation"]["tenant"], taken["conversation"]["id"]
    leaving: list[str] = taken["under_way"]
    with anyio.move_on_after(patience):
        while leaving:
            await anyio.sleep(_LOOK_AGAIN)
            leaving = await store.read(lambda it: outbox.under_way(it, tenant, conversation))
    return leaving


def _in_words(error: ValidationError) -> str:
    wrong = [f'"{".".join(map(str, it["loc"]))}": {it["msg"]}' for it in error.errors()]
    return f"the arguments do not fit: {'; '.join(wrong)}"
