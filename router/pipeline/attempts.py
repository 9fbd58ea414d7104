"""What an error of an attempt means for its item: another try, a refusal, or nobody knows."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from router.domain.outbox import Backoff, ItemState
from router.errors import OutcomeUnknown, ProviderError, Refused, Unavailable
from router.plugin.http import classify
from router.storage.store import AttemptResult, Item

_BACKOFF = Backoff(base=2.0, cap=300.0)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long something is tried.

    :param attempts: at most so many; ``None`` for no limit.
    :param age: counted from the first attempt.
    :param repeat_unknown: how often it is repeated when nobody knows whether it was done.
    """

    attempts: int | None = None
    age: timedelta = timedelta(hours=24)
    repeat_unknown: int = 0


def judge(item: Item, error: Exception, patience: Patience, now: datetime) -> AttemptResult:
    """Say what becomes of an item after its attempt failed. ``item.attempt`` began before it."""
    meaning = classify(error)
    begun = item.attempt + 1
    if isinstance(meaning, Refused):
        return _ended(ItemState.REFUSED, meaning)
    if isinstance(meaning, OutcomeUnknown) and begun > patience.repeat_unknown:
        return _ended(ItemState.UNKNOWN, meaning)
    late = item.started_at is not None and now - item.started_at > patience.age
    if late or (patience.attempts is not None and begun >= patience.attempts):
        return _ended(ItemState.DEAD, meaning)
    return retry(item, meaning, now)


def retry(item: Item, error: ProviderError, now: datetime) -> AttemptResult:
    """Give the result that tries again: when the provider said, else with growing distance."""
    wait = _BACKOFF.delay(item.attempt, random.random())
    if isinstance(error, Unavailable) and error.retry_after is not None:
        wait = error.retry_after
    return AttemptResult(
        state=ItemState.WAITING,
        retry_at=now + timedelta(seconds=wait),
        code=error.code,
        error=error.reason,
    )


def _ended(state: ItemState, error: ProviderError) -> AttemptResult:
    return AttemptResult(state=state, code=error.code, error=error.reason)
