"""What becomes of an item after its attempt failed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from router.domain.message import Author
from router.domain.outbox import ItemKind, ItemState
from router.errors import OutcomeUnknown, Refused, StorageUnavailable, Unavailable
from router.pipeline.attempts.judging import Patience, finish, judge
from router.plugin.testing import RecordingLog
from router.storage.store import AttemptResult, Item, Store

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ITEM = Item(
    id="i1",
    tenant="main",
    lane="main/phone/tel:+57300",
    seq=1,
    kind=ItemKind.MESSAGE,
    conversation="t1",
    decided=None,
    author=Author.BOT,
    epoch=0,
    destination="phone",
    body="{}",
    state=ItemState.WAITING,
    attempt=0,
    created_at=NOON,
)


@pytest.mark.parametrize(
    ("error", "attempt", "patience", "age", "state"),
    [
        (Unavailable("busy"), 0, Patience(), 0, ItemState.WAITING),
        (Unavailable("busy"), 500, Patience(), 23, ItemState.WAITING),
        (Unavailable("busy"), 500, Patience(), 24, ItemState.DEAD),
        (Unavailable("busy", retry_after=7200), 0, Patience(), 23, ItemState.DEAD),
        (Unavailable("busy"), 1, Patience(), 25, ItemState.DEAD),
        (Unavailable("busy"), 0, Patience(attempts=2), 0, ItemState.WAITING),
        (Unavailable("busy"), 1, Patience(attempts=2), 0, ItemState.DEAD),
        (Refused("no"), 0, Patience(repeat_unknown=9), 0, ItemState.REFUSED),
        (OutcomeUnknown("lost"), 0, Patience(), 0, ItemState.UNKNOWN),
        (OutcomeUnknown("lost"), 0, Patience(repeat_unknown=1), 0, ItemState.WAITING),
        (OutcomeUnknown("lost"), 1, Patience(repeat_unknown=1), 0, ItemState.UNKNOWN),
        (OutcomeUnknown("lost"), 2, Patience(attempts=3, repeat_unknown=3), 0, ItemState.DEAD),
        (OutcomeUnknown("lost"), 1, Patience(repeat_unknown=3), 25, ItemState.DEAD),
        (ZeroDivisionError(), 0, Patience(), 0, ItemState.UNKNOWN),
        (TimeoutError(), 0, Patience(), 0, ItemState.UNKNOWN),
        (httpx.ConnectError("refused"), 0, Patience(), 0, ItemState.WAITING),
        (httpx.ReadTimeout("slow"), 0, Patience(), 0, ItemState.UNKNOWN),
    ],
)
def test_an_error_means_one_thing(
    error: Exception, attempt: int, patience: Patience, age: int, state: ItemState
) -> None:
    item = replace(ITEM, attempt=attempt, started_at=NOON if attempt else None)

    result = judge(item, error, patience, NOON + timedelta(hours=age))

    assert result.state is state
    assert (result.retry_at is not None) == (state is ItemState.WAITING)


@pytest.mark.parametrize(("age", "state"), [(95, ItemState.WAITING), (96, ItemState.DEAD)])
def test_what_a_person_asked_for_again_has_its_time_from_then(age: int, state: ItemState) -> None:
    item = replace(ITEM, not_before=NOON + timedelta(hours=72))

    result = judge(item, Unavailable("busy"), Patience(), NOON + timedelta(hours=age))

    assert result.state is state


@pytest.mark.parametrize(
    ("attempt", "least", "most"),
    [(0, 1.6, 2.4), (3, 12.8, 19.2), (7, 204.8, 307.2), (40, 240, 360)],
)
def test_the_distance_between_tries_grows_up_to_five_minutes(
    attempt: int, least: float, most: float
) -> None:
    result = judge(replace(ITEM, attempt=attempt), Unavailable("busy"), Patience(), NOON)

    assert result.retry_at is not None
    assert least <= (result.retry_at - NOON).total_seconds() <= most


def test_the_provider_says_when_to_come_back() -> None:
    error = Unavailable("busy", code="429", retry_after=90)

    result = judge(ITEM, error, Patience(), NOON)

    assert result.retry_at == NOON + timedelta(seconds=90)
    assert (result.code, result.error) == ("429", "busy")


class _AwayStore:
    """A store whose disk is full for a while."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.stored: list[AttemptResult] = []

    async def finish_attempt(self, item: Item, result: AttemptResult) -> None:
        if self.failures:
            self.failures -= 1
            message = "full"
            raise StorageUnavailable(message)
        self.stored.append(result)


async def test_a_result_is_kept_until_the_database_takes_it() -> None:
    store, log = _AwayStore(1), RecordingLog()
    result = AttemptResult(state=ItemState.DONE, provider_ref="SM1")

    as_store: Store = store  # type: ignore[assignment]
    await finish(as_store, ITEM, result, log)

    assert store.stored == [result]
    assert [entry.level for entry in log.entries] == ["error"]
