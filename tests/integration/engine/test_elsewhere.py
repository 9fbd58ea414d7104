"""A change is rolled out over several nodes: what one does not know yet, another may do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from router.domain.outbox import ItemKind
from router.pipeline.instances.elsewhere import missing
from router.plugin.testing import RecordingLog
from router.settings.loading import load_settings
from router.storage.tables import lane, outbox, ticket
from tests.integration.engine.harness import ANA, DATABASES, LUIS, Engine, PostgresDatabase
from tests.integration.engine.pipeline import Pipeline, instances_of, registry, running

#: What only the newer files have.
NEWER = """
[channels.extra]
type = "ledger"

[tenants.clinic.channels.phone]
type = "ledger"
"""

MINUTE = 60.0


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """A node by the older files."""
    async with running(request.param, tmp_path, debounce="0s") as pipeline:
        yield pipeline


@pytest.fixture(params=["postgres"])
async def older(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """The same, where another node may be."""
    async with running(request.param, tmp_path, debounce="0s") as pipeline:
        yield pipeline


@asynccontextmanager
async def newer_than(older: Pipeline) -> AsyncIterator[Pipeline]:
    """Open a node beside it by the newer files."""
    place, path = older.engine.database, older.configuration.settings.path
    assert isinstance(place, PostgresDatabase)
    newer = path.with_name("newer.toml")
    newer.write_text(path.read_text() + NEWER)
    settings = load_settings(newer, registry(), run=True)
    clock, log = older.engine.clock, RecordingLog()
    engine = Engine(place, clock, await place.open(clock), older.engine.numbers)
    try:
        configuration = instances_of(settings, clock, log, older.provider)
        yield Pipeline(engine, configuration, older.provider, log)
    finally:
        await engine.store.close()


def unlearn(pipeline: Pipeline, kind: str) -> None:
    """Take away what items of a kind need, as if this node's files did not have it yet."""
    instances = pipeline.configuration.instances
    if kind == "message":
        instances.channels.clear()
    elif kind == "action":
        instances.actions.clear()
    else:
        instances.backends.clear()


async def stand(pipeline: Pipeline, kind: str) -> tuple[str, int]:
    (row,) = await pipeline.engine.rows(outbox, kind=kind)
    return row.state, row.attempt


def told(pipeline: Pipeline) -> list[str]:
    return [
        it.values["missing"] for it in pipeline.log.entries if it.event == "left to another node"
    ]


#: What a customer writes, what comes of it, and what that needs.
NEEDED = [
    ("horario", "message", 'channel "phone" of tenant "main"'),
    ("abogado", "action", 'action "pager"'),
    ("cuánto cuesta", "ask", 'AI backend "assistant"'),
    ("clasifica", "classify", 'AI backend "assistant"'),
]


@pytest.mark.parametrize(("text", "kind", "name"), NEEDED)
async def test_what_this_node_does_not_know_is_left_to_others_while_a_change_takes(
    pipeline: Pipeline, text: str, kind: str, name: str
) -> None:
    await pipeline.engine.accept(pipeline.engine.said(text))
    await pipeline.think()
    unlearn(pipeline, kind)

    await pipeline.act("job")
    await pipeline.act("out")

    if not pipeline.engine.store.shared:
        assert await stand(pipeline, kind) == ("refused", 1)
        assert told(pipeline) == []
        return
    for _ in range(9):
        assert await stand(pipeline, kind) == ("waiting", 0)
        await pipeline.pass_time(MINUTE)
    assert await pipeline.engine.rows(ticket) == []
    assert told(pipeline) == [name] * 10
    await pipeline.pass_time(MINUTE)
    assert await stand(pipeline, kind) == ("refused", 1)


async def test_it_is_told_once_a_minute_however_often_it_is_looked_at(older: Pipeline) -> None:
    for who in (ANA, LUIS):
        await older.engine.accept(older.engine.said("horario", who=who))
    await older.think()
    unlearn(older, "message")

    for _ in range(12):
        await older.act("out")
        await older.pass_time(5)

    assert len(told(older)) == 2


async def test_an_answer_goes_out_by_the_node_that_knows_its_channel(older: Pipeline) -> None:
    async with newer_than(older) as newer:
        await newer.engine.accept(newer.engine.said("horario", channel="extra"))
        await newer.think()
        await newer.engine.store.release_all()
        await older.act("out")
        assert older.texts() == []

        older.engine.clock.advance(timedelta(seconds=5))
        await newer.act("out")

    assert older.texts() == ["De 8 a 18."]
    assert await older.engine.rows(ticket) == []


async def test_an_event_is_worked_by_the_node_that_knows_its_tenant(older: Pipeline) -> None:
    async with newer_than(older) as newer:
        await newer.engine.accept(newer.engine.said("horario", tenant="clinic"))
        await newer.engine.store.release_all()
        for _ in range(20):
            await older.think()
            older.engine.clock.advance(timedelta(seconds=5))
        assert await older.engine.outcomes() == [None]

        await newer.think()
        await newer.act("out")

    assert older.texts() == ["De 8 a 18."]
    assert told(older) == ['tenant "clinic"'] * 2


async def test_an_event_of_a_tenant_that_no_node_knows_fails_in_the_end(pipeline: Pipeline) -> None:
    await pipeline.engine.accept(pipeline.engine.said("horario", tenant="clinic"))
    shared = pipeline.engine.store.shared

    await pipeline.think()
    assert (await pipeline.engine.lane()).attempts == (0 if shared else 1)
    for _ in range(9):
        await pipeline.pass_time(MINUTE)
    if shared:
        assert (await pipeline.engine.lane()).attempts == 0
    for _ in range(15):
        await pipeline.pass_time(MINUTE)

    assert await pipeline.engine.outcomes() == ["dead"]


async def test_an_event_that_is_left_to_others_is_not_blamed_for_a_crash(older: Pipeline) -> None:
    await older.engine.accept(older.engine.said("horario", tenant="clinic"))
    await older.engine.claim_one()
    await older.crash()

    for _ in range(8):
        await older.think()
        older.engine.clock.advance(timedelta(seconds=5))

    (row,) = await older.engine.rows(lane, kind="in")
    assert (row.crashes, row.attempts) == (1, 0)


@pytest.mark.parametrize("kind", ItemKind)
async def test_whatever_an_item_does_it_needs_its_instance(older: Pipeline, kind: ItemKind) -> None:
    await older.engine.accept(older.engine.said("horario"))
    await older.think()
    item = replace(await older.engine.claim_item(), kind=kind)
    name = {"action": "pager", "ask": "assistant", "classify": "assistant"}
    name |= {"transcribe": "assistant"}

    known = replace(item, destination=name.get(kind.value, "phone"))
    unknown = replace(item, destination="newer")

    assert missing(older.configuration, known) is None
    assert '"newer"' in (missing(older.configuration, unknown) or "")


async def test_a_question_of_an_unknown_tenant_is_left_to_who_knows_its_texts(
    older: Pipeline,
) -> None:
    await older.engine.accept(older.engine.said("cuánto cuesta"))
    await older.think()
    item = await older.engine.claim_item("job")

    assert missing(older.configuration, replace(item, tenant="clinic")) == 'tenant "clinic"'
