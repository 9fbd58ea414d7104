"""What a person may do about a customer's data: have it erased."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import anyio

from router.domain.conversation import BOT, NOBODY
from router.domain.identity import Address
from router.errors import ActRefused, NotFound
from router.pipeline.people.acts.arguments import Signed
from router.pipeline.people.acts.table import Act, Acts
from router.pipeline.people.surroundings import Surroundings
from router.storage.privacy import erasing
from router.storage.privacy.erasures import salt_of
from router.storage.privacy.subjects import count_of
from router.storage.store import Store, Tx
from router.storage.views import as_values

#: The act that :func:`done` sees through.
ERASE: Final = "contacts.erase"
_LOOK_AGAIN: Final = 0.1
#: How many events one refusal names.
_NAMED: Final = 20
#: How long an erasure waits, at most, for what is just being worked, in seconds.
PATIENCE: Final = 20.0


class _Erase(Signed):
    forget_opt_out: bool = False
    with_unread: bool = False


def _erase(tx: Tx, given: _Erase, around: Surroundings) -> dict[str, Any]:
    """Erase a customer, or leave them alone and say what is just being worked.

    ``erasure`` of what is given is ``None`` then: the same act again, a moment later, goes on.
    """
    if given.by in (BOT, NOBODY):
        raise ActRefused(f'"{given.by}" is not a person. Say who erases')
    nobody = NotFound(f'there is no data of "{given.id}"')
    try:
        name = str(Address.from_text(given.id))
    except ValueError:
        raise nobody from None
    subject, loose = erasing.found(tx.connection, given.tenant, name)
    if not count_of(tx.connection, subject) and not loose.items and not loose.unparsed:
        raise nobody
    if loose.unread and not given.with_unread:
        raise ActRefused(_unread(loose.unread))
    erasing.quiet(tx.connection, subject, by=given.by, now=tx.now)
    busy = erasing.under_way(tx.connection, subject, loose)
    if busy.lanes:
        return {"erasure": None, "under_way": busy.words, "lanes": busy.lanes}
    made = erasing.erase(
        tx.connection,
        subject,
        loose,
        by=given.by,
        forget_opt_out=given.forget_opt_out,
        now=tx.now,
    )
    # Where an opt-out is kept, what leads to it is, too.
    return {"erasure": as_values(made), "keys": () if made.opted_out else subject.keys}


def _unread(events: Sequence[str]) -> str:
    named = ", ".join(events[:_NAMED])
    if len(events) > _NAMED:
        named += f" and {len(events) - _NAMED} more"
    return (
        "nothing was deleted: requests that could not be read name this person, and may hold what "
        f"others wrote: {named}. Once their channel can read them, try each again (`router events "
        "retry ID`); or discard those that nobody needs (`router events discard ID`); or have all "
        "of them deleted, whoever else they are about: --with-unread, over the API "
        "with_unread=true"
    )


async def erased(
    store: Store,
    erase: Callable[[Tx], dict[str, Any]],
    tenant: str,
    surroundings: Surroundings,
    *,
    patience: float,
) -> dict[str, Any]:
    """See an erasure through: it is done once nothing of the customer is being worked.

    The files that they sent are removed after it, and it does not wait for that.

    :param erase: the act, as :func:`router.pipeline.people.acts.bound` gives it.
    :raises ActRefused: if something still is after ``patience`` seconds, such as a message whose
        provider has not answered. Nothing was deleted then; what waited to be sent to them is
        withdrawn, and whoever erases has their conversation.
    """
    # By itself, and before: whoever stores an event meanwhile has to know that people are erased.
    await store.write(lambda tx: salt_of(tx.connection, tenant))
    result = await _tried(store, erase, tenant, surroundings)
    with anyio.move_on_after(patience):
        while result.get("under_way"):
            await anyio.sleep(_LOOK_AGAIN)
            if await store.read(partial(erasing.is_leased, lanes=result["lanes"])):
                continue
            # Begun again only while there is time: what is begun is not left in the middle.
            with anyio.CancelScope(shield=True):
                result = await _tried(store, erase, tenant, surroundings)
    if busy := result.get("under_way"):
        raise ActRefused(
            f"nothing was deleted: {'; '.join(busy)}. What waited to be sent to them is withdrawn, "
            "and the bot says nothing more. Try again in a minute"
        )
    return result


async def _tried(
    store: Store, erase: Callable[[Tx], dict[str, Any]], tenant: str, surroundings: Surroundings
) -> dict[str, Any]:
    """Try an erasure once, and let go of what is kept elsewhere, whatever becomes of the caller."""

    async def both() -> dict[str, Any]:
        result = await store.write(erase)
        if not result.get("under_way"):
            store.forget_aliases(tenant, result.pop("keys"))
            if result["erasure"]["counts"].get("media"):
                surroundings.files_released()
        return result

    # A task of its own: a caller that is cancelled while it commits leaves the second half to it.
    return await asyncio.shield(asyncio.create_task(both()))


ACTS: Final[Acts] = {ERASE: Act(_Erase, _erase)}
