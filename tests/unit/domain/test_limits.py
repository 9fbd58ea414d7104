"""Token buckets: never faster than the limit, and no slower than need be."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.limits import Bucket, RateLimit, has_waited, queue_of, take

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PAIR = Bucket(key="main/phone/tel:+57300", limit=RateLimit(6.0, burst=3))
SENDER = Bucket(key="main/phone", limit=RateLimit(0.5), shared=True)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("full_in", "free_in", "full_then"),
    [
        (None, 0, 6),
        (-60, 0, 6),
        (0, 0, 6),
        (6, 0, 12),
        (12, 0, 18),
        (12.5, 0.5, 18.5),
        (18, 6, 24),
    ],
)
def test_a_bucket_is_one_moment(full_in: float | None, free_in: float, full_then: float) -> None:
    full_at = None if full_in is None else later(full_in)

    assert PAIR.limit.free_at(full_at, NOON) == later(free_in)
    assert PAIR.limit.taken(full_at, NOON) == later(full_then)


@pytest.mark.parametrize(("every", "burst"), [(0.0, 1), (-1.0, 1), (1.0, 0), (float("nan"), 1)])
def test_a_limit_lets_something_through(every: float, burst: int) -> None:
    with pytest.raises(ValueError, match="lets nothing through"):
        RateLimit(every, burst)


def test_an_empty_bucket_takes_nothing_from_the_others() -> None:
    empty = Bucket(key=PAIR.key, limit=PAIR.limit, full_at=later(18))

    ready, kept = take([SENDER, empty], NOON, waited=False)

    assert (ready, kept) == (later(6), [])


def test_who_finds_a_shared_bucket_empty_gets_a_place_behind_those_before() -> None:
    bucket = Bucket(key="main/phone", limit=RateLimit(0.5), shared=True, full_at=later(0.5))
    places = []
    for _ in range(4):
        ready, (bucket,) = take([bucket], NOON, waited=False)
        places.append(ready)

    assert places == [later(0.5), later(1), later(1.5), later(2)]


def test_who_comes_new_does_not_take_the_token_of_those_who_wait() -> None:
    queue = Bucket(
        key="main/phone", limit=RateLimit(0.5), shared=True, full_at=NOON, queued_to=later(2)
    )

    fresh, _ = take([queue], NOON, waited=False)
    waited, _ = take([queue], NOON, waited=True)
    ahead, _ = take([queue], NOON, waited=False, ahead=True)

    assert (fresh, waited, ahead) == (later(2), None, None)


def test_who_is_called_looks_just_before_whoever_has_that_moment_anyway() -> None:
    assert replace(SENDER, full_at=later(0.5)).next_at(NOON) == later(0.499999)
    assert replace(SENDER, full_at=later(60)).next_at(NOON) == later(0.499999)
    assert SENDER.next_at(NOON) == later(-0.000001)


@pytest.mark.parametrize(
    ("sender_in", "pair_in", "ahead", "queue"),
    [
        (0.5, 0, False, SENDER.key),
        (0.5, 18, False, SENDER.key),
        (0, 18, False, None),
        (0.5, 0, True, None),
    ],
)
def test_only_who_gets_a_place_stands_in_a_queue(
    sender_in: float, pair_in: float, queue: str | None, *, ahead: bool
) -> None:
    buckets = [
        replace(SENDER, full_at=later(sender_in)),
        replace(PAIR, full_at=later(pair_in)),
    ]

    ready, kept = take(buckets, NOON, waited=False, ahead=ahead)

    assert ready is not None
    assert queue_of(buckets, kept) == queue


def test_a_pair_that_waits_pushes_nobody_back_at_the_sender() -> None:
    sender = Bucket(key="main/phone", limit=RateLimit(0.5), shared=True, full_at=later(0.5))
    pair = Bucket(key=PAIR.key, limit=PAIR.limit, full_at=later(18))

    ready, (kept,) = take([sender, pair], NOON, waited=False)

    assert (ready, kept.queued_to) == (later(6), later(1))


def test_a_person_goes_ahead_and_moves_nobody_s_place() -> None:
    sender = Bucket(
        key="main/phone", limit=RateLimit(0.5), shared=True, full_at=later(0.5), queued_to=later(9)
    )

    assert take([sender], NOON, waited=False, ahead=True) == (later(0.499998), [])


@pytest.mark.parametrize(
    ("kept", "believed"),
    [
        (None, None),
        (-60, -60),
        (18, 18),
        (28, 28),
        (28.001, 18),
        (3618, 18),
    ],
)
def test_no_bucket_is_emptier_than_empty(kept: float | None, believed: float | None) -> None:
    full_at = None if kept is None else later(kept)

    assert PAIR.limit.believed(full_at, NOON) == (None if believed is None else later(believed))


def test_that_a_bucket_cannot_be_as_empty_is_kept_so_that_it_fills_from_then_on() -> None:
    ready, (kept,) = take([replace(PAIR, full_at=later(3600))], NOON, waited=False)
    assert (ready, kept.full_at) == (later(6), later(18))

    ready, (kept,) = take([kept], later(6), waited=True)
    assert (ready, kept.full_at) == (None, later(24))


@given(
    every=st.sampled_from([0.5, 1.0, 60.0]),
    burst=st.integers(1, 5),
    kept=st.floats(-1e5, 1e5),
)
def test_whatever_is_kept_nobody_waits_longer_than_for_one_token(
    every: float, burst: int, kept: float
) -> None:
    limit = RateLimit(every, burst)
    bucket, now, looks = replace(PAIR, limit=limit, full_at=later(kept)), NOON, 0
    ready: datetime | None = now
    while ready is not None:
        now, looks = ready, looks + 1
        ready, stands = take([bucket], now, waited=looks > 1)
        bucket = stands[0] if stands else bucket

    assert now <= later(every + 10)
    assert looks <= 3


@pytest.mark.parametrize(
    ("claimable", "ready", "waited"),
    [
        (0, 0, False),
        (0, -5, True),
        (0, 5, False),
        # From before the clock was set back: it was there before all that is new.
        (0, 3600, True),
    ],
)
def test_who_could_be_claimed_only_later_than_it_was_ready_has_waited(
    claimable: float, ready: float, waited: bool
) -> None:
    assert has_waited(later(claimable), later(ready), NOON) is waited


@given(
    burst=st.integers(1, 5),
    steps=st.lists(st.integers(0, 4000), min_size=1, max_size=60),
)
def test_no_stretch_of_time_has_more_than_the_limit_allows(burst: int, steps: list[int]) -> None:
    limit = RateLimit(1.0, burst)
    bucket, now, sent = Bucket(key="x", limit=limit, shared=True), NOON, []
    for step in steps:
        now += timedelta(milliseconds=step)
        ready, kept = take([bucket], now, waited=True)
        bucket = kept[0]
        if ready is None:
            sent.append(now)

    for first in range(len(sent)):
        for last in range(first, len(sent)):
            stretch = (sent[last] - sent[first]).total_seconds()
            assert last - first + 1 <= burst + stretch


@given(waiting=st.integers(1, 80), burst=st.integers(1, 5))
def test_however_many_wait_each_looks_once_more_and_all_leave_in_time(
    waiting: int, burst: int
) -> None:
    bucket = Bucket(key="x", limit=RateLimit(1.0, burst), shared=True)
    looks, queue, left = 0, [(NOON, False)] * waiting, []
    while queue:
        queue.sort(key=lambda each: each[0])
        at, waited = queue.pop(0)
        looks += 1
        ready, kept = take([bucket], at, waited=waited)
        if kept:
            bucket = kept[0]
        if ready is None:
            left.append(at)
        else:
            queue.append((ready, True))

    assert looks <= 2 * waiting
    assert max(left) <= NOON + timedelta(seconds=waiting)
