"""Several nodes on one PostgreSQL: what they share, what one takes over, what a dead one cannot."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.util import await_only

from router.domain.outbox import ItemState
from router.errors import StorageUnavailable
from router.schedule.silence import SilenceAlarm
from router.storage import postgres_sql
from router.storage.store import (
    IN,
    JOB,
    OUT,
    AttemptResult,
    Commit,
    Item,
    NewEvent,
    Start,
    Tx,
    Work,
)
from router.storage.tables import inbox_event, lane, node, outbox
from tests.integration.engine.harness import Engine, PostgresDatabase
from tests.integration.engine.nodes import LEASE, freeze, me, node_of, place_dsn, store_of
from tests.integration.engine.pipeline import running
from tests.postgres import PostgresServer

_LOCK_ALL = "SELECT * FROM lane FOR UPDATE"
#: How long anything is waited for.
_LONG = 40.0


@pytest.fixture
async def first(place: PostgresDatabase) -> AsyncIterator[Engine]:
    async with node_of(place) as engine:
        yield engine


@pytest.fixture
async def second(place: PostgresDatabase) -> AsyncIterator[Engine]:
    async with node_of(place) as engine:
        engine.numbers = iter(range(10_000, 20_000))  # type: ignore[assignment]
        yield engine


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(_LONG):
        while not await condition():  # noqa: ASYNC110 - what is waited for is another's doing
            await anyio.sleep(0.02)


async def kill(engine: Engine) -> None:
    """Let a node's sockets close without a word, as the kernel does for a killed process."""
    await freeze(engine)
    store = store_of(engine)
    sessions = (*store._intake.sessions, *store._flusher.sessions)
    for raw in (store._node._raw, *(session.raw for session in sessions)):
        if raw is not None:
            raw.terminate()


async def expire(engine: Engine, dead: int) -> None:
    """Let a node's time be over."""

    def age(tx: Tx) -> None:
        past = sa.func.clock_timestamp() - timedelta(seconds=1)
        tx.connection.execute(sa.update(node).where(node.c.id == dead).values(expires_at=past))

    await engine.store.write(age)


async def gone(engine: Engine, number: int) -> bool:
    return await engine.rows(node, id=number) == []


class _Lost(dict[str, None]):
    """Notices that never leave."""

    def __setitem__(self, _key: str, _value: None) -> None:
        """Forget it."""


# --- together


async def test_each_event_is_worked_once_and_in_order_whoever_works_it(
    first: Engine, second: Engine
) -> None:
    seen: dict[str, list[int]] = {}
    left = 240

    async def work(engine: Engine) -> None:
        nonlocal left
        while left:
            works: list[Work] = []
            with anyio.move_on_after(0.2):
                works = await engine.store.claim(8)
            for one in works:
                seen.setdefault(one.ref.lane, []).append(one.ref.seq)
                left -= 1
            await engine.complete(*(Commit(work=one, outcome="ignore") for one in works))

    async def offer(engine: Engine, start: int) -> None:
        for number in range(start, 120, 2):
            event = engine.said(id=f"A{number}", lane=f"main/tel:{number % 7}")
            await engine.accept(event)
            await engine.accept(engine.said(id=f"B{number}", lane=f"main/tel:{number % 7}"))

    with anyio.fail_after(_LONG):
        async with anyio.create_task_group() as tasks:
            for engine in (first, second):
                tasks.start_soon(work, engine)
            tasks.start_soon(offer, first, 0)
            tasks.start_soon(offer, second, 1)

    assert sum(map(len, seen.values())) == 240
    assert all(numbers == sorted(set(numbers)) for numbers in seen.values())
    assert await first.outcomes() == ["ignore"] * 240


async def test_one_event_that_two_nodes_are_given_is_stored_once(
    first: Engine, second: Engine
) -> None:
    events = [first.said(id=f"A{number}", lane="main/tel:1") for number in range(50)]
    new: list[bool] = []
    names = set()

    async def offer(engine: Engine, event: NewEvent) -> None:
        (accepted,) = await engine.accept(event)
        new.append(accepted.new)
        names.add(accepted.ref)

    async with anyio.create_task_group() as tasks:
        for event in events:
            tasks.start_soon(offer, first, event)
            tasks.start_soon(offer, second, event)

    assert (new.count(True), new.count(False), len(names)) == (50, 50, 50)
    assert len(await first.rows(inbox_event)) == 50


async def test_an_echo_that_two_nodes_are_given_takes_over_once(
    first: Engine, second: Engine
) -> None:
    await first.answer("hola", "uno")
    echo = first.echoed("Le escribe Eva", id="E1")

    async with anyio.create_task_group() as tasks:
        for engine in (first, second, first, second):
            tasks.start_soon(engine.accept, echo)

    assert (await first.conversation()).epoch == 1
    assert await first.states() == {"uno": "withdrawn"}


async def test_our_own_echo_takes_nothing_over_though_two_nodes_hear_it(
    first: Engine, second: Engine
) -> None:
    await first.answer("hola", "uno")
    await first.send(await first.claim_item())
    echo = first.echoed("uno", id="E1")

    async with anyio.create_task_group() as tasks:
        for engine in (first, second, second, first):
            tasks.start_soon(engine.accept, echo)

    assert (await first.conversation()).epoch == 0


async def test_numbers_that_were_burnt_hold_nobody_up(first: Engine, second: Engine) -> None:
    """Two nodes store the same event at once, and one's number has no event."""

    def burn(tx: Tx) -> None:
        tx.connection.execute(
            sa.update(lane).values(last_seq=lane.c.last_seq + 2, ready_at=first.clock.now())
        )

    await first.accept(first.said("uno"))
    await first.complete(first.commit(await first.claim_one()))
    await first.store.write(burn)
    assert await second.idle()

    await second.accept(second.said("dos"))
    work = await second.claim_one()

    assert (work.ref.seq, await first.outcomes()) == (4, ["ignore", None])


async def test_many_lanes_locked_at_once_on_two_nodes_wait_for_each_other_in_one_order(
    first: Engine, second: Engine
) -> None:
    lanes = [f"main/tel:{number}" for number in range(20)]

    async def offer(engine: Engine, order: list[str], turn: int) -> None:
        await engine.accept(
            *(engine.said(id=f"{me(engine)}-{turn}-{key}", lane=key) for key in order)
        )

    with anyio.fail_after(_LONG):
        async with anyio.create_task_group() as tasks:
            for turn in range(20):
                tasks.start_soon(offer, first, lanes, turn)
                tasks.start_soon(offer, second, lanes[::-1], turn)

    assert len(await first.rows(inbox_event)) == 800


async def test_an_alias_that_one_node_learns_is_known_to_the_other(
    first: Engine, second: Engine
) -> None:
    await first.store.write(lambda tx: tx.learn_alias("main", "bsuid:1", "tel:+57300"))

    assert first.store.aliases == {("main", "bsuid:1"): "tel:+57300"}

    async def known() -> bool:
        return dict(second.store.aliases) == {("main", "bsuid:1"): "tel:+57300"}

    await until(known)


async def test_a_node_that_is_told_to_stop_leaves_its_work_to_the_other(
    first: Engine, second: Engine
) -> None:
    claimed: list[Work] = []

    async def wait() -> None:
        claimed.extend(await second.store.claim(10))

    first.store.pause()
    with anyio.fail_after(4):  # sooner than it would look by itself
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(0.2)
            await first.accept(first.said())

    assert len(claimed) == 1


async def test_a_notice_that_is_lost_costs_seconds_and_nothing_else(
    first: Engine, second: Engine
) -> None:
    store_of(first)._node._notices = _Lost()
    first.store.pause()
    claimed: list[Work] = []

    async def wait() -> None:
        claimed.extend(await second.store.claim(10))

    with anyio.fail_after(_LONG):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(0.2)
            await first.accept(first.said())

    assert len(claimed) == 1


async def test_any_node_may_sweep_the_timers_and_each_fires_once(
    first: Engine, second: Engine
) -> None:
    from router.storage.store import NewTimer

    works = []
    for number in range(30):
        await first.accept(first.said(lane=f"main/tel:{number}"))
        works += await first.claim(1)
    due = first.clock.now() + timedelta(seconds=1)
    await first.complete(
        *(
            Commit(
                work=work,
                outcome="ignore",
                timers=(NewTimer(kind="test", key=work.ref.lane, due_at=due, generation=1),),
            )
            for work in works
        )
    )
    fired: list[int] = []

    async def sweep(engine: Engine) -> None:
        engine.clock.advance(timedelta(seconds=2))
        fired.extend([await engine.store.fire_timers(5) for _ in range(4)])

    async with anyio.create_task_group() as tasks:
        for engine in (first, second):
            tasks.start_soon(sweep, engine)

    assert sum(fired) == 30
    assert len(await first.rows(inbox_event, type="timer")) == 30


# --- death


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

    with anyio.fail_after(_LONG):
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
    with anyio.fail_after(_LONG):
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
    with anyio.fail_after(_LONG):
        (following,) = await first.store.claim_items(OUT, 5)
    assert await first.send(following)
    assert await first.states() == {"uno": "done", "dos": "done"}


async def test_a_process_that_hangs_in_a_transaction_holds_nobody_up_for_long(
    place: PostgresDatabase,
) -> None:
    async with node_of(place, lease=1.0) as first:
        await first.accept(first.said())
        raw = store_of(first)._flusher.sessions[0].raw
        assert raw is not None
        stuck = me(first)
        await freeze(first)
        alive = postgres_sql.ALIVE.format(node=stuck)
        await raw.execute(f"BEGIN; {alive}; {_LOCK_ALL}")

        async with node_of(place, lease=1.0) as second:
            await until(lambda: gone(second, stuck))
            with anyio.fail_after(_LONG):
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
            with anyio.fail_after(_LONG):
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
            with anyio.fail_after(_LONG):
                assert len(await second.store.claim(1)) == 1


async def test_a_look_that_its_process_froze_in_ends_with_its_lease(first: Engine) -> None:
    def limit(connection: sa.Connection) -> str:
        shown = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout")
        return str(shown.scalar_one())

    assert await first.store.read(limit) == f"{LEASE:g}s"


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


async def test_a_survivor_that_waits_for_anothers_lock_goes_on_saying_that_it_lives(
    place: PostgresDatabase, second: Engine
) -> None:
    async with node_of(place) as first:
        await first.accept(first.said())
        dead = me(first)
        raw = await asyncpg.connect(place_dsn(second))
        try:
            await raw.execute("BEGIN")
            await raw.execute("SELECT * FROM lane FOR UPDATE")
            await kill(first)
            heart = store_of(second)._node._raw
            assert heart is not None
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $1"
            alive = "SELECT expires_at FROM node WHERE id = $1"

            async def waiting() -> bool:
                return bool(await raw.fetchval(waits, heart.get_server_pid()))

            await until(waiting)
            before = await raw.fetchval(alive, me(second))

            async def later() -> bool:
                return bool(await raw.fetchval(alive, me(second)) > before)

            await until(later)
            assert store_of(second)._node._raw is heart  # it holds its lock still
            assert second.store.trouble == []
            assert not await gone(second, dead)
            await raw.execute("COMMIT")
        finally:
            await raw.close()

        await until(lambda: gone(second, dead))
        assert (await second.claim_one()).crashes == 1


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
        with anyio.fail_after(_LONG):
            (again,) = await first.store.claim(1)
        assert (again.lease, again.crashes) == (me(first), 0)


# --- pitfall 1: reading in the statement that locks


async def test_what_was_committed_while_a_claim_waited_is_seen_by_its_second_statement(
    first: Engine,
) -> None:
    """The lock gives the newest lane; a join in the same statement would look into the past."""
    await first.accept(first.said("uno", id="A1"))
    await first.store.release([await first.claim_one()])
    raw = await asyncpg.connect(place_dsn(first))
    try:
        await raw.execute("BEGIN")
        await raw.execute("SELECT * FROM lane FOR UPDATE")
        enqueue = asyncio.create_task(first.accept(first.said("dos", id="A2")))
        await anyio.sleep(0.2)
        assert not enqueue.done()
        await raw.execute("COMMIT")
        with anyio.fail_after(_LONG):
            await enqueue
    finally:
        await raw.close()

    texts = []
    for _ in range(2):
        work = await first.claim_one()
        texts.append(getattr(work.event, "text", None))
        await first.complete(first.commit(work))
    assert texts == ["uno", "dos"]
    assert await first.outcomes() == ["ignore", "ignore"]


# --- pitfall 7: one thing at a time on a connection


async def test_everything_at_once_on_a_few_connections(first: Engine) -> None:
    async def look() -> None:
        await first.rows(lane)

    async def act() -> None:
        await first.store.write(lambda tx: tx.connection.execute(sa.select(lane)).all())

    with anyio.fail_after(_LONG):
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(look)
                tasks.start_soon(act)
                tasks.start_soon(first.accept, first.said(id=f"A{number}"))
                store_of(first)._node.notify(number)
                tasks.start_soon(store_of(first)._node._beat)

    assert len(await first.rows(inbox_event)) == 40


# --- who is taken for dead, and whose turn it is


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

            with anyio.fail_after(_LONG):
                await ended.wait()
            tasks.cancel_scope.cancel()
        (said,) = [it for it in log.entries if it.event == "this node was taken for dead"]
        assert said.values == {"called_off": 1}
        assert not pipeline.configuration.instances.held_back()

        provider.pause = None
        await pipeline.settle()
        assert len(provider.asked) == 2
        assert pipeline.texts() == ["Cuesta 5."]


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


# --- the server


async def test_after_a_restart_of_the_server_everything_goes_on(tmp_path: Path) -> None:
    from tests.postgres import start_postgres

    def start() -> tuple[Any, PostgresServer]:
        context = start_postgres()
        server = context.__enter__()
        server.prepare()
        return context, server

    context, server = await asyncio.to_thread(start)
    try:
        with server.database(migrated=True) as database:
            place = PostgresDatabase.__new__(PostgresDatabase)
            place.url = database.url
            async with node_of(place) as first, node_of(place) as second:
                number = me(first)
                await first.answer("hola", "uno")
                work = await first.claim_item()
                await asyncio.to_thread(server.stop)

                with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                    await first.accept(first.said("mientras"))
                assert first.store.trouble
                with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                    await first.rows(lane)
                with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                    await second.store.write(lambda _: None)
                await asyncio.to_thread(server.start)

                async def healthy() -> bool:
                    return not first.store.trouble and not second.store.trouble

                async def back() -> bool:
                    try:
                        await first.accept(first.said("después", id="D1"))
                    except StorageUnavailable:
                        return False
                    return True

                await until(back)
                await until(healthy)
                # Neither took the other for dead, and what was leased still is.
                assert me(first) == number
                assert await first.send(work)
                assert await first.states() == {"uno": "done"}
                with anyio.fail_after(_LONG):
                    assert len(await first.store.claim(5)) == 1
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


async def test_while_the_server_cannot_write_it_is_away_and_then_everything_goes_on(
    tmp_path: Path,
) -> None:
    """On a full disk it ends, and gives an internal error of its own as the reason."""
    from tests.postgres import start_postgres
    from tests.proof.postgres import Postgres

    def start() -> tuple[Any, PostgresServer]:
        context = start_postgres("synchronous_commit = on\nmax_connections = 100\n")
        server = context.__enter__()
        server.prepare()
        return context, server

    context, server = await asyncio.to_thread(start)
    try:
        with server.database(migrated=True) as database:
            place = PostgresDatabase.__new__(PostgresDatabase)
            place.url = database.url
            disk = Postgres(server, database)
            async with node_of(place) as first:
                await first.answer("hola", "uno")
                work = await first.claim_item()

                await disk.fill(0)
                for number in range(3):
                    with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                        await first.accept(first.said(f"mientras {number}"))
                    with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                        await first.store.fire_timers()
                    with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                        await first.store.write(lambda tx: tx.learn_alias("main", "tel:1", "tel:2"))
                await disk.free(0)

                async def back() -> bool:
                    try:
                        await first.accept(first.said("después", id="D1"))
                    except StorageUnavailable:
                        return False
                    return not first.store.trouble

                await until(back)
                # What it had leased it may have had to give up, to itself.
                with anyio.fail_after(_LONG):
                    while not await first.send(work):
                        (work,) = await first.store.claim_items(OUT, 1)
                assert await first.states() == {"uno": "done"}
                with anyio.fail_after(_LONG):
                    assert len(await first.store.claim(5)) == 1
            await disk.close()
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)
