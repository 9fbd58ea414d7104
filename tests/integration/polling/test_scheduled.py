"""Pollers of the host's own beside a channel: what they override, and when they are asked."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio

from router import plugin
from router.daemon import Router
from router.pipeline.instances.instances import LiveChannel
from router.schedule.polling import Pollers
from router.schedule.scheduled import PluginPoller, ScheduledPoller
from router.storage.store import Tx
from router.storage.tables import poller, template_listing
from router.storage.templates import keep_listing
from tests.integration.polling.world import FeedChannel, FeedConfig, World, one_database, until


class NoFeed(FeedChannel):
    def pollers(self) -> Sequence[plugin.Poller]:
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(plugin.Polled):
    """What a gauge found: no event, but a level."""

    level: int


class Gauge(ScheduledPoller[Measured]):
    """A poller of the host, of a kind that the schedule has never heard of.

    It overrides whatever it may, and notes what it is asked, in ``asked``.
    """

    every = timedelta(hours=1)
    always_finds = True

    def __init__(self, live: LiveChannel) -> None:
        super().__init__(live, "gauge")
        self.asked: list[str] = []
        self.is_wanted, self.is_hurried, self.keeps = True, False, True
        #: Called when it is about to be taken.
        self.meanwhile: Callable[[], None] = lambda: None

    def times(self, what: str) -> int:
        return self.asked.count(what)

    @property
    def wanted(self) -> bool:
        self.asked.append("wanted")
        return self.is_wanted

    @property
    def hurries(self) -> bool:
        self.asked.append("hurries")
        self.meanwhile()
        return self.is_hurried

    def hurried(self) -> None:
        self.asked.append("hurried")

    async def poll(self, cursor: str | None) -> Measured:
        self.asked.append(f"poll after {cursor}")
        return Measured(cursor="high", level=7)

    def pause(self, polled: Measured) -> timedelta:
        self.asked.append(f"pause after {polled.level}")
        return timedelta(hours=3)

    def keep(self, tx: Tx, polled: Measured) -> None:
        self.asked.append(f"keep {polled.level}")
        keep_listing(tx.connection, "main", "calls", [], tx.now)
        if not self.keeps:
            raise ValueError("it cannot")

    def learn(self, polled: Measured) -> None:
        self.asked.append(f"learn {polled.level}")


#: What a turn asks until it is known whether there is a poll to make.
TURN = ["wanted", "hurries", "hurried"]


@asynccontextmanager
async def gauged(world: World) -> AsyncIterator[tuple[Router, Pollers, Gauge]]:
    """Give a router whose channel polls nothing, and beside it what runs a gauge there."""

    class Ours(NoFeed):
        feed = world.feed

    world.kinds.channel("quiet", Ours, config=FeedConfig)
    world.change('"feed"', '"quiet"')
    async with world.running() as router:
        live = router.channel("main", "calls")
        assert live is not None
        gauge = Gauge(live)
        beside = Pollers(
            router.store,
            lambda: router.configuration,
            router.intake,
            router.clock,
            world.log,
            router.metrics,
            own=lambda _: [gauge],
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beside.run, live)
            yield router, beside, gauge
            beside.stop()


def due(world: World) -> tuple[str | None, datetime, datetime]:
    (row,) = world.rows(poller)
    return row.cursor, row.polled_at, row.due_at


@one_database
async def test_a_poller_of_the_host_overrides_what_those_of_plugins_do(world: World) -> None:
    async with gauged(world) as (router, beside, gauge):
        await until(lambda: gauge.times("learn 7") == 1)
        await until(lambda: gauge.standing.due_at is not None)
        assert beside.standing() == [gauge.standing]
        polls = router.metrics.polls.values
        assert polls["main", "calls", "gauge", "found"] == 1

    assert gauge.asked == [*TURN, "poll after None", "pause after 7", "keep 7", "learn 7"]
    assert len(world.rows(template_listing)) == 1
    cursor, polled_at, due_at = due(world)
    assert cursor == "high"
    assert due_at - polled_at > timedelta(hours=2)


@one_database
async def test_what_is_taken_just_as_everything_stops_is_given_back_unpolled(world: World) -> None:
    async with gauged(world) as (_, beside, gauge):
        gauge.meanwhile = beside.stop
        await until(lambda: gauge.times("hurries") == 1)
        with anyio.fail_after(30):
            await beside.idle()

        (row,) = world.rows(poller)
        assert (row.holder, row.leased_until, row.polled_at) == (None, None, None)

    assert gauge.asked == TURN


@one_database
async def test_who_hurries_is_polled_though_it_is_not_due(world: World) -> None:
    async with gauged(world) as (_, beside, gauge):
        await until(lambda: gauge.standing.due_at is not None)
        beside.renew()
        await until(lambda: gauge.times("hurried") == 2)
        assert gauge.times("learn 7") == 1
        gauge.is_hurried = True
        beside.renew()
        await until(lambda: gauge.times("learn 7") == 2)

    assert gauge.asked[7:] == [
        *TURN,
        *TURN,
        "poll after high",
        "pause after 7",
        "keep 7",
        "learn 7",
    ]


@one_database
async def test_who_is_not_wanted_is_not_polled_until_it_is(world: World) -> None:
    async with gauged(world) as (_, beside, gauge):
        await until(lambda: gauge.standing.due_at is not None)
        gauge.is_wanted, gauge.is_hurried = False, True
        beside.renew()
        await until(lambda: gauge.standing.every is None)
        assert gauge.asked[7:] == ["wanted"]
        gauge.is_wanted = True
        beside.renew()
        await until(lambda: gauge.times("learn 7") == 2)
        assert gauge.standing.every == 3600.0


@one_database
async def test_what_is_found_beside_events_is_stored_with_the_cursor_or_not_at_all(
    world: World,
) -> None:
    async with gauged(world) as (router, beside, gauge):
        await until(lambda: gauge.standing.due_at is not None)
        before = due(world)
        (listed,) = world.rows(template_listing)
        gauge.is_hurried, gauge.keeps = True, False
        beside.renew()
        await until(lambda: gauge.standing.failures >= 1)
        polls = router.metrics.polls.values
        assert polls["main", "calls", "gauge", "found"] == 1

    assert gauge.times("learn 7") == 1
    assert world.said("poll failed")[0]["reason"].startswith("what it found cannot be stored")
    assert world.rows(template_listing) == [listed]
    assert due(world)[:2] == before[:2]


@one_database
async def test_a_poller_of_a_plugin_is_run_as_it_stands(world: World) -> None:
    world.feed.every = timedelta(hours=1)
    async with world.running() as router:
        await until(lambda: router.status()["pollers"][0]["due_at"] is not None)
        polls = dict(router.metrics.polls.values)
        live = router.channel("main", "calls")
        assert live is not None
        ours = PluginPoller(live, *live.plugin.pollers())
        world.feed.leave("1", "2")
        polled = await ours.poll("1")

    assert polls == {("main", "calls", "news", "nothing"): 1}
    assert (ours.key, ours.every) == (("main", "calls", "news"), timedelta(hours=1))
    assert (ours.wanted, ours.hurries, ours.pause(polled)) == (True, False, ours.every)
    assert (polled.cursor, len(polled.events)) == ("2", 1)
