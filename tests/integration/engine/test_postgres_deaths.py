"""A node of several on one PostgreSQL dies, freezes or hangs: who notices, and what goes on."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.util import await_only

from router.errors import StorageUnavailable
from router.storage.postgres.statements.nodes import ALIVE
from router.storage.store import IN, JOB, Tx
from router.storage.tables import lane, node
from tests.integration.engine.harness import Engine, PostgresDatabase
from tests.integration.engine.nodes import (
    LEASE,
    LONG,
    expire,
    freeze,
    gone,
    kill,
    me,
    node_of,
    place_dsn,
    store_of,
    until,
)
from tests.integration.engine.pipeline import running

_LOCK_ALL = "SELECT * FROM lane FOR UPDATE"


# --- killed, frozen, declared dead


async def test_a_killed_node_is_noticed_by_its_lock_and_its_work_taken_over(
    place: PostgresDatabase, second: Engine
) -> None:
    async with node_of(place) as first:
        dead = me(first)
        await first.accept(first.said("uno"), first.said("dos"))
        stale = await first.claim_one()
        # Long before its time is over.
        await kill(first)
        fresh = await second.claim_one()

        assert (fresh.ref, fresh.crashes) == (stale.ref, 1)
        await until(lambda: gone(second, dead))
        await second.complete(second.commit(fresh, "de la segunda"))
        await first.complete(first.commit(stale, "de la muerta"))
    assert await second.states() == {"de la segunda": "waiting"}


async def test_a_frozen_node_that_wakes_completes_nothing_and_begins_anew(
    place: PostgresDatabase, second: Engine
) -> None:
    async with node_of(place) as first:
        await first.answer("hola", "uno")
        item = await first.claim_item()
        await first.accept(first.said("otra"))
        stale = await first.claim_one()
        frozen = me(first)
        await freeze(first)
        assert not await gone(second, frozen)  # its lock is held, its time not over

        await expire(second, frozen)
        fresh = await second.claim_one()
        taken = await second.claim_item()

        assert (fresh.ref, taken.id) == (stale.ref, item.id)
        await first.complete(first.commit(stale, "del zombi"))
        assert not await first.store.start_attempt(item)
        await first.store.fail(stale, "del zombi", first.clock.now())
        await first.store.release([stale, item])
        assert (await first.lane()).lease_owner == me(second)
        assert await second.send(taken)
        await second.complete(second.commit(fresh, "dos"))
        assert await first.states() == {"uno": "done", "dos": "waiting"}

        # It wakes: a heartbeat finds that it was declared dead.
        store = store_of(first)
        await store._node._beat()
        assert me(first) not in (frozen, me(second))
        await first.accept(first.said("y otra", lane="main/tel:9"))
        assert (await first.claim_one()).lease == me(first)


async def test_a_node_that_was_declared_dead_leases_nothing(
    place: PostgresDatabase, second: Engine
) -> None:
    async with node_of(place) as first:
        frozen = me(first)
        await freeze(first)
        await expire(second, frozen)
        await until(lambda: gone(second, frozen))

        await first.accept(first.said())  # accepted all the same

        assert await first.idle()
        assert (await second.claim_one()).lease == me(second)


async def test_what_somebody_holds_of_a_dead_node_is_freed_later_and_the_rest_at_once(
    place: PostgresDatabase, second: Engine
) -> None:
    async with node_of(place) as first:
        await first.accept(*(first.said(id=f"A{it}", lane=f"main/tel:{it}") for it in "12"))
        assert len(await first.store.claim(2)) == 2
        dead = me(first)
        raw = await asyncpg.connect(place_dsn(second))
        try:
            await raw.execute("BEGIN")
            await raw.execute("SELECT * FROM lane WHERE key = 'main/tel:1' FOR UPDATE")
            await kill(first)

            with anyio.fail_after(LONG):
                (rest,) = await second.store.claim(2)
            assert (rest.ref.lane, rest.crashes) == ("main/tel:2", 1)
            assert not await gone(second, dead)  # nobody would know of what it still leases
            await raw.execute("COMMIT")
        finally:
            await raw.close()

        await until(lambda: gone(second, dead))
        with anyio.fail_after(LONG):
            (held,) = await second.store.claim(2)
        assert (held.ref.lane, held.crashes) == ("main/tel:1", 1)


async def test_a_survivor_goes_on_saying_that_it_lives_however_many_lanes_others_hold(
    place: PostgresDatabase,
) -> None:
    many, lease = 12, 1.5
    async with (
        node_of(place, lease=lease) as first,
        node_of(place, lease=lease) as second,
        AsyncExitStack() as stack,
    ):
        lanes = [f"main/tel:{number:02}" for number in range(many)]
        await first.accept(*(first.said(id=it, lane=it) for it in lanes))
        assert len(await first.store.claim(many)) == many
        dead, survivor = me(first), me(second)
        holders = []
        for key in lanes:
            raw = await asyncpg.connect(place_dsn(second))
            stack.push_async_callback(raw.close)
            await raw.execute("BEGIN")
            await raw.execute("SELECT * FROM lane WHERE key = $1 FOR UPDATE", key)
            holders.append(raw)
        look = await asyncpg.connect(place_dsn(second))
        stack.push_async_callback(look.close)
        alive = "SELECT expires_at > clock_timestamp() FROM node WHERE id = $1"
        lived = []
        await kill(first)

        # One after the other, each held for less long than anybody waits for a lock.
        for raw in holders:
            for _ in range(8):
                await anyio.sleep(lease / 3 / 10)
                lived.append(await look.fetchval(alive, survivor))
            await raw.execute("COMMIT")

        assert all(lived)
        assert me(second) == survivor
        assert second.store.trouble == []
        await until(lambda: gone(second, dead))
        with anyio.fail_after(LONG):
            freed = await second.store.claim(many)
        assert sorted((it.ref.lane, it.crashes) for it in freed) == [(it, 1) for it in lanes]


async def test_a_node_that_was_declared_dead_comes_back_under_another_number_alone(
    place: PostgresDatabase, second: Engine
) -> None:
    async with node_of(place) as first:
        await first.accept(first.said())
        await first.claim_one()
        stuck = me(first)
        await freeze(first)
        raw = await asyncpg.connect(place_dsn(second))
        try:
            await raw.execute("BEGIN")
            await raw.execute(_LOCK_ALL)
            await expire(second, stuck)

            async def declared() -> bool:
                (row,) = await second.rows(node, id=stuck)
                return bool(row.expires_at.year < 2000)

            # Its row stays while somebody holds what it leases; no heartbeat brings it back.
            await until(declared)
            await store_of(first)._node._beat()
            assert me(first) != stuck
            assert not await gone(second, stuck)
            await raw.execute("COMMIT")
        finally:
            await raw.close()

        await until(lambda: gone(second, stuck))
        assert (await second.claim_one()).crashes == 1


async def declare_dead(engine: Engine) -> None:
    """Do to a node what the survivors do."""
    number = me(engine)

    def bury(tx: Tx) -> None:
        run = tx.connection.execute
        run(sa.delete(node).where(node.c.id == number))
        run(sa.update(lane).where(lane.c.lease_owner == number).values(lease_owner=None))

    await engine.store.write(bury)


@pytest.mark.usefixtures("place")
async def test_a_node_that_was_taken_for_dead_calls_off_what_is_under_way(tmp_path: Path) -> None:
    async with running("postgres", tmp_path) as pipeline:
        first, provider, log = pipeline.engine, pipeline.provider, pipeline.log
        await first.accept(first.said("¿cuánto cuesta?"))
        await pipeline.think()
        first.clock.advance(3)
        await first.store.fire_timers()
        await pipeline.think()
        (question,) = await first.claim_items(JOB)
        provider.pause, ended = anyio.Event(), anyio.Event()

        async def ask() -> None:
            await pipeline.do(question)
            ended.set()

        async def asked() -> bool:
            return len(provider.asked) == 1

        async def anew() -> bool:
            return store_of(first)._node.me not in (None, question.lease)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.deliverer.call_off)
            tasks.start_soon(ask)
            await until(asked)
            # A number that it gave up by itself: nobody else works what is under way.
            store_of(first)._node.abandon()
            await until(anew)
            assert not ended.is_set()

            await declare_dead(first)

            with anyio.fail_after(LONG):
                await ended.wait()
            tasks.cancel_scope.cancel()
        (said,) = [it for it in log.entries if it.event == "this node was taken for dead"]
        assert said.values == {"called_off": 1}
        assert not pipeline.configuration.instances.held_back()

        provider.pause = None
        await pipeline.settle()
        assert len(provider.asked) == 2
        assert pipeline.texts() == ["Cuesta 5."]


# --- what hangs with a lock in its hand


async def test_a_process_that_hangs_in_a_transaction_holds_nobody_up_for_long(
    place: PostgresDatabase,
) -> None:
    async with node_of(place, lease=1.0) as first:
        await first.accept(first.said())
        raw = store_of(first)._flusher.sessions[0].raw
        assert raw is not None
        stuck = me(first)
        await freeze(first)
        alive = ALIVE.format(node=stuck)
        await raw.execute(f"BEGIN; {alive}; {_LOCK_ALL}")

        async with node_of(place, lease=1.0) as second:
            await until(lambda: gone(second, stuck))
            with anyio.fail_after(LONG):
                assert len(await second.store.claim(1)) == 1


async def test_an_act_that_its_process_froze_in_holds_nobody_up_for_long(
    place: PostgresDatabase,
) -> None:
    async with node_of(place, lease=2.0) as first:
        await first.accept(first.said())
        stuck = me(first)
        locked, wakes = anyio.Event(), anyio.Event()

        def hang(tx: Tx) -> None:
            tx.connection.execute(sa.select(lane).with_for_update()).all()
            locked.set()
            await_only(wakes.wait())

        act = asyncio.create_task(first.store.write(hang))
        await locked.wait()
        await freeze(first)

        async with node_of(place, lease=2.0) as second:
            await until(lambda: gone(second, stuck))
            with anyio.fail_after(LONG):
                assert len(await second.store.claim(1)) == 1

            wakes.set()
            with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                await act
            assert await first.store.read(lambda it: it.scalar(sa.select(lane.c.kind))) == IN


async def test_a_node_that_froze_while_it_freed_anothers_work_holds_nobody_up_for_long(
    place: PostgresDatabase,
) -> None:
    async with node_of(place, lease=2.0) as first:
        await first.accept(first.said())
        stuck = me(first)
        await freeze(first)
        heart = store_of(first)._node
        assert heart._raw is not None
        await heart._raw.execute(f"{heart._begin}; {_LOCK_ALL}")

        async with node_of(place, lease=2.0) as second:
            await until(lambda: gone(second, stuck))
            with anyio.fail_after(LONG):
                assert len(await second.store.claim(1)) == 1


async def test_a_look_that_its_process_froze_in_ends_with_its_lease(first: Engine) -> None:
    def limit(connection: sa.Connection) -> str:
        shown = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout")
        return str(shown.scalar_one())

    assert await first.store.read(limit) == f"{LEASE:g}s"


# --- alive all the while


async def test_a_node_that_loses_the_session_of_its_lock_takes_it_again_at_once(
    place: PostgresDatabase,
) -> None:
    # It would look by itself in ten minutes.
    async with node_of(place, lease=1800.0, heartbeat=600.0) as first:
        number = me(first)
        raw = await asyncpg.connect(place_dsn(first))
        try:
            holder = (
                "SELECT pid FROM pg_locks JOIN pg_database d ON d.oid = database "
                "WHERE locktype = 'advisory' AND objid::bigint = $1 AND d.datname = $2"
            )
            name = await raw.fetchval("SELECT current_database()")
            before = await raw.fetchval(holder, number, name)
            assert await raw.fetchval("SELECT pg_terminate_backend($1)", before)

            async def held_again() -> bool:
                return await raw.fetchval(holder, number, name) not in (None, before)

            await until(held_again)
        finally:
            await raw.close()

        async with node_of(place) as second:
            assert not await gone(second, number)
            assert me(first) == number


async def test_what_a_node_held_that_stopped_in_order_is_no_crash(
    place: PostgresDatabase, second: Engine
) -> None:
    async with node_of(place) as first:
        number = me(first)
        await first.accept(first.said())
        await first.claim_one()
        await first.store.release_all()

    assert await gone(second, number)
    assert (await second.claim_one()).crashes == 0


async def test_a_lost_commit_gives_the_number_up_and_loses_nothing(
    place: PostgresDatabase,
) -> None:
    async with node_of(place) as first:
        before = me(first)
        await first.accept(first.said())
        await first.claim_one()

        store_of(first)._node.abandon()

        async def anew() -> bool:
            number = store_of(first)._node.me
            return number is not None and number != before

        await until(anew)
        with anyio.fail_after(LONG):
            (again,) = await first.store.claim(1)
        assert (again.lease, again.crashes) == (me(first), 0)
