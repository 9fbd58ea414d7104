"""Polling in a running router: found once, worked, told when it fails, alone, and stopped."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import anyio
import pytest

from router import plugin
from router.daemon import Router
from router.pipeline.people.acts import perform
from router.pipeline.people.surroundings import Configured
from router.plugin.testing import FakeClock
from router.storage.pollers import hold_all
from router.storage.tables import inbox_event, poller
from tests.blocking import blocking
from tests.integration.polling.world import (
    FeedChannel,
    FeedConfig,
    News,
    World,
    message,
    one_database,
    until,
)


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


async def test_it_goes_on_although_the_clock_is_set_back(world: World) -> None:
    world.feed.every, clock = timedelta(minutes=1), FakeClock()
    async with world.running(clock) as router:
        await until(lambda: router.status()["pollers"][0]["polled_at"] is not None)
        clock.set(clock.now() - timedelta(days=1))
        await until(lambda: bool(world.said("the clock was set back")))
        clock.advance(timedelta(minutes=2))
        await until(lambda: len(world.feed.polls) == 2)


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
async def test_a_poll_that_its_plugin_cancels_has_failed_and_the_next_one_is_made(
    world: World,
) -> None:
    world.feed.script += [asyncio.CancelledError()]
    world.feed.leave("1")
    async with world.running():
        await until(lambda: bool(world.said("poll failed")))
        await until(lambda: "message:1" in world.outcomes())

    assert world.said("poll failed")[0]["reason"] == "its plugin cancelled the call"


@one_database
async def test_a_poll_in_a_library_that_blocks_is_given_up(world: World) -> None:
    world.change("20s", "200ms")
    with blocking() as library:
        world.feed.pause = library
        async with world.running():
            await until(lambda: bool(world.said("poll failed")))
            world.feed.pause = None

        assert library.came_back == 0
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
