"""What an error of an attempt means for its item: another try, a refusal, or nobody knows."""

import random
import sys
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import anyio

from router.domain.outbox import Backoff, ItemState
from router.domain.storable import storable, storable_id
from router.errors import (
    OutcomeUnknown,
    ProviderError,
    Refused,
    StorageUnavailable,
    Unavailable,
)
from router.plugin.context import Log
from router.plugin.http import classify
from router.storage.store import AttemptResult, Item, Store

_BACKOFF = Backoff(base=2.0, cap=300.0)
#: Seconds between two tries to store a result while the database is away.
_STORAGE_PAUSE = 1.0

#: For what may be repeated without any effect: only age and attempts end it.
ALWAYS = sys.maxsize


@dataclass(frozen=True, slots=True)
class Patience:
    """How long something is tried.

    :param attempts: at most so many; ``None`` for no limit.
    :param backoff: between two attempts, unless the provider says when.
    :param age: counted from when it could leave, or from when a person asked for another try.
    :param repeat_unknown: up to which attempt it is repeated when nobody knows whether it was
        done; :data:`ALWAYS` where a repeat does nothing more.
    """

    attempts: int | None = None
    backoff: Backoff = _BACKOFF
    age: timedelta = timedelta(hours=24)
    repeat_unknown: int = 0


def judge(
    item: Item,
    error: Exception,
    patience: Patience,
    now: datetime,
    aged: datetime | None = None,
) -> AttemptResult:
    """Say what becomes of an item after its attempt failed. ``item.attempt`` began before it.

    :param aged: the time by which it is judged how old the item is, if not ``now``.
    """
    meaning = classify(error)
    begun = item.attempt + 1
    if isinstance(meaning, Refused):
        return _ended(ItemState.REFUSED, meaning)
    if isinstance(meaning, OutcomeUnknown) and begun > patience.repeat_unknown:
        return _ended(ItemState.UNKNOWN, meaning)
    wait = timedelta(seconds=_wait(item, meaning, patience.backoff))
    retry_at = now + wait
    # Whoever has to come back too late need not be waited for: people learn of it now.
    late = (aged or now) + wait > item.ready_since + patience.age
    if late or (patience.attempts is not None and begun >= patience.attempts):
        return _ended(ItemState.DEAD, meaning)
    return _retry(retry_at, meaning)


def _wait(item: Item, error: ProviderError, backoff: Backoff) -> float:
    """Give the seconds until another try: what the provider said, else growing distances."""
    if isinstance(error, Unavailable) and error.retry_after is not None:
        return error.retry_after
    return backoff.delay(item.attempt, random.random())


def _retry(retry_at: datetime, error: ProviderError) -> AttemptResult:
    return AttemptResult(
        state=ItemState.WAITING,
        retry_at=retry_at,
        code=error.code,
        error=error.reason,
    )


async def finish(store: Store, item: Item, result: AttemptResult, log: Log) -> None:
    """Store how an attempt ended, as soon as the database takes it: nobody else knows it."""
    result = storable(result)
    if isinstance(result.provider_ref, str):  # a plugin's value, of any kind
        result = replace(result, provider_ref=storable_id(result.provider_ref))
    while True:
        try:
            await store.finish_attempt(item, result)
        except StorageUnavailable as error:
            log.error("result not stored", item=item.id, error=str(error))
            await anyio.sleep(_STORAGE_PAUSE)
        else:
            return


def _ended(state: ItemState, error: ProviderError) -> AttemptResult:
    return AttemptResult(state=state, code=error.code, error=error.reason)
