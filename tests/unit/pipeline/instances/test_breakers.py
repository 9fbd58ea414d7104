"""The circuit breaker, state by state."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.pipeline.instances.breakers import Breaker

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def opened(after: int = 2, pause: float = 30.0) -> Breaker:
    breaker = Breaker(after, pause)
    for _ in range(after):
        assert breaker.admit(NOON) is None
        breaker.failed("busy", NOON)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(3, 30.0)

    news = [breaker.failed("busy", NOON) for _ in range(3)]

    assert news == [False, False, True]
    assert breaker.as_values() == {
        "open_since": NOON.isoformat(),
        "until": later(30).isoformat(),
        "error": "busy",
    }


def test_a_success_in_between_counts_them_anew() -> None:
    breaker = Breaker(2, 30.0)

    for _ in range(5):
        assert not breaker.failed("busy", NOON)
        assert not breaker.succeeded()

    assert not breaker.is_open
    assert breaker.as_values() is None


def test_without_a_number_it_never_opens() -> None:
    breaker = Breaker(0, 30.0)

    assert not any(breaker.failed("busy", NOON) for _ in range(100))
    breaker.restore(NOON, later(30), "busy")
    assert breaker.admit(NOON) is None


def test_while_it_is_open_nothing_passes_and_all_come_back_one_after_the_other() -> None:
    breaker = opened()

    moments = [breaker.admit(later(1)) for _ in range(3)]

    assert moments == [later(30), later(30.002), later(30.004)]


def test_after_the_pause_one_call_tries_and_the_others_wait_for_it() -> None:
    breaker = opened()

    assert breaker.admit(later(30)) is None
    second = breaker.admit(later(30))

    assert second is not None
    assert second > later(30)


def test_a_call_that_fails_keeps_it_open_since_when_it_was() -> None:
    breaker = opened()
    breaker.admit(later(30))

    assert breaker.failed("still busy", later(31))

    assert (breaker.opened_at, breaker.until, breaker.error) == (NOON, later(61), "still busy")
    assert breaker.admit(later(60)) is not None
    assert breaker.admit(later(61)) is None


def test_a_call_that_succeeds_closes_it() -> None:
    breaker = opened()
    breaker.admit(later(30))

    assert breaker.succeeded()

    assert not breaker.is_open
    assert breaker.admit(later(30)) is None
    assert not breaker.failed("busy", later(31))


def test_a_call_that_was_not_made_lets_the_next_one_try() -> None:
    breaker = opened()
    breaker.admit(later(30))
    breaker.spared()

    assert breaker.admit(later(30)) is None


def test_what_left_before_it_opened_and_fails_later_does_not_lengthen_the_pause() -> None:
    breaker = opened()

    assert not breaker.failed("busy", later(20))

    assert breaker.admit(later(30)) is None


def test_it_goes_on_where_another_process_stopped() -> None:
    breaker = Breaker(5, 30.0)

    breaker.restore(NOON, later(30), "busy")

    assert breaker.admit(later(1)) == later(30)
    assert breaker.admit(later(30.1)) is None
    assert breaker.failed("busy", later(31))
    assert breaker.opened_at == NOON


def test_however_many_wait_each_has_a_moment_of_its_own() -> None:
    breaker = opened()

    moments = {breaker.admit(NOON) for _ in range(20_000)}

    assert len(moments) == 20_000


@pytest.mark.parametrize("back", [60, 3600, 31_536_000])
def test_a_clock_that_is_set_back_makes_no_pause_longer(back: float) -> None:
    breaker = opened()
    breaker.admit(later(1))

    moments = [breaker.admit(later(2 - back)) for _ in range(2)]

    assert moments == [later(32 - back), later(32.002 - back)]
    assert breaker.rests(later(31 - back))
    assert not breaker.rests(later(32 - back))
    assert breaker.admit(later(32 - back)) is None


def test_a_clock_that_is_set_back_lets_nobody_wait_long_for_the_call_that_tries() -> None:
    breaker = opened()
    assert breaker.admit(later(7200)) is None
    assert breaker.admit(later(7200)) == later(7201)

    assert breaker.admit(later(3600)) == later(3601)


def test_a_clock_that_is_set_back_does_not_keep_it_from_looking_for_what_another_left_open() -> (
    None
):
    breaker = Breaker(2, 30.0)

    looks = [breaker.is_to_look(later(seconds)) for seconds in (0, -3600, -3590, -3540)]

    assert looks == [False, True, False, True]


@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "fails", "succeeds", "spared"]), st.integers(0, 40)),
        max_size=60,
    )
)
def test_whatever_happens_it_lets_a_call_through_again_some_time(
    steps: list[tuple[str, int]],
) -> None:
    breaker, now, under_way = Breaker(3, 30.0), NOON, 0
    for what, seconds in steps:
        now += timedelta(seconds=seconds)
        if what == "ask":
            under_way += breaker.admit(now) is None
        elif under_way:
            under_way -= 1
            if what == "fails":
                breaker.failed("busy", now)
            elif what == "succeeds":
                breaker.succeeded()
            else:
                breaker.spared()
    for _ in range(under_way):
        breaker.spared()

    assert breaker.admit(now + timedelta(seconds=30)) is None
