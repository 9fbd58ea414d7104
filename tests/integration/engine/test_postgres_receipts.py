"""A receipt that comes late on PostgreSQL, when another node has the item: its lane goes on."""

from datetime import timedelta

import anyio
import asyncpg
import pytest
import sqlalchemy as sa

from router.domain.outbox import ItemState
from router.storage.store import JOB, OUT, AttemptResult, Item, Start
from router.storage.tables import lane, outbox
from tests.integration.engine.harness import Engine, PostgresDatabase
from tests.integration.engine.nodes import LONG, expire, freeze, gone, me, node_of, place_dsn, until


async def zombie_of(first: Engine, second: Engine) -> Item:
    """Let a node freeze in the middle of an attempt, and the other park what became of it."""
    item = await first.claim_item()
    assert await first.store.start_attempt(item) is Start.BEGUN
    frozen = me(first)
    await freeze(first)
    await expire(second, frozen)
    taken = await second.claim_item()
    assert (taken.id, taken.state) == (item.id, ItemState.STARTED)
    lost = AttemptResult(state=ItemState.UNKNOWN, error="who knows")
    await second.store.finish_attempt(taken, lost)
    assert (await second.lane(OUT)).parked
    return item


async def test_a_receipt_is_a_fact_whoever_brings_it(
    place: PostgresDatabase, second: Engine
) -> None:
    async with node_of(place) as first:
        await first.answer("hola", "uno")
        item = await first.claim_item()
        assert await first.store.start_attempt(item) is Start.BEGUN
        frozen = me(first)
        await freeze(first)
        await expire(second, frozen)
        await until(lambda: gone(second, frozen))
        taken = await second.claim_item()
        assert taken.state is ItemState.STARTED

        done = AttemptResult(state=ItemState.DONE, provider_ref="P1")
        await first.store.finish_attempt(item, done)

    (row,) = await second.rows(outbox)
    assert (row.state, row.provider_ref) == ("done", "P1")


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_a_late_receipt_for_what_nobody_knew_of_lets_its_lane_go_on(
    place: PostgresDatabase, second: Engine, *, before: bool
) -> None:
    """What waits behind it may have been decided before the receipt, or come after."""
    async with node_of(place) as first:
        await first.answer("hola", "uno", *(["dos"] if before else []))
        item = await zombie_of(first, second)

        done = AttemptResult(state=ItemState.DONE, provider_ref="P1")
        await first.store.finish_attempt(item, done)
    if not before:
        assert not (await second.lane(OUT)).parked
        await second.answer("otra", "dos")

    with anyio.fail_after(LONG):
        (following,) = await second.store.claim_items(OUT, 5)
    assert await second.send(following)
    assert await second.states() == {"uno": "done", "dos": "done"}
    standing = await second.lane(OUT)
    assert (standing.done_seq, standing.ready_at, standing.lease_owner) == (2, None, None)


@pytest.mark.parametrize("more", [True, False], ids=["more", "nothing more"])
@pytest.mark.parametrize("begun", [True, False], ids=["begun", "in hand"])
async def test_a_late_receipt_for_what_another_node_has_in_hand_lets_its_lane_go_on(
    place: PostgresDatabase, second: Engine, *, begun: bool, more: bool
) -> None:
    async with node_of(place) as first:
        await first.answer("hola", "uno", *(["dos"] if more else []))
        item = await first.claim_item()
        assert await first.store.start_attempt(item) is Start.BEGUN
        frozen = me(first)
        await freeze(first)
        await expire(second, frozen)
        taken = await second.claim_item()
        assert taken.state is ItemState.STARTED
        if begun:  # as where a repeat does nothing
            assert await second.store.start_attempt(taken) is Start.BEGUN

        done = AttemptResult(state=ItemState.DONE, provider_ref="P1")
        await first.store.finish_attempt(item, done)

    if begun:
        await second.store.finish_attempt(taken, done)
    else:
        assert await second.store.start_attempt(taken) is Start.NOT
        await second.store.postpone(taken, second.clock.now() + timedelta(hours=1))
    standing = await second.lane(OUT)
    assert (standing.done_seq, standing.lease_owner) == (1, None)
    if not more:
        assert standing.ready_at is None
        await second.answer("otra", "dos")
    with anyio.fail_after(LONG):
        (following,) = await second.store.claim_items(OUT, 5)
    assert await second.send(following)
    assert await second.states() == {"uno": "done", "dos": "done"}


async def test_a_late_receipt_for_an_action_that_nobody_knew_of_leaves_no_lane_behind(
    place: PostgresDatabase, second: Engine
) -> None:
    async with node_of(place) as first:
        await first.accept(first.said())
        work = await first.claim_one()
        await first.complete(first.commit(work, items=[first.action()]))
        (item,) = await first.claim_items(JOB)
        assert await first.store.start_attempt(item) is Start.BEGUN
        frozen = me(first)
        await freeze(first)
        await expire(second, frozen)
        (taken,) = await second.claim_items(JOB)
        lost = AttemptResult(state=ItemState.UNKNOWN, error="who knows")
        await second.store.finish_attempt(taken, lost)
        assert (await second.lane(JOB)).parked

        await first.store.finish_attempt(item, AttemptResult(state=ItemState.DONE))

    assert await second.rows(lane, kind=JOB) == []


async def test_what_is_settled_while_its_lane_is_just_claimed_is_not_parked(
    first: Engine,
) -> None:
    """Whoever settles it found the lane leased, and left the waking to the one who held it."""
    await first.answer("hola", "uno", "dos")
    await first.attempt(await first.claim_item(), ItemState.UNKNOWN)
    raw = await asyncpg.connect(place_dsn(first))
    try:
        await raw.execute("BEGIN")
        await raw.execute("UPDATE outbox SET state = 'done' WHERE state = 'unknown'")
        # Meanwhile the one who held it has died, and the lane was freed.
        await first.store.write(
            lambda tx: tx.connection.execute(
                sa.update(lane).where(lane.c.kind == OUT).values(parked=False, ready_at=tx.now)
            )
        )
        assert await first.idle(OUT)
        await raw.execute("COMMIT")
    finally:
        await raw.close()

    first.clock.advance(1)
    with anyio.fail_after(LONG):
        (following,) = await first.store.claim_items(OUT, 5)
    assert await first.send(following)
    assert await first.states() == {"uno": "done", "dos": "done"}
