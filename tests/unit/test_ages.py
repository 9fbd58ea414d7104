"""How old something is, by a wall clock that people and time services set."""

from datetime import timedelta

import pytest

from router.ages import SETTLED, Ages
from router.clock import SystemClock
from router.plugin.testing import FakeClock

YEAR = timedelta(days=365)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ages(clock: FakeClock) -> Ages:
    ages = Ages(clock)
    assert ages.now() == clock.now()
    return ages


def step(clock: FakeClock, by: timedelta) -> None:
    clock.set(clock.now() + by)


def test_time_that_passes_counts(clock: FakeClock, ages: Ages) -> None:
    clock.advance(YEAR)  # a suspended machine's, too

    assert ages.now() == ages.at_least() == clock.now()
    assert not ages.ahead


def test_a_step_ahead_makes_nothing_old_until_it_has_lasted(clock: FakeClock, ages: Ages) -> None:
    right = clock.now()
    step(clock, YEAR)

    assert ages.now() == ages.at_least() == right
    assert ages.ahead == YEAR
    clock.advance(SETTLED - SECOND)
    assert ages.now() == ages.at_least() == clock.now() - YEAR

    clock.advance(SECOND)
    assert ages.now() == clock.now()
    assert not ages.ahead


def test_what_is_deleted_is_never_judged_by_a_step_ahead(clock: FakeClock, ages: Ages) -> None:
    step(clock, YEAR)
    assert ages.ahead
    clock.advance(YEAR)

    assert ages.now() == clock.now()
    assert ages.at_least() == clock.now() - YEAR


@pytest.mark.parametrize("by", [HOUR, -SECOND, -YEAR])
def test_a_small_step_and_one_back_are_believed_at_once(
    clock: FakeClock, ages: Ages, by: timedelta
) -> None:
    step(clock, by)

    assert ages.now() == clock.now()
    assert ages.at_least() <= clock.now()


def test_a_clock_that_was_put_right_is_believed_at_once(clock: FakeClock, ages: Ages) -> None:
    for _ in range(2):
        step(clock, YEAR)
        assert ages.ahead
        clock.advance(5)
        step(clock, -YEAR)

        assert ages.now() == ages.at_least() == clock.now()
        assert not ages.ahead


def test_a_start_whose_clock_was_ahead_is_forgotten(clock: FakeClock, ages: Ages) -> None:
    step(clock, -YEAR)
    assert ages.now() == clock.now()
    right = clock.now()

    step(clock, YEAR)

    assert ages.now() == ages.at_least() == right


def test_the_systems_clock_goes_on() -> None:
    clock = SystemClock()
    before = clock.monotonic()

    assert clock.monotonic() >= before
    assert not Ages(clock).ahead
