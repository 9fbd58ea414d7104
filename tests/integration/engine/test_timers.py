"""Timers: what falls due becomes an event of its lane, once."""

from collections.abc import Sequence
from datetime import timedelta

import anyio

from router.domain.host_event import TimerFired
from router.storage.store import NewTimer
from router.storage.tables import inbox_event, timer
from tests.integration.engine.harness import BEFORE_LOOKING, Engine, ref

SOON = timedelta(seconds=2)


async def _set(engine: Engine, *timers: NewTimer) -> None:
    """Let an event of Ana's set timers."""
    await engine.accept(engine.said())
    work = await engine.claim_one()
    await engine.complete(engine.commit(work, timers=tuple(timers)))


def _timer(
    engine: Engine, after: timedelta | None = SOON, *, generation: int = 1, key: str = "thread"
) -> NewTimer:
    due = None if after is None else engine.clock.now() + after
    return NewTimer(
        kind="turn", key=key, due_at=due, generation=generation, payload={"n": generation}
    )


async def _fired(engine: Engine) -> Sequence[TimerFired]:
    await engine.store.fire_timers()
    rows = await engine.rows(inbox_event, type="timer")
    works = [await engine.claim_one() for _ in rows[:1]]
    return [work.event for work in works if isinstance(work.event, TimerFired)]


async def test_a_timer_is_an_event_of_its_lane_once_it_is_due(engine: Engine) -> None:
    await _set(engine, _timer(engine))

    assert await engine.store.fire_timers() == 0
    engine.clock.advance(SOON)
    assert await engine.store.fire_timers() == 1
    assert await engine.store.fire_timers() == 0

    work = await engine.claim_one()
    assert work.ref == ref(2)
    assert work.event == TimerFired(timer="turn", key="thread", generation=1, payload={"n": 1})
    assert work.received_at == engine.clock.now()


async def test_a_timer_waits_its_turn_behind_what_came_before(engine: Engine) -> None:
    await _set(engine, _timer(engine))
    await engine.accept(engine.said("antes"))
    engine.clock.advance(SOON)
    await engine.store.fire_timers()
    await engine.accept(engine.said("después"))

    kinds = []
    for _ in range(3):
        work = await engine.claim_one()
        kinds.append(work.event.kind)
        await engine.complete(engine.commit(work))

    assert kinds == ["message", "timer", "message"]


async def test_a_later_timer_replaces_an_earlier_one(engine: Engine) -> None:
    await _set(engine, _timer(engine))
    await _set(engine, _timer(engine, 2 * SOON, generation=2))

    engine.clock.advance(SOON)
    assert await engine.store.fire_timers() == 0
    engine.clock.advance(SOON)

    (event,) = await _fired(engine)
    assert event.generation == 2


async def test_a_timer_can_be_taken_away(engine: Engine) -> None:
    await _set(engine, _timer(engine), _timer(engine, key="other"))
    await _set(engine, _timer(engine, None))

    engine.clock.advance(SOON)

    (event,) = await _fired(engine)
    assert event.key == "other"
    assert await engine.rows(timer) == []


async def test_a_timer_survives_a_crash_and_fires_once(engine: Engine) -> None:
    await _set(engine, _timer(engine))
    await engine.crash()
    engine.clock.advance(SOON)
    await engine.store.fire_timers()
    await engine.crash()

    assert await engine.store.fire_timers() == 0
    assert len(await engine.rows(inbox_event, type="timer")) == 1
    assert (await engine.claim_one()).event.kind == "timer"


async def test_a_generation_fires_once_even_if_it_is_set_again(engine: Engine) -> None:
    for _ in range(2):
        await _set(engine, _timer(engine, timedelta(0)))
        await engine.store.fire_timers()
        for row in await engine.rows(inbox_event):
            if row.outcome is None:
                await engine.complete(engine.commit(await engine.claim_one()))

    assert len(await engine.rows(inbox_event, type="timer")) == 1


async def test_many_due_timers_fire_in_the_order_of_their_moments(engine: Engine) -> None:
    timers = [_timer(engine, number * SOON, key=f"{number}") for number in (3, 1, 2)]
    await _set(engine, *timers)
    engine.clock.advance(3 * SOON)

    assert [await engine.store.fire_timers(2), await engine.store.fire_timers(2)] == [2, 1]
    rows = await engine.rows(inbox_event, type="timer")
    assert [row.external_id for row in rows] == [
        "timer:turn:1:1",
        "timer:turn:2:1",
        "timer:turn:3:1",
    ]


async def test_who_waits_for_timers_is_woken_by_one_that_is_due_sooner(engine: Engine) -> None:
    await engine.store.fire_timers()

    with anyio.fail_after(BEFORE_LOOKING):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.store.wait_timers)
            await anyio.sleep(0.02)
            await _set(engine, _timer(engine, timedelta(0)))


async def test_a_timer_of_what_was_decided_twice_is_set_once(engine: Engine) -> None:
    await engine.answer("hola")
    await engine.accept(engine.said())
    work = await engine.claim_one()
    await engine.accept(engine.echoed("Hola, soy Eva"))

    await engine.complete(engine.commit(work, timers=(_timer(engine),)))

    assert await engine.rows(timer) == []
