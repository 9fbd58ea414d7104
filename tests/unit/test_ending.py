"""Ending by force what does not end by itself."""

import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

import pytest

from router.ending import Ending

#: Nobody waits longer for anything.
PATIENCE = 60.0


class Log:
    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def error(self, event: str, **values: Any) -> None:
        self.told.append((event, values))


class StalledLog(Log):
    """Nobody reads it any more: whoever writes to it waits."""

    def __init__(self, released: threading.Event) -> None:
        super().__init__()
        self._released = released

    def error(self, event: str, **values: Any) -> None:
        self._released.wait(PATIENCE)


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """An event for which a thread waits all the time."""
    event = threading.Event()

    def hang() -> None:
        event.wait(PATIENCE)

    thread = threading.Thread(target=hang, name="reader")
    thread.start()
    yield event
    event.set()
    thread.join()


async def test_what_still_runs_is_named_before_the_end(released: threading.Event) -> None:
    log, ended = Log(), Queue[int]()

    Ending(log, end=ended.put).within(0.01)

    assert ended.get(timeout=PATIENCE) == 1
    [(event, values)] = log.told
    assert event == "the stop takes too long: ended"
    assert "reader: tests.unit.test_ending.released.<locals>.hang" in values["threads"]
    assert values["tasks"]


async def test_the_shorter_time_counts() -> None:
    ended = Queue[int]()
    ending = Ending(Log(), end=ended.put)

    ending.within(1000 * PATIENCE)
    ending.within(0.01)
    ending.within(1000 * PATIENCE)

    assert ended.get(timeout=PATIENCE) == 1


async def test_a_log_that_nobody_reads_does_not_put_the_end_off(released: threading.Event) -> None:
    ended = Queue[int]()

    Ending(StalledLog(released), end=ended.put).within(0.01)

    assert ended.get(timeout=PATIENCE / 2) == 1
