"""What one node of several on PostgreSQL does alone: whose turn it is, and how long."""

import signal
import sys
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from router.schedule.silence import SilenceAlarm
from tests.integration.engine.harness import Engine, PostgresDatabase
from tests.integration.engine.nodes import LONG, node_of, store_of, until
from tests.integration.engine.pipeline import running


async def test_what_is_done_now_and_then_is_done_on_one_node_at_a_time(
    first: Engine, second: Engine
) -> None:
    async with first.store.alone("sweep") as mine:
        assert mine
        async with second.store.alone("sweep") as theirs, second.store.alone("other") as other:
            assert (theirs, other) == (False, True)
        await first.accept(first.said())  # whatever it has to do goes on
    async with second.store.alone("sweep") as theirs:
        assert theirs
    with pytest.raises(ValueError, match="broken"):
        async with first.store.alone("sweep"):
            raise ValueError("broken")
    async with second.store.alone("sweep") as theirs:
        assert theirs


async def test_a_turn_lasts_as_long_as_what_it_is_for(place: PostgresDatabase) -> None:
    async with (
        node_of(place, lease=0.5) as first,
        node_of(place) as second,
        first.store.alone("sweep") as mine,
    ):
        assert mine
        await anyio.sleep(1.5)
        async with second.store.alone("sweep") as theirs:
            assert not theirs


_TURN = """
import anyio
from router.clock import SystemClock
from router.storage.postgres.store import PostgresStore

async def turn():
    store = await PostgresStore.open({url!r}, SystemClock(), lease=1.0, heartbeat=0.1)
    try:
        async with store.alone("sweep") as mine:
            print("mine" if mine else "theirs", flush=True)
            await anyio.to_thread.run_sync(input)
            print("over", flush=True)
    finally:
        await store.close()

anyio.run(turn)
"""


async def test_a_turn_that_its_process_froze_in_ends_with_its_lease(
    place: PostgresDatabase, second: Engine
) -> None:
    script = _TURN.format(url=place.url)
    async with await anyio.open_process([sys.executable, "-c", script], stderr=None) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        said = BufferedByteReceiveStream(process.stdout)
        with anyio.fail_after(LONG):
            assert await said.receive_until(b"\n", 100) == b"mine"

        async def ours() -> bool:
            async with second.store.alone("sweep") as mine:
                return mine

        await anyio.sleep(1.5)
        assert not await ours()

        process.send_signal(signal.SIGSTOP)
        try:
            await until(ours)
        finally:
            process.send_signal(signal.SIGCONT)

        # It wakes up, and ends what it was at as if nothing had been.
        await process.stdin.send(b"\n")
        with anyio.fail_after(LONG):
            assert await said.receive_until(b"\n", 100) == b"over"
            assert await process.wait() == 0


@pytest.mark.usefixtures("place")
async def test_dead_air_is_looked_for_on_one_node_at_a_time(tmp_path: Path) -> None:
    async with running("postgres", tmp_path) as pipeline:
        first, settings = pipeline.engine, pipeline.configuration.settings
        assert isinstance(first.database, PostgresDatabase)
        await first.accept(first.said())
        first.clock.advance(timedelta(minutes=11))
        alarm = SilenceAlarm(first.store, lambda: settings, first.clock, pipeline.log)
        async with node_of(first.database) as second:
            async with second.store.alone("silence"):
                await alarm.look()
            assert list(alarm.silent) == []

            await alarm.look()
            assert list(alarm.silent) == ["main/tel:+573001234567#1"]


@pytest.mark.usefixtures("place")
async def test_dead_air_is_told_by_one_node_and_by_the_next_when_that_is_gone(
    tmp_path: Path,
) -> None:
    async with running("postgres", tmp_path) as pipeline:
        eldest, settings, log = pipeline.engine, pipeline.configuration.settings, pipeline.log
        assert isinstance(eldest.database, PostgresDatabase)
        await eldest.accept(eldest.said())
        eldest.clock.advance(timedelta(minutes=11))
        async with (
            node_of(eldest.database, lease=60) as second,
            node_of(eldest.database, lease=60) as third,
        ):
            nodes = [third, eldest, second]
            alarms = [
                SilenceAlarm(node.store, lambda: settings, eldest.clock, log) for node in nodes
            ]

            async def told(*alarms: SilenceAlarm) -> int:
                for alarm in alarms:
                    await alarm.look()
                return [entry.event for entry in log.entries].count("no outcome for too long")

            assert await told(*alarms, *alarms) == 1
            assert [list(alarm.silent) for alarm in alarms] == [["main/tel:+573001234567#1"]] * 3

            await store_of(eldest).close()
            youngest, _, next_ = alarms

            async def told_again() -> bool:
                return await told(next_, youngest) > 1

            await until(told_again)  # the others see only soon that it is gone
            assert await told(youngest, next_, youngest, next_) == 2
