"""Nodes on one PostgreSQL whose machines' clocks lie apart: all go by the server's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest

from router.clock import FollowingClock, SystemClock
from router.daemon import Router, open_store
from router.domain.limits import Bucket, RateLimit
from router.plugin.testing import RecordingLog
from router.settings.loading import load_settings
from router.storage.store import Start, Terms
from router.storage.tables import conversation, message
from router.storage.tables import node as node_table
from tests.integration.engine.harness import ANA, LUIS, Engine, PostgresDatabase
from tests.integration.engine.nodes import (
    STATEMENTS,
    gone,
    kill,
    me,
    node_of,
    place_dsn,
    store_of,
    until,
)
from tests.integration.engine.pipeline import (
    RULES,
    SETTINGS,
    Pipeline,
    Provider,
    instances_of,
    registry,
)

#: How far the machines' clocks are off.
OFF = [timedelta(seconds=30), timedelta(minutes=10), timedelta(minutes=-10)]
#: Seconds between two messages of a customer: more than it takes to ask the server for the time.
_PAUSE = 0.5


class OffClock(SystemClock):
    """A machine's clock that is off."""

    def __init__(self, by: timedelta) -> None:
        self.by = by

    def now(self) -> datetime:
        return super().now() + self.by


def machine(place: PostgresDatabase, by: timedelta) -> Any:
    """Open a node on a machine whose clock is off."""
    return node_of(place, FollowingClock(OffClock(by)))


@asynccontextmanager
async def machines(place: PostgresDatabase, by: timedelta) -> AsyncIterator[tuple[Engine, Engine]]:
    """Open a node whose machine's clock is right, and one whose machine's is off."""
    async with machine(place, timedelta(0)) as right, machine(place, by) as off:
        off.numbers = count(10_000)
        yield right, off


def pipeline_of(engine: Engine, folder: Path, provider: Provider, debounce: str = "2s") -> Pipeline:
    folder.mkdir(exist_ok=True)
    written = SETTINGS.format(debounce=debounce, policy="").replace('"10s"', '"1h"')
    (folder / "router.toml").write_text(written)
    (folder / "rules.toml").write_text(RULES)
    settings = load_settings(folder / "router.toml", registry(), run=True)
    log = RecordingLog()
    return Pipeline(engine, instances_of(settings, engine.clock, log, provider), provider, log)


async def fire(pipeline: Pipeline) -> None:
    """Do what is due."""
    while await pipeline.engine.store.fire_timers():
        pass
    await pipeline.settle()


async def server_says(engine: Engine) -> datetime:
    raw = await asyncpg.connect(place_dsn(engine))
    try:
        moment: datetime = await raw.fetchval("SELECT clock_timestamp()")
    finally:
        await raw.close()
    return moment


@pytest.mark.parametrize("by", OFF)
async def test_what_is_said_stands_in_the_order_in_which_it_was_said(
    place: PostgresDatabase, tmp_path: Path, by: timedelta
) -> None:
    said = []
    async with machines(place, by) as (right, off):
        provider = Provider()
        nodes = [
            (engine, pipeline_of(engine, tmp_path / str(number), provider))
            for number, engine in enumerate((off, right))
        ]
        for number in range(4):
            engine, pipeline = nodes[number % 2]
            said.append(f"horario {number}")
            await engine.accept(engine.said(said[-1]))
            await pipeline.think()
            await anyio.sleep(_PAUSE)
        rows = [row for row in await right.rows(message) if row.direction == "in"]

    assert [row.text for row in sorted(rows, key=lambda row: row.created_at)] == said


async def test_a_customer_may_finish_writing(place: PostgresDatabase, tmp_path: Path) -> None:
    async with machines(place, timedelta(hours=1)) as (right, off):
        provider = Provider()
        one = pipeline_of(right, tmp_path / "right", provider, debounce="20m")
        two = pipeline_of(off, tmp_path / "off", provider, debounce="20m")
        for text in ("quiero", "saber cuanto", "cuesta"):
            await right.accept(right.said(text))
            await one.think()
            await fire(two)

    assert provider.asked == []


async def test_what_a_dead_node_accepted_is_taken_over(place: PostgresDatabase) -> None:
    async with machines(place, timedelta(minutes=10)) as (survivor, ahead):
        dead = me(ahead)
        await ahead.accept(ahead.said())
        await kill(ahead)
        await until(lambda: gone(survivor, dead))

        work = await survivor.claim_one()

    assert work.ref.seq == 1


async def test_a_senders_limit_holds(place: PostgresDatabase) -> None:
    terms = Terms(buckets=(Bucket(key="main/phone", limit=RateLimit(3600.0, 1), shared=True),))
    async with machines(place, timedelta(hours=2)) as (right, off):
        started = []
        for engine, who in ((right, ANA), (off, LUIS)):
            await engine.answer("hola", "uno", who=who)
            item = await engine.claim_item()
            started.append(await engine.store.start_attempt(item, terms))

    assert started[0] is Start.BEGUN
    assert started[1] is not Start.BEGUN


async def test_a_node_with_a_wrong_date_closes_no_conversation(
    place: PostgresDatabase, tmp_path: Path
) -> None:
    async with machines(place, timedelta(days=2)) as (right, off):
        provider = Provider()
        one = pipeline_of(right, tmp_path / "right", provider)
        two = pipeline_of(off, tmp_path / "off", provider)
        await right.accept(right.said("horario"))
        await one.settle()
        await fire(two)
        (thread,) = await right.rows(conversation)

    assert provider.sent
    assert thread.status != "closed"


async def test_a_start_holds_back_nothing_and_hurries_nothing_of_others(
    place: PostgresDatabase,
) -> None:
    """A node that begins far behind does not take what came in for a sign of a clock set back."""
    async with machine(place, timedelta(0)) as right:
        await right.answer("hola", "uno")
        item = await right.claim_item()
        later = right.clock.now() + timedelta(seconds=50)
        await right.store.postpone(item, later)

        async with machine(place, timedelta(minutes=-10)):
            lane = await right.lane("out")

    assert lane.ready_at == later


@pytest.mark.parametrize("by", OFF)
async def test_a_node_goes_by_the_servers_clock_from_every_start_on(
    place: PostgresDatabase, by: timedelta
) -> None:
    slack = timedelta(seconds=10)
    for _ in range(2):
        async with machine(place, by) as engine:
            before = await server_says(engine)
            told = engine.store.clock.now()
            after = await server_says(engine)
            (row,) = await engine.rows(node_table)

        assert before - slack <= told <= after + slack
        assert before - slack <= row.started_at <= after


async def test_a_server_that_is_set_is_followed_while_the_node_runs(
    place: PostgresDatabase,
) -> None:
    """What a node sees of a server that was set, or of one that came in its place."""
    async with machine(place, timedelta(0)) as engine:
        clock = store_of(engine).clock
        assert isinstance(clock, FollowingClock)
        right = clock.now() - timedelta(seconds=clock.monotonic())
        clock.follow(clock.now() + timedelta(hours=1), clock.monotonic())

        async def agrees() -> bool:
            began = clock.now() - timedelta(seconds=clock.monotonic())
            return abs(began - right) < timedelta(minutes=1)

        assert not await agrees()
        await until(agrees)


async def test_no_statement_is_sent_for_the_time(place: PostgresDatabase) -> None:
    """It comes with the heartbeat."""
    known = {" ".join(value.split()): name for name, value in STATEMENTS.items()}
    statements: list[str] = []

    def note(query: Any) -> None:
        text = " ".join(query.query.split())
        statements.append(known.get(text, text.split()[0].rstrip(";")))

    async with machine(place, timedelta(minutes=10)) as engine:
        node = store_of(engine)._node
        assert node._raw is not None
        async with node._one:
            logger = node._raw.query_logger(note)
            logger.__enter__()

        async def has_beaten() -> bool:
            return statements.count("HEARTBEAT") > 1

        await until(has_beaten)

    assert set(statements) <= {"BEGIN", "HEARTBEAT", "COMMIT", "DEAD", "LEAVE", "SELECT"}


ADVICE = [
    (timedelta(minutes=10), "s ahead of the database server's"),
    (timedelta(minutes=-10), "s behind the database server's"),
    (timedelta(seconds=3), None),
    (timedelta(seconds=-3), None),
]


@pytest.mark.parametrize("by, words", ADVICE)
async def test_an_operator_is_told_of_a_machine_whose_clock_is_off(
    place: PostgresDatabase, by: timedelta, words: str | None
) -> None:
    async with machine(place, by) as engine:
        advice = engine.store.advice

    assert len(advice) == (words is not None)
    assert all(words in sentence and "NTP" in sentence for sentence in advice if words)


async def test_the_daemon_goes_by_the_clock_of_its_store(
    place: PostgresDatabase, tmp_path: Path
) -> None:
    sqlite = "sqlite+aiosqlite:///router.db"
    (tmp_path / "router.toml").write_text(
        SETTINGS.format(debounce="2s", policy="").replace(sqlite, place.url)
    )
    (tmp_path / "rules.toml").write_text(RULES)
    settings = load_settings(tmp_path / "router.toml", registry(), run=True)

    async with open_store(settings) as store:
        router = Router(settings, store, log=RecordingLog())

        assert isinstance(store.clock, FollowingClock)
        assert router.clock is store.clock
