"""Polling in a running router: found once, worked, told when it fails, alone, and stopped."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from router import plugin
from router.clock import SystemClock
from router.daemon import Router
from router.logs import Redaction
from router.pipeline.acts import perform
from router.pipeline.instances import LiveChannel
from router.pipeline.surroundings import Configured
from router.plugin.registry import Registry
from router.plugin.testing import RecordingLog
from router.schedule.polling import Pollers
from router.schedule.scheduled import PluginPoller, ScheduledPoller
from router.settings.loading import load_settings
from router.settings.model import Settings
from router.storage.pollers import PollerView, hold_all, pollers
from router.storage.store import Tx
from router.storage.tables import inbox_event, poller, template_listing
from router.storage.templates import keep_listing
from tests.integration.engine.harness import DATABASES, Database

CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"
rules = ["rules.toml"]

[policy]
mode = "autopilot"
debounce = "0s"

[channels.calls]
type = "feed"
timeout = "{timeout}"
"""
RULES = 'default.ignore = "counted"\n'

TICK = timedelta(milliseconds=20)


class FeedConfig(plugin.PluginConfig):
    """A provider that is asked."""

    number: int = 1
    start: str = "well"


@dataclass
class Feed:
    """Somebody else's server: what it has, and how the next polls end.

    :ivar polls: which instance asked, after which cursor.
    :ivar under_way: how many polls there are now, and the most that there were at once.
    :ivar pause: what a poll waits for.
    """

    found: list[Any] = field(default_factory=list)
    script: list[Exception] = field(default_factory=list)
    polls: list[tuple[int, str | None]] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    page: int = 100
    every: timedelta = TICK
    pause: anyio.Event | None = None
    answer: Callable[[str | None], Any] | None = None

    def leave(self, *ids: str) -> None:
        self.found += [message(each) for each in ids]

    def cursors(self, number: int = 1) -> list[str | None]:
        return [cursor for asker, cursor in self.polls if asker == number]


def message(id: str) -> plugin.MessageReceived:
    return plugin.MessageReceived(id, plugin.Address("tel", f"+57300{id}"), f"text {id}")


class News(plugin.Poller):
    name = "news"

    def __init__(self, channel: "FeedChannel") -> None:
        self.channel = channel
        self.every = channel.feed.every

    async def poll(self, cursor: str | None) -> plugin.Polled:
        feed = self.channel.feed
        feed.polls.append((self.channel.config.number, cursor))
        feed.under_way += 1
        feed.most = max(feed.most, feed.under_way)
        try:
            if feed.pause is not None:
                await feed.pause.wait()
            await anyio.sleep(0.002)
            if feed.script:
                raise feed.script.pop(0)
            if feed.answer is not None:
                answer: plugin.Polled = feed.answer(cursor)
                return answer
            begin = int(cursor or 0)
            events = feed.found[begin : begin + feed.page]
            end = begin + len(events)
            return plugin.Polled(events=events, cursor=str(end), again=end < len(feed.found))
        finally:
            feed.under_way -= 1


class FeedChannel(plugin.Channel[FeedConfig]):
    feed: Feed

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        if self.config.start == "badly":
            raise plugin.Refused("it does not start")
        yield

    def pollers(self) -> Sequence[plugin.Poller]:
        return [News(self)]

    def verify(self, request: plugin.WebhookRequest) -> None: ...

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        return [message(request.body.decode())]

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        raise plugin.Refused("it sends nothing")


@dataclass
class World:
    """Routers on one database, and what they ask."""

    folder: Path
    database: Database
    feed: Feed
    log: RecordingLog
    kinds: Registry
    looker: Any

    def load(self) -> Settings:
        return load_settings(self.folder / "router.toml", self.kinds, run=True, environ={})

    def change(self, old: str, new: str) -> None:
        path = self.folder / "router.toml"
        path.write_text(path.read_text().replace(old, new))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Router]:
        settings = self.load()
        store = await self.database.open(SystemClock())
        try:
            redaction = Redaction(())
            async with Router(
                settings, store, log=self.log, load=self.load, redaction=redaction
            ) as router:
                yield router
        finally:
            await store.close()

    def rows(self, table: sa.Table) -> list[Any]:
        return list(self.looker.connect().execute(sa.select(table)))

    def outcomes(self) -> dict[str, str | None]:
        """Give what became of each event, by its id at the provider."""
        return {row.external_id: row.outcome for row in self.rows(inbox_event)}

    def said(self, event: str) -> list[dict[str, Any]]:
        return [entry.values for entry in self.log.entries if entry.event == event]

    async def view(self, router: Router) -> PollerView:
        (view,) = await router.store.read(lambda connection: pollers(connection, "main"))
        return view


async def until(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(40):
        while not happened():  # noqa: ASYNC110 - what is waited for is a scripted feed's doing
            await anyio.sleep(0.02)


@pytest.fixture(params=list(DATABASES))
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    feed, kinds = Feed(), Registry()

    class OurFeed(FeedChannel):
        pass

    OurFeed.feed = feed
    kinds.channel("feed", OurFeed, config=FeedConfig)
    (tmp_path / "router.toml").write_text(CONFIG.replace("{timeout}", "20s"))
    (tmp_path / "rules.toml").write_text(RULES)
    database = DATABASES[request.param](tmp_path)
    looker = database.looker()
    try:
        yield World(tmp_path, database, feed, RecordingLog(), kinds, looker)
    finally:
        looker.dispose()
        database.close()


one_database = pytest.mark.parametrize("world", ["sqlite"], indirect=True)


async def test_what_is_found_is_worked_and_the_next_poll_goes_on_from_there(world: World) -> None:
    world.feed.leave("1", "2")
    async with world.running():
        await until(lambda: "2" in world.feed.cursors())
        world.feed.leave("3")
        await until(lambda: "3" in world.feed.cursors())
        expected = {"message:1": "ignore", "message:2": "ignore", "message:3": "ignore"}
        await until(lambda: world.outcomes() == expected)

    assert world.feed.most == 1
    assert {row.source for row in world.rows(inbox_event)} == {"main/calls"}


async def test_after_a_restart_it_goes_on_from_the_stored_cursor(world: World) -> None:
    world.feed.leave("1", "2")
    async with world.running():
        await until(lambda: "2" in world.feed.cursors())
    before = len(world.feed.polls)

    async with world.running():
        await until(lambda: len(world.feed.polls) > before)

    assert world.feed.cursors()[before] == "2"
    assert len(world.outcomes()) == 2


@one_database
@pytest.mark.parametrize("endpoint", ["", "ended"])
async def test_what_a_webhook_brings_too_is_one_event(world: World, endpoint: str) -> None:
    async with world.running() as router:
        live = router.channel("main", "calls")
        assert live is not None
        request = plugin.WebhookRequest(
            url="http://x/", body=b"1", received_at=router.clock.now(), endpoint=endpoint
        )
        assert (await router.intake.receive(live, request)).status == 200
        world.feed.leave("1", "2")
        await until(lambda: "2" in world.feed.cursors())
        assert (await router.intake.receive(live, request)).status == 200
        duplicates = router.metrics.duplicates.values

    assert sorted(world.outcomes()) == ["message:1", "message:2"]
    assert duplicates == {("main", "calls"): 2}


@one_database
async def test_where_there_is_more_it_is_asked_for_at_once(world: World) -> None:
    world.feed.leave(*map(str, range(50)))
    world.feed.page = 5
    async with world.running() as router:
        await until(lambda: "50" in world.feed.cursors())
        polls = router.metrics.polls.values["main", "calls", "news", "found"]

    assert polls == 10
    assert len(world.outcomes()) == 50


@one_database
async def test_who_says_again_and_gets_nowhere_is_not_asked_without_an_end(world: World) -> None:
    world.feed.answer = lambda cursor: plugin.Polled(cursor=cursor, again=True)
    world.feed.every = timedelta(hours=1)
    async with world.running() as router:
        await until(lambda: router.status()["pollers"][0]["polled_at"] is not None)
        view = await world.view(router)

    assert view.polled_at is not None
    assert view.due_at - view.polled_at > timedelta(minutes=59)
    assert len(world.feed.polls) == 1


async def test_a_failure_is_told_and_the_cursor_stays(world: World) -> None:
    world.feed.leave("1")
    async with world.running() as router:
        await until(lambda: "1" in world.feed.cursors())
        world.feed.script += [plugin.Unavailable("it sleeps"), ValueError("nonsense"), OSError()]
        world.feed.leave("2")
        await until(lambda: "2" in world.feed.cursors())
        assert router.metrics.polls.values["main", "calls", "news", "failed"] == 3
        view = await world.view(router)

    assert world.feed.cursors().count(None) == 1
    told = world.said("poll failed")
    assert [(each["failures"], each["reason"]) for each in told] == [
        (1, "it sleeps"),
        (2, "ValueError: nonsense"),
        (3, "OSError"),
    ]
    assert world.said("poll works again") == [
        {"channel": "channels.calls", "poller": "news", "failures": 3}
    ]
    assert (view.failures, view.error) == (0, None)
    assert sorted(world.outcomes()) == ["message:1", "message:2"]


@one_database
async def test_a_provider_that_asks_for_time_gets_it_and_people_are_told(world: World) -> None:
    busy = plugin.Unavailable("too many", retry_after=3600)
    world.feed.script += [plugin.Refused("no"), plugin.Refused("no"), busy]
    async with world.running() as router:
        await until(lambda: len(world.said("poll failed")) == 3)
        view = await world.view(router)
        await until(lambda: bool(router.status()["trouble"]))
        status = router.status()

    assert view.failing_since is not None
    assert view.due_at - view.failing_since >= timedelta(seconds=3590)
    assert status["trouble"] == ["channels.calls, poller news fails: too many"]
    assert [(it["failures"], it["error"]) for it in status["pollers"]] == [(3, "too many")]


@one_database
async def test_a_poll_that_does_not_end_is_given_up(world: World) -> None:
    world.change("20s", "200ms")
    world.feed.pause = anyio.Event()
    async with world.running():
        await until(lambda: bool(world.said("poll failed")))
        world.feed.pause = None
        world.feed.leave("1")
        await until(lambda: "message:1" in world.outcomes())

    assert world.said("poll failed")[0]["reason"] == "it took longer than 0.2 s"


@one_database
@pytest.mark.parametrize(
    "answer, reason",
    [
        ({"events": []}, "poll has to give a Polled, not dict"),
        (plugin.Polled(cursor=7), "a cursor is None or a text"),  # type: ignore[arg-type]
        (plugin.Polled(cursor="x" * 70_000), "a cursor is None or a text"),
        (plugin.Polled(cursor="\0"), "the cursor holds characters that no database takes"),
    ],
)
async def test_what_is_no_answer_is_a_failure(world: World, answer: Any, reason: str) -> None:
    world.feed.answer = lambda _: answer
    async with world.running():
        await until(lambda: bool(world.said("poll failed")))

    assert reason in world.said("poll failed")[0]["reason"]
    (row,) = world.rows(poller)
    assert row.cursor is None


async def test_an_event_that_cannot_be_read_is_kept_and_stops_no_other(world: World) -> None:
    nobody = plugin.MessageReceived("x", plugin.Address("", ""), "sin nadie")
    strange = plugin.MessageReceived("y", plugin.Address("tel", "+57"), object())  # type: ignore[arg-type]
    world.feed.found += [message("1"), nobody, strange, None, message("2")]
    async with world.running():
        await until(lambda: "5" in world.feed.cursors())
        await until(lambda: world.outcomes().get("message:2") == "ignore")

    kinds = sorted(row.type for row in world.rows(inbox_event))
    assert kinds == ["message", "message", "unparsed", "unparsed", "unparsed"]
    assert len(world.said("polled event kept unparsed")) == 3


async def test_a_reload_lets_an_unchanged_poller_go_on_and_a_changed_one_start_at_its_cursor(
    world: World,
) -> None:
    world.feed.leave("1", "2")
    async with world.running() as router:
        await until(lambda: "2" in world.feed.cursors())
        live = router.channel("main", "calls")
        world.change("[policy]", '[policy]\nidle_close = "12h"')
        assert (await router.reloader.reload("command")).applied
        assert router.channel("main", "calls") is live
        asked = len(world.feed.polls)
        await until(lambda: len(world.feed.polls) > asked)

        world.change('type = "feed"', 'type = "feed"\nnumber = 2')
        assert (await router.reloader.reload("command")).applied
        await until(lambda: len(world.feed.cursors(2)) > 2)
        asked = len(world.feed.cursors(1))
        await until(lambda: len(world.feed.cursors(2)) > 8)
        standing = router.status()["pollers"]

    assert world.feed.cursors(2)[0] == "2"
    assert len(world.feed.cursors(1)) == asked
    assert world.feed.most == 1
    assert [each["channel"] for each in standing] == ["channels.calls"]


@one_database
async def test_an_instance_that_a_reload_only_tried_polls_nothing(world: World) -> None:
    async with world.running() as router:
        await until(lambda: bool(world.feed.polls))
        world.change(
            'type = "feed"',
            'type = "feed"\nnumber = 2\n\n[channels.other]\ntype = "feed"\nstart = "badly"',
        )
        load = await router.reloader.reload("command")
        assert not load.applied
        asked = len(world.feed.polls)
        await until(lambda: len(world.feed.polls) > asked + 5)

    assert world.feed.cursors(2) == []


async def test_a_drain_cuts_a_poll_short_and_another_process_repeats_it(world: World) -> None:
    world.feed.leave("1")
    world.feed.pause = anyio.Event()
    async with world.running() as router:
        await until(lambda: world.feed.under_way == 1)
        with anyio.fail_after(30):
            await router.drain()
        assert world.feed.under_way == 0
    (row,) = world.rows(poller)
    assert (row.holder, row.leased_until, row.cursor) == (None, None, None)
    world.feed.pause = None

    async with world.running():
        await until(lambda: world.outcomes() == {"message:1": "ignore"})

    assert world.said("poll failed") == []


@pytest.mark.parametrize("world", ["postgres"], indirect=True)
async def test_of_two_nodes_one_polls_at_a_time_and_one_that_stops_is_replaced(
    world: World,
) -> None:
    async with AsyncExitStack() as nodes:
        first = await nodes.enter_async_context(world.running())
        async with world.running() as second:
            for number in range(20):
                world.feed.leave(str(number))
                await until(lambda: str(len(world.feed.found)) in world.feed.cursors())
            assert world.feed.most == 1
            await until(lambda: all(_polls(each) for each in (first, second)))
        world.feed.leave("last")
        await until(lambda: world.outcomes().get("message:last") == "ignore")

    assert len(world.outcomes()) == 21
    assert world.feed.most == 1


def _polls(router: Router) -> float:
    return sum(router.metrics.polls.values.values())


@one_database
async def test_what_is_held_is_told_and_goes_on_when_a_person_says_so(world: World) -> None:
    world.feed.leave("1")
    async with world.running() as router:
        await until(lambda: "1" in world.feed.cursors())
        await router.store.write(lambda tx: hold_all(tx.connection, "restored"))
        await until(lambda: bool(router.status()["trouble"]))
        trouble, asked = router.status()["trouble"], len(world.feed.polls)
        given = {"tenant": "main", "id": "calls/news", "by": "eva"}
        around = Configured(lambda: router.configuration)
        done = await perform(router.store, "pollers.resume", given, around)
        world.feed.leave("2")
        await until(lambda: "message:2" in world.outcomes())

    assert trouble == ["channels.calls, poller news is held: restored"]
    assert done["poller"]["held"] is None
    assert world.feed.cursors()[asked] == "1"


class BadlyNamed(FeedChannel):
    def pollers(self) -> Sequence[plugin.Poller]:
        first, second = News(self), News(self)
        return [first, second]


@one_database
async def test_pollers_that_cannot_run_are_told_and_the_channel_serves(world: World) -> None:
    class Ours(BadlyNamed):
        feed = world.feed

    world.kinds.channel("twins", Ours, config=FeedConfig)
    world.change('"feed"', '"twins"')
    async with world.running() as router:
        await until(lambda: bool(world.said("pollers not started")))
        live = router.channel("main", "calls")
        assert live is not None
        assert live.up

    assert world.said("pollers not started")[0]["error"] == (
        "PluginError: two pollers of the channel are called 'news'"
    )
    assert world.feed.polls == []


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
