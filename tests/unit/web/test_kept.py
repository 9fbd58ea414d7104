import anyio
import anyio.lowlevel
import pytest

from router.plugin.testing import FakeClock
from router.web.kept import Kept


class Source:
    """Counts how often it is asked; can be slow, and can fail."""

    def __init__(self) -> None:
        self.asked = 0
        self.broken = False

    async def __call__(self) -> int:
        self.asked += 1
        number = self.asked
        await anyio.lowlevel.checkpoint()
        if self.broken:
            raise ValueError("broken")
        return number


async def test_answer_is_kept_for_its_time() -> None:
    clock, source = FakeClock(), Source()
    kept: Kept[int] = Kept(clock, 5.0)

    assert await kept.get("a", source) == 1
    clock.advance(4.9)
    assert await kept.get("a", source) == 1
    assert await kept.get("b", source) == 2
    clock.advance(0.2)
    assert await kept.get("a", source) == 3


async def test_those_who_ask_together_are_answered_together() -> None:
    source = Source()
    kept: Kept[int] = Kept(FakeClock(), 5.0)
    answers: list[int] = []

    async def ask() -> None:
        answers.append(await kept.get("a", source))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask)

    assert answers == [1] * 10


async def test_failure_is_not_kept() -> None:
    source = Source()
    source.broken = True
    kept: Kept[int] = Kept(FakeClock(), 5.0)
    with pytest.raises(ValueError, match="broken"):
        await kept.get("a", source)
    source.broken = False

    assert await kept.get("a", source) == 2


async def test_many_different_questions_are_answered_and_few_are_kept() -> None:
    source = Source()
    kept: Kept[int] = Kept(FakeClock(), 5.0)
    for number in range(1000):
        assert await kept.get(number, source) == number + 1

    assert await kept.get(0, source) == 1
    assert len(kept._kept) <= 64
    assert kept._locks == {}


async def test_an_answer_that_took_long_is_kept_for_longer() -> None:
    clock, source = FakeClock(), Source()
    kept: Kept[int] = Kept(clock, 5.0, times=20.0)

    async def slowly() -> int:
        clock.advance(2.0)
        return await source()

    assert await kept.get("a", slowly) == 1
    clock.advance(39.9)
    assert await kept.get("a", slowly) == 1
    clock.advance(0.2)
    assert await kept.get("a", slowly) == 2
