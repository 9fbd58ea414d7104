"""Duties of the router: a turn that breaks is told, and the next one comes all the same."""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from router.domain.outbox import Backoff
from router.plugin.testing import FakeClock, RecordingLog
from router.schedule.duty import Duty
from router.schedule.retention import Retention
from router.schedule.silence import SilenceAlarm
from router.schedule.timers import Timers


async def test_a_turn_that_breaks_is_told_and_three_in_a_row_are_trouble() -> None:
    log = RecordingLog()
    duty = Duty("the alarm", log, backoff=Backoff(base=0.0))
    troubles = []

    async def breaks() -> None:
        raise KeyError("a mistake")

    for take in (breaks, breaks, breaks, _ends_well, breaks):
        await duty.turn(take)
        troubles.append(duty.trouble())

    assert [(it.event, it.values["times"]) for it in log.entries] == [
        ("duty broke", times) for times in (1, 2, 3, 1)
    ]
    assert log.entries[0].values["error"] == "KeyError: 'a mistake'"
    assert log.entries[0].values["where"].endswith(" breaks")
    assert troubles == [[], [], ["the alarm broke 3 times: KeyError: 'a mistake'"], [], []]


async def _ends_well() -> None:
    pass


class Mistaken:
    """A store, or whatever else a duty asks, that is broken by a mistake; it says when."""

    def __init__(self) -> None:
        self.asked = anyio.Event()

    def __call__(self, *arguments: Any) -> Any:
        self.asked.set()
        raise KeyError("a mistake")

    def __getattr__(self, name: str) -> Any:
        return self


def _silence(broken: Any, log: RecordingLog) -> Callable[[], Coroutine[Any, Any, None]]:
    return SilenceAlarm(broken, broken, FakeClock(), log, every=0.0).run


def _retention(broken: Any, log: RecordingLog) -> Callable[[], Coroutine[Any, Any, None]]:
    return Retention(broken, broken, log, every=0.0).run


def _timers(broken: Any, log: RecordingLog) -> Callable[[], Coroutine[Any, Any, None]]:
    return Timers(broken, log).run


@pytest.mark.parametrize("made", [_silence, _retention, _timers])
async def test_a_mistake_in_a_duty_ends_neither_it_nor_the_router(
    made: Callable[[Any, RecordingLog], Callable[[], Coroutine[Any, Any, None]]],
) -> None:
    broken, log = Mistaken(), RecordingLog()

    async with anyio.create_task_group() as router:
        router.start_soon(made(broken, log))
        with anyio.fail_after(30):
            for _ in range(2):
                await broken.asked.wait()
                broken.asked = anyio.Event()
        router.cancel_scope.cancel()

    assert {entry.event for entry in log.entries} == {"duty broke"}
