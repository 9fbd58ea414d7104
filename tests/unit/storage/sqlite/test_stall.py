"""When nobody being answered is a stall."""

import pytest

from router.storage.sqlite.stall import Waiting


def looks(waiting: Waiting, count: int) -> list[bool]:
    return [waiting.look() for _ in range(count)]


def test_it_is_one_if_somebody_waits_and_nobody_is_answered_for_ten_looks() -> None:
    waiting = Waiting()
    waiting.asked = 2
    waiting.answered = 1

    # The first sees an answer.
    assert looks(waiting, 12) == [False] * 10 + [True] * 2

    waiting.answered = 2
    assert looks(waiting, 12) == [False] * 12


@pytest.mark.parametrize("behind", [1, 1000])
def test_it_is_none_while_anybody_is_answered_however_many_wait(behind: int) -> None:
    waiting = Waiting()
    waiting.asked = 100 + behind

    for number in range(100):
        waiting.answered = number
        assert not waiting.look()


def test_it_is_none_if_nobody_waits() -> None:
    assert looks(Waiting(), 100) == [False] * 100
