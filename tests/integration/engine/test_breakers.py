"""Circuit breakers in the pipeline: nothing leaves or is used up, and people are told once."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest

from router import plugin
from router.errors import StorageUnavailable
from router.metrics import Metrics
from router.pipeline.attempts.guard import Guard, restore
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.instances import Live
from router.storage.breakers import open_breakers
from router.storage.store import LaneKind, Store, Tx
from router.storage.tables import breaker, inbox_event, lane, outbox
from router.web.stats import numbers
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import Pipeline, instances_of, running
from tests.wordless import Wordless

TABLES = """
[queues.default]
title = "Todos"
notify = ["pager"]
"""

BUSY = plugin.Unavailable("busy")


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """A pipeline whose breakers open at the second failure."""
    async with running(request.param, tmp_path, tables=TABLES) as pipeline:
        for live in pipeline.configuration.instances.all():
            live.breaker.after = 2
        yield pipeline


def phone(pipeline: Pipeline) -> Live[plugin.Channel[plugin.PluginConfig]]:
    return pipeline.configuration.instances.channels["main", "phone"]


async def ask_hours(pipeline: Pipeline, number: int) -> None:
    """Let a customer of their own ask something that a rule answers."""
    who = plugin.Address("tel", f"+5730000000{number:02}")
    await pipeline.engine.accept(pipeline.engine.said("horario", who=who))
    await pipeline.settle()


async def open_phone(pipeline: Pipeline, *, failures: int = 2) -> None:
    """Let the channel fail until its breaker is open."""
    pipeline.provider.scripts["phone"] = [BUSY] * failures
    for number in range(2):
        await ask_hours(pipeline, number)
    assert phone(pipeline).breaker.is_open


async def attempts(pipeline: Pipeline) -> int:
    return sum(row.attempt for row in await pipeline.engine.rows(outbox, kind="message"))


@pytest.mark.parametrize("error", [BUSY, plugin.OutcomeUnknown("lost")])
async def test_failures_in_a_row_open_it_and_nothing_is_tried_any_more(
    pipeline: Pipeline, error: Exception
) -> None:
    pipeline.provider.scripts["phone"] = [error] * 2
    for number in range(2):
        await ask_hours(pipeline, number)
    before = await attempts(pipeline)

    for number in range(2, 6):
        await ask_hours(pipeline, number)
    await pipeline.pass_time(25)

    assert (before, await attempts(pipeline)) == (2, 2)
    assert {row.attempts for row in await lanes_of(pipeline, range(2, 6))} == {0}


async def lanes_of(pipeline: Pipeline, numbers: range) -> list[Any]:
    rows = await pipeline.engine.rows(lane, kind="out")
    ends = tuple(f"{number:02}" for number in numbers)
    return [row for row in rows if row.key.endswith(ends)]


async def test_a_refusal_is_an_answer_and_opens_nothing(pipeline: Pipeline) -> None:
    no = plugin.Refused("no")
    pipeline.provider.scripts["phone"] = [BUSY, no, BUSY, no]

    for number in range(4):
        await ask_hours(pipeline, number)

    assert not phone(pipeline).breaker.is_open


async def test_a_call_for_which_we_had_no_connection_opens_nothing(pipeline: Pipeline) -> None:
    model = pipeline.configuration.instances.backends["assistant"]
    full = httpx.PoolTimeout("all connections are in use")
    pipeline.provider.scripts |= {"phone": [full] * 3, "assistant": [full] * 3}

    for number in range(3):
        await ask_hours(pipeline, number)
    await pipeline.engine.accept(pipeline.engine.said("¿Cuánto cuesta?"))
    for _ in range(6):
        await pipeline.pass_time(30)

    assert len(pipeline.texts()) == 4
    assert (phone(pipeline).breaker.failures, model.breaker.failures) == (0, 0)
    assert not any(it.event.startswith("circuit breaker") for it in pipeline.log.entries)


async def test_one_call_tries_after_the_pause_and_a_success_lets_all_go_in_order(
    pipeline: Pipeline,
) -> None:
    await open_phone(pipeline)
    for number in range(2, 5):
        await ask_hours(pipeline, number)
    assert pipeline.texts() == []

    await pipeline.pass_time(31)
    for _ in range(5):
        await pipeline.pass_time(1)

    assert len(pipeline.texts()) == 5
    assert not phone(pipeline).breaker.is_open
    assert await pipeline.engine.rows(breaker) == []
    rows = await pipeline.engine.rows(outbox, kind="message")
    assert sorted(row.attempt for row in rows) == [1, 1, 1, 2, 2]


async def test_a_try_that_fails_leaves_the_others_alone_for_another_pause(
    pipeline: Pipeline,
) -> None:
    await open_phone(pipeline, failures=3)
    for number in range(2, 5):
        await ask_hours(pipeline, number)

    await pipeline.pass_time(31)
    tried = await attempts(pipeline)
    await pipeline.pass_time(25)

    assert (tried, await attempts(pipeline)) == (3, 3)


#: How a call ends that the host cannot judge, or could not.
ODD = [
    plugin.Unavailable("busy", code=500),  # type: ignore[arg-type]
    plugin.Unavailable("busy", retry_after=math.nan),
    asyncio.CancelledError(),
    Wordless(),
]
odd_ends = pytest.mark.parametrize("error", ODD, ids=["code", "retry_after", "cancelled", "words"])


async def take_turns(pipeline: Pipeline, kind: LaneKind) -> None:
    """Do what is due as the deliverer's own loop does, until the clock must move on."""
    while await pipeline.waits(kind):
        for item in await pipeline.engine.store.claim_items(kind, 100):
            await pipeline.turn(item)


@odd_ends
async def test_a_try_that_ends_oddly_lets_another_call_try(
    pipeline: Pipeline, error: BaseException
) -> None:
    await open_phone(pipeline)
    pipeline.provider.scripts["phone"] = [error]

    for _ in range(3):
        pipeline.engine.clock.advance(timedelta(seconds=40))
        await take_turns(pipeline, "out")

    assert not phone(pipeline).breaker.is_open
    assert "De 8 a 18." in pipeline.texts()


async def test_one_instance_s_breaker_is_no_other_s(pipeline: Pipeline) -> None:
    await open_phone(pipeline)

    await pipeline.engine.accept(pipeline.engine.said("horario", channel="patient"))
    await pipeline.settle()

    assert pipeline.texts() == ["De 8 a 18."]


async def test_whoever_is_to_know_is_told_once_however_long_it_lasts(pipeline: Pipeline) -> None:
    await open_phone(pipeline, failures=100)
    for _ in range(10):
        await pipeline.pass_time(60)

    (call,) = pipeline.provider.done
    assert call.as_json()["params"] == {
        "title": "channels.phone no responde: no se le envía nada por ahora",
        "text": "busy (router status)",
        "url": None,
    }
    words = [entry.event for entry in pipeline.log.entries if entry.level == "error"]
    assert words.count("circuit breaker opened") == 1
    assert words.count("circuit breaker stays open") >= 5


async def test_what_is_broken_is_not_told_through_itself(pipeline: Pipeline) -> None:
    pipeline.provider.scripts["pager"] = [BUSY] * 2
    for number in range(2):
        who = plugin.Address("tel", f"+5730000000{number:02}")
        await pipeline.engine.accept(pipeline.engine.said("abogado", who=who))
        await pipeline.think()
        await pipeline.act("job")

    assert pipeline.configuration.instances.actions["pager"].breaker.is_open
    assert len(pipeline.provider.done) == 2  # both of them the escalations


async def test_it_is_open_after_a_restart_too_and_nobody_is_told_again(pipeline: Pipeline) -> None:
    await open_phone(pipeline)
    await pipeline.settle()
    assert len(pipeline.provider.done) == 1
    settings, clock = pipeline.configuration.settings, pipeline.engine.clock
    pipeline.configuration = instances_of(settings, clock, pipeline.log, pipeline.provider)
    await pipeline.crash()

    await restore(pipeline.engine.store, pipeline.configuration.instances)
    pipeline.provider.scripts["phone"] = [BUSY] * 3
    await ask_hours(pipeline, 7)
    assert await attempts(pipeline) == 2
    await pipeline.pass_time(31)
    await pipeline.pass_time(60)

    assert phone(pipeline).breaker.is_open
    assert len(pipeline.provider.done) == 1


async def test_a_breaker_of_an_instance_that_is_no_more_is_forgotten(pipeline: Pipeline) -> None:
    await open_phone(pipeline)
    del pipeline.configuration.instances.channels["main", "phone"]

    await restore(pipeline.engine.store, pipeline.configuration.instances)

    assert await pipeline.engine.rows(breaker) == []


# Several nodes ────────────────────────────────────────────────────────────────────────────────


class Leaving:
    """A store that is sometimes away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False

    async def write(self, function: Callable[[Tx], Any]) -> Any:
        if self.away:
            message = "nobody is there"
            raise StorageUnavailable(message)
        return await self._store.write(function)


class Others:
    """The nodes of one database, as far as their breakers go: each has its own of the channel.

    :ivar lives: the channel, as each of them sees it.
    """

    def __init__(self, pipeline: Pipeline, number: int) -> None:
        clock, log = pipeline.engine.clock, pipeline.log
        self._clock = clock
        self.store = Leaving(pipeline.engine.store)
        self._guards = []
        self.lives = []
        for _ in range(number):
            node = instances_of(pipeline.configuration.settings, clock, log, pipeline.provider)
            live = node.instances.channels["main", "phone"]
            live.breaker.after = 2
            self.lives.append(live)
            store = cast("Store", self.store)
            self._guards.append(Guard(store, partial(_itself, node), clock, log, Metrics()))

    async def tries(self, node: int, error: plugin.ProviderError | None) -> None:
        """Let a node make a call, if its breaker lets it."""
        assert self.lives[node].breaker.admit(self._clock.now()) is None
        await self._guards[node].told(self.lives[node], error)

    async def opens(self, node: int) -> None:
        for _ in range(2):
            await self.tries(node, BUSY)
        assert self.lives[node].breaker.is_open


def _itself(node: Configuration) -> Configuration:
    return node


async def pages(pipeline: Pipeline) -> int:
    return len(await pipeline.engine.rows(outbox, kind="action"))


async def test_whoever_is_to_know_is_told_once_however_many_nodes_find_it_so(
    pipeline: Pipeline,
) -> None:
    others = Others(pipeline, 3)
    async with anyio.create_task_group() as nodes:
        for node in range(3):
            nodes.start_soon(others.opens, node)
    assert (len(await pipeline.engine.rows(breaker)), await pages(pipeline)) == (1, 1)

    pipeline.engine.clock.advance(timedelta(seconds=31))
    await others.tries(0, None)
    await others.tries(1, BUSY)

    # The first of them is through, and what the second has is no news.
    assert [live.breaker.is_open for live in others.lives] == [False, True, True]
    assert (len(await pipeline.engine.rows(breaker)), await pages(pipeline)) == (1, 1)

    pipeline.engine.clock.advance(timedelta(seconds=31))
    await others.tries(1, None)
    await others.tries(2, None)
    assert await pipeline.engine.rows(breaker) == []
    await others.opens(2)
    assert await pages(pipeline) == 2


async def test_a_breaker_of_a_node_that_is_gone_is_forgotten_once_another_has_an_answer(
    pipeline: Pipeline,
) -> None:
    others = Others(pipeline, 2)
    await others.opens(1)  # and is never heard of again

    await others.tries(0, None)
    pipeline.engine.clock.advance(timedelta(seconds=20))
    await others.tries(0, None)
    assert len(await pipeline.engine.rows(breaker)) == 1  # it may well be there, and wait
    for _ in range(3):
        pipeline.engine.clock.advance(timedelta(seconds=30))
        await others.tries(0, None)

    assert await pipeline.engine.rows(breaker) == []
    await others.opens(0)
    assert await pages(pipeline) == 2


async def test_what_could_not_be_stored_as_it_opened_is_told_later(pipeline: Pipeline) -> None:
    others = Others(pipeline, 1)
    others.store.away = True
    await others.opens(0)
    others.store.away = False
    assert await pages(pipeline) == 0

    for _ in range(3):
        pipeline.engine.clock.advance(timedelta(seconds=31))
        await others.tries(0, BUSY)

    assert await pages(pipeline) == 1


# Numbers ──────────────────────────────────────────────────────────────────────────────────────


async def test_the_numbers_name_what_is_open(pipeline: Pipeline) -> None:
    await open_phone(pipeline)
    now = pipeline.engine.clock.now()

    counted = await pipeline.engine.store.read(lambda it: numbers(it, "main", None, now, {}))
    others = await pipeline.engine.store.read(lambda it: open_breakers(it, "acme"))

    assert counted["breakers"] == [
        {
            "tenant": "main",
            "instance": "channels.phone",
            "open_since": now.isoformat(),
            "until": (now + timedelta(seconds=30)).isoformat(),
            "error": "busy",
        }
    ]
    assert others == []


async def test_a_required_instance_whose_breaker_is_open_is_down(pipeline: Pipeline) -> None:
    instances = pipeline.configuration.instances
    await open_phone(pipeline)
    assert (instances.down(), instances.held_back()) == ([], ["channels.phone"])

    live = phone(pipeline)
    live.settings = replace(live.settings, required=True)

    assert instances.down() == ["channels.phone: circuit breaker open"]


# Questions ────────────────────────────────────────────────────────────────────────────────────


async def put_question(pipeline: Pipeline, number: int) -> None:
    who = plugin.Address("tel", f"+5730000000{number:02}")
    await pipeline.engine.accept(pipeline.engine.said("¿cuánto?", who=who))
    await pipeline.think()
    await pipeline.pass_time(3)


async def test_a_question_has_three_attempts_and_then_the_apology(pipeline: Pipeline) -> None:
    pipeline.configuration.instances.backends["assistant"].breaker.after = 0
    pipeline.provider.scripts["assistant"] = [BUSY, plugin.OutcomeUnknown("slow"), BUSY]
    await put_question(pipeline, 1)

    for _ in range(20):
        await pipeline.pass_time(1)

    assert len(pipeline.provider.asked) == 3
    assert pipeline.texts() == ["Lo sentimos."]


@odd_ends
async def test_a_question_that_ends_oddly_lets_another_one_try(
    pipeline: Pipeline, error: BaseException
) -> None:
    pipeline.provider.scripts["assistant"] = [BUSY] * 2
    await put_question(pipeline, 1)
    await pipeline.pass_time(3)
    model = pipeline.configuration.instances.backends["assistant"]
    assert model.breaker.is_open
    pipeline.provider.scripts["assistant"] = [error]

    pipeline.engine.clock.advance(timedelta(seconds=40))
    await take_turns(pipeline, "job")
    await put_question(pipeline, 2)
    for _ in range(3):
        await pipeline.pass_time(20)

    assert not model.breaker.is_open
    assert "Cuesta 5." in pipeline.texts()


async def test_a_question_waits_for_a_backend_that_comes_back_without_using_an_attempt(
    pipeline: Pipeline,
) -> None:
    pipeline.provider.scripts["assistant"] = [BUSY] * 2
    await put_question(pipeline, 1)
    await pipeline.pass_time(3)
    assert pipeline.configuration.instances.backends["assistant"].breaker.is_open
    await put_question(pipeline, 2)
    assert len(pipeline.provider.asked) == 2

    for _ in range(40):
        await pipeline.pass_time(1)

    assert pipeline.texts() == ["Cuesta 5."] * 2
    rows = await pipeline.engine.rows(outbox, kind="ask")
    assert sorted(row.attempt for row in rows) == [1, 3]


async def test_nobody_waits_for_ever_for_a_backend_that_stays_away(pipeline: Pipeline) -> None:
    pipeline.provider.scripts["assistant"] = [BUSY] * 1000
    for number in range(4):
        await put_question(pipeline, number)

    for _ in range(15):
        await pipeline.pass_time(10)

    assert pipeline.texts() == ["Lo sentimos."] * 4
    assert {row.outcome for row in await pipeline.engine.rows(inbox_event, type="answer")} == {
        "ticket"
    }
