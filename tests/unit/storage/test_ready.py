"""Waiting for work: nothing that is told gets lost between a look and what it has found."""

import time
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from router.storage.ready import Ready

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def test_what_is_told_during_a_look_is_looked_for_again() -> None:
    ready: Ready[str] = Ready()

    with ready.looking():
        ready.look()  # another node's hint: too late for the statement that is just running
        ready.looked(more=False, next_at=None)

    assert ready.unclaimed
    with anyio.fail_after(0):
        await ready.wait(lambda: NOW)


async def test_a_look_that_found_nothing_is_the_last_until_something_is_told() -> None:
    ready: Ready[str] = Ready()

    with ready.looking():
        ready.looked(more=False, next_at=None)

    assert not ready.unclaimed


def test_a_look_that_found_as_much_as_it_wanted_is_not_the_last() -> None:
    ready: Ready[str] = Ready()

    with ready.looking():
        ready.looked(more=True, next_at=NOW)

    assert ready.unclaimed
    assert ready.next_at == NOW


def test_a_look_that_failed_is_repeated() -> None:
    ready: Ready[str] = Ready()

    with pytest.raises(OSError), ready.looking():
        raise OSError

    assert ready.unclaimed


async def test_a_lane_that_another_node_is_just_taking_is_not_looked_for_without_a_pause() -> None:
    ready: Ready[str] = Ready()
    with ready.looking():
        ready.looked(more=False, next_at=NOW - timedelta(seconds=1))

    began = time.monotonic()
    await ready.wait(lambda: NOW)

    assert time.monotonic() - began > 0.002
    assert ready.unclaimed
