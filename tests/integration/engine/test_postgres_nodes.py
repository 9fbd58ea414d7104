"""Several nodes at work on one PostgreSQL: each thing is done once, and in its order."""

import asyncio
from datetime import timedelta

import anyio
import asyncpg
import sqlalchemy as sa

from router.storage.store import Commit, NewEvent, Tx, Work
from router.storage.tables import inbox_event, lane
from tests.integration.engine.harness import Engine
from tests.integration.engine.nodes import LONG, me, place_dsn, store_of, until


class _Lost(dict[str, None]):
    """Notices that never leave."""

    def __setitem__(self, _key: str, _value: None) -> None:
        """Forget it."""


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

    with anyio.fail_after(LONG):
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

    with anyio.fail_after(LONG):
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

    with anyio.fail_after(LONG):
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
        with anyio.fail_after(LONG):
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

    with anyio.fail_after(LONG):
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(look)
                tasks.start_soon(act)
                tasks.start_soon(first.accept, first.said(id=f"A{number}"))
                store_of(first)._node.notify(number)
                tasks.start_soon(store_of(first)._node._beat)

    assert len(await first.rows(inbox_event)) == 40
