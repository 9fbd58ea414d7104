"""Since when things wait, where the clock was set back meanwhile."""

from datetime import UTC, datetime, timedelta

from router.domain.waits import MOST, Waits

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_what_was_kept_is_believed_as_far_as_clocks_lie_apart() -> None:
    waits = Waits()

    assert [waits.since("a", later(seconds), NOON) for seconds in (-60, 0, 10)] == [
        later(-60),
        NOON,
        later(10),
    ]


def test_what_was_kept_in_the_future_waits_since_it_was_first_seen() -> None:
    waits = Waits()

    seen = [waits.since("a", later(3600), later(seconds)) for seconds in (0, 60, 120)]

    assert seen == [NOON] * 3
    assert waits.since("b", later(3600), later(120)) == later(120)
    assert waits.since("a", later(3600), later(3600)) == later(3600)


def test_a_clock_that_is_set_back_once_more_begins_it_anew() -> None:
    waits = Waits()
    waits.since("a", later(3600), NOON)

    assert waits.since("a", later(3600), later(-60)) == later(-60)
    assert waits.since("a", later(3600), NOON) == later(-60)


def test_what_is_never_asked_about_again_is_forgotten_some_time() -> None:
    waits = Waits()
    for number in range(MOST + 1):
        waits.since(str(number), later(3600), NOON)

    assert waits.since("1", later(3600), later(1)) == NOON
    assert waits.since("0", later(3600), later(1)) == later(1)
