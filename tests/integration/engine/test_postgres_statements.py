"""What is sent to PostgreSQL for an event, and what comes of it when it breaks off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import asyncpg
import pytest

from router.errors import StorageUnavailable
from router.storage.erased import event_digest
from router.storage.postgres.engine import number_array
from router.storage.postgres.writer import Flusher
from router.storage.store import IN, OUT, NewEvent, Work
from router.storage.tables import inbox_event, lane, outbox
from tests.integration.engine.harness import ANA, LUIS, Engine, PostgresDatabase
from tests.integration.engine.nodes import (
    STATEMENTS,
    freeze,
    me,
    node_of,
    place_dsn,
    store_of,
    waiting,
)

_LONG = 40.0


@asynccontextmanager
async def sent(flusher: Flusher) -> AsyncIterator[list[str]]:
    """Give the names of the statements that a flusher sends, or the statements themselves."""
    names = {
        " ".join(value.split()).replace("::text::", "::"): name
        for name, value in STATEMENTS.items()
    }
    statements: list[str] = []

    def note(query: Any) -> None:
        text = " ".join(query.query.split()).replace("::text::", "::")
        statements.append(names.get(text, text))

    raw = flusher.sessions[0].raw
    assert raw is not None
    with raw.query_logger(note):
        yield statements


async def test_an_event_is_stored_by_one_statement_without_a_transaction_around_it(
    one: Engine,
) -> None:
    await one.accept(one.said(who=LUIS))

    async with sent(store_of(one)._intake) as statements:
        await one.accept(one.said())

    assert statements == ["ENQUEUE", "THREAD"]


async def test_a_decision_locks_the_lanes_that_it_changes_by_changing_them(one: Engine) -> None:
    await one.answer("hola", "uno")
    await one.accept(one.said("otra"))
    work = await one.claim_one()

    async with sent(store_of(one)._flusher) as statements:
        await one.complete(one.commit(work, "dos"))

    # Lanes, then conversations, as everywhere.
    assert statements[1:4] == ["ADVANCE", "EXTEND_FOR_BOT", "PUT"]
    assert statements[4] == "LOCK_CONVERSATIONS"
    assert "LOCK_LANES" not in statements


@pytest.mark.parametrize("backwards", [False, True])
async def test_decisions_change_their_lanes_in_the_order_of_the_lanes(
    one: Engine, backwards: bool
) -> None:
    await one.accept(one.said(who=ANA), one.said(who=LUIS))
    works = sorted(await one.claim(), key=lambda work: work.ref.lane, reverse=backwards)
    first, last = sorted(work.ref.lane for work in works)
    lock = "SELECT 1 FROM lane WHERE kind = 'in' AND key = $1 FOR UPDATE NOWAIT"
    raw = await asyncpg.connect(place_dsn(one))
    try:
        await raw.execute("BEGIN")
        await raw.fetch(lock, first)
        completing = asyncio.ensure_future(one.complete(*map(one.commit, works)))
        await waiting(one, 1)

        # Whoever waits for the first lane has not taken the last.
        assert await raw.fetch(lock, last)

        await raw.execute("COMMIT")
        with anyio.fail_after(_LONG):
            await completing
    finally:
        await raw.close()
    assert await one.outcomes() == ["ignore", "ignore"]


async def test_a_decision_on_a_thread_that_has_moved_on_leaves_nothing_behind(one: Engine) -> None:
    await one.answer("hola", "uno")
    await one.accept(one.said("otra"), one.said("y otra", who=LUIS))
    mine, bystander = sorted(await one.claim(), key=lambda work: work.ref.lane != f"main/{ANA}")
    await one.accept(one.echoed("soy yo"))
    before = await one.lane(OUT)

    async with sent(store_of(one)._flusher) as statements:
        await one.complete(one.commit(mine, "dos"), one.commit(bystander))

    assert "ROLLBACK" in statements
    assert await one.outcomes(mine.ref.lane) == ["reply", None, None]
    assert await one.outcomes(bystander.ref.lane) == ["ignore"]
    assert len(await one.rows(outbox)) == 1
    assert (await one.lane(OUT)).last_seq == before.last_seq
    (again,) = await one.claim()
    assert (again.ref, again.conversation and again.conversation.epoch) == (mine.ref, 1)


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_what_was_stored_and_cannot_be_handed_out_is_claimed_again(
    one: Engine, how: str
) -> None:
    await one.accept(one.said(who=LUIS))
    await one.complete(one.commit(await one.claim_one()))
    event, number = one.said(), me(one)
    raw = await asyncpg.connect(place_dsn(one))
    try:
        await raw.execute("BEGIN")
        await raw.execute("LOCK TABLE contact")
        accepting = asyncio.ensure_future(one.accept(event))
        await waiting(one, 1)
        await raw.fetch(
            f"SELECT {how}(pid) FROM pg_stat_activity "  # noqa: S608 - a name of ours
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        with anyio.fail_after(_LONG), pytest.raises(StorageUnavailable):
            await accepting
        await raw.execute("COMMIT")
    finally:
        await raw.close()

    work = await one.claim_one()
    assert (work.event, work.crashes) == (event.event, 0)
    assert work.lease == me(one) != number
    (accepted,) = await one.accept(event)
    assert (accepted.ref, accepted.new) == (work.ref, False)


async def test_what_was_stored_is_not_tried_again_because_its_thread_cannot_be_read(
    one: Engine,
) -> None:
    await one.accept(one.said(who=LUIS))
    await one.complete(one.commit(await one.claim_one()))
    event = one.said()
    raw = await asyncpg.connect(place_dsn(one))
    try:
        await raw.execute("ALTER TABLE contact RENAME TO people")
        with anyio.fail_after(_LONG), pytest.raises(StorageUnavailable, match="contact"):
            await one.accept(event)
        await raw.execute("ALTER TABLE people RENAME TO contact")
    finally:
        await raw.close()

    assert (await one.claim_one()).event == event.event
    assert [accepted.new for accepted in await one.accept(event)] == [False]


async def test_what_the_server_refuses_costs_no_node_its_number(one: Engine) -> None:
    await one.accept(one.said(who=LUIS))
    held, number = await one.claim_one(), me(one)
    raw = await asyncpg.connect(place_dsn(one))
    try:
        await raw.execute("BEGIN")
        await raw.execute("SELECT * FROM lane FOR UPDATE")
        accepting = asyncio.ensure_future(one.accept(one.said(who=LUIS)))
        await waiting(one, 1)
        await raw.fetch(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        with anyio.fail_after(_LONG), pytest.raises(StorageUnavailable):
            await accepting
        await raw.execute("COMMIT")
    finally:
        await raw.close()

    assert len(await one.rows(inbox_event)) == 1
    await one.complete(one.commit(held))
    assert await one.outcomes() == ["ignore"]
    assert me(one) == number


async def test_a_repeat_of_what_is_done_leaves_its_lane_at_rest(one: Engine) -> None:
    event = one.said()
    await one.accept(event)
    await one.complete(one.commit(await one.claim_one()))

    (accepted,) = await one.accept(event)

    assert not accepted.new
    row = await one.lane(IN)
    assert (row.ready_at, row.lease_owner, row.done_seq) == (None, None, row.last_seq)


async def test_a_node_that_just_lost_its_row_says_that_work_is_left(
    place: PostgresDatabase,
) -> None:
    async with node_of(place) as first:
        await freeze(first)
        raw = await asyncpg.connect(place_dsn(first))
        try:
            await raw.execute("DELETE FROM node WHERE id = $1", me(first))
        finally:
            await raw.close()
        inbox = store_of(first)._dispatch.inbox
        with inbox.looking():
            assert not inbox.unclaimed

        await first.accept(first.said())

        assert inbox.unclaimed
        assert (await first.lane(IN)).lease_owner is None


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], "{}"), ([1], "{1}"), ((3, -2, 2**62), f"{{3,-2,{2**62}}}"), ([None, 0], "{NULL,0}")],
)
def test_an_array_of_numbers_is_written_as_the_server_reads_it(
    numbers: list[int | None], text: str
) -> None:
    assert number_array(numbers) == text


@pytest.mark.parametrize("more", [False, True])
async def test_a_repeat_that_waited_for_an_erasure_is_taken_back(one: Engine, more: bool) -> None:
    """Its statement began before, and did not see what the erasure has left."""
    event = one.said("hola")
    await one.complete(one.commit(await _accepted(one, event)))
    name = (event.source, event.external_id)
    raw = await asyncpg.connect(place_dsn(one))
    try:
        await raw.execute("INSERT INTO erasure_salt VALUES ('main', 'salt')")
        await raw.execute("BEGIN")
        await raw.fetch("SELECT 1 FROM lane FOR UPDATE")
        another = [one.said("de nuevo")] if more else []
        accepting = asyncio.ensure_future(one.accept(event, *another))
        await waiting(one, 1)
        digest = event_digest("salt", *name)
        await raw.execute("INSERT INTO erased_event VALUES ($1, 'main', now())", digest)
        await raw.execute("DELETE FROM inbox_event; DELETE FROM lane")
        await raw.execute("COMMIT")
    finally:
        await raw.close()
    with anyio.fail_after(_LONG):
        accepted = await accepting

    assert [it.new for it in accepted] == [False, *[True] * len(another)]
    assert [row.external_id for row in await one.rows(inbox_event)] == [
        it.external_id for it in another
    ]
    assert len(await one.rows(lane)) == len(another)
    if more:
        assert (await one.claim_one()).ref == accepted[1].ref


async def test_a_repeat_is_no_news_although_who_was_erased_has_written_again(one: Engine) -> None:
    event = one.said("hola")
    raw = await asyncpg.connect(place_dsn(one))
    try:
        await raw.execute("INSERT INTO erasure_salt VALUES ('main', 'salt')")
        digest = event_digest("salt", event.source, event.external_id)
        await raw.execute("INSERT INTO erased_event VALUES ($1, 'main', now())", digest)
    finally:
        await raw.close()
    again = one.said("hola otra vez")
    await one.complete(one.commit(await _accepted(one, again)))

    accepted = await one.accept(event, one.said("y otra"))

    assert [it.new for it in accepted] == [False, True]
    assert event.external_id not in {row.external_id for row in await one.rows(inbox_event)}
    assert (await one.claim_one()).ref == accepted[1].ref


async def _accepted(one: Engine, event: NewEvent) -> Work:
    await one.accept(event)
    return await one.claim_one()
