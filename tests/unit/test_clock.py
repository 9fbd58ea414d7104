"""A clock that goes by a server's: what it takes from an answer, and what does not move it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from router.clock import FollowingClock
from router.plugin.testing import FakeClock

START = datetime(2026, 4, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def answered(clock: FollowingClock, own: FakeClock, moment: datetime, trip: float) -> None:
    """Let the server be asked, and answer after a while."""
    asked = clock.monotonic()
    own.advance(trip)
    clock.follow(moment, asked)


@pytest.fixture
def own() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def clock(own: FakeClock) -> FollowingClock:
    return FollowingClock(own)


def test_it_is_the_machines_until_the_server_is_heard(
    clock: FollowingClock, own: FakeClock
) -> None:
    own.advance(5)

    assert clock.now() == own.now() == START + timedelta(seconds=5)
    assert clock.monotonic() == own.monotonic()
    assert clock.ahead == timedelta(0)


@pytest.mark.parametrize("off", [-600.0, -30.0, -0.2, 0.4, 30.0, 600.0])
def test_it_goes_by_what_the_server_said_with_half_of_the_way_added(
    clock: FollowingClock, own: FakeClock, off: float
) -> None:
    answered(clock, own, START + timedelta(seconds=off), trip=0.2)

    assert clock.now() == START + timedelta(seconds=off + 0.1)
    assert clock.ahead == timedelta(seconds=0.1 - off)


# (seconds that the way took, by how much the server's answer differs from the clock when it was
# asked): the server answered at any time in between.
AGREE = [
    (0.0, 0.0),
    (0.0, 0.05),
    (0.0, -0.05),
    (0.2, 0.25),
    (0.2, -0.05),
    (30.0, 0.0),
    (30.0, 30.0),
]


@pytest.mark.parametrize("trip, off", AGREE)
def test_it_does_not_move_for_what_may_be_the_way(
    clock: FollowingClock, own: FakeClock, trip: float, off: float
) -> None:
    answered(clock, own, START + timedelta(seconds=off), trip)

    assert clock.now() == own.now()


def test_a_quick_answer_mends_what_a_slow_one_left_open(
    clock: FollowingClock, own: FakeClock
) -> None:
    """The server's clock is three seconds ahead."""
    answered(clock, own, START + timedelta(seconds=3), trip=4)
    assert clock.now() == own.now()

    answered(clock, own, own.now() + timedelta(seconds=3), trip=0.0)

    assert clock.now() == own.now() + timedelta(seconds=3)


STEPS: dict[str, Callable[[datetime], datetime]] = {
    "ahead": lambda now: now + 60 * MINUTE,
    "back": lambda now: now - 60 * MINUTE,
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_setting_the_machines_clock_does_not_move_it(
    clock: FollowingClock, own: FakeClock, step: Callable[[datetime], datetime]
) -> None:
    answered(clock, own, START + MINUTE, trip=0.0)

    own.set(step(own.now()))
    own.advance(1)

    assert clock.now() == START + MINUTE + timedelta(seconds=1)
    assert clock.ahead == step(START) - START - MINUTE


def test_a_server_that_is_set_is_followed_in_either_direction(
    clock: FollowingClock, own: FakeClock
) -> None:
    for moment in (START + 60 * MINUTE, START - 60 * MINUTE):
        answered(clock, own, moment, trip=0.0)

        assert clock.now() == moment
