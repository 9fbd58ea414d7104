"""Work is done under a lease: what came of a lost one is dropped, and after a crash begun again."""

from datetime import timedelta

import anyio
import pytest

from router.domain.outbox import ItemState
from router.storage.store import AttemptResult, Start
from router.storage.tables import outbox
from tests.integration.engine.harness import ANA, BEFORE_LOOKING, LUIS, Engine, ref

SOON = timedelta(seconds=2)


# --- fencing


async def test_what_a_lost_lease_decided_is_dropped(engine: Engine) -> None:
    await engine.accept(engine.said())
    stale = await engine.claim_one()
    await engine.crash()

    await engine.complete(engine.commit(stale, "del zombi"))

    assert await engine.rows(outbox) == []
    assert await engine.outcomes() == [None]
    fresh = await engine.claim_one()
    await engine.another_node_takes(fresh)
    await engine.complete(engine.commit(stale, "del zombi"))
    assert await engine.rows(outbox) == []
    await engine.crash()
    fresh = await engine.claim_one()
    await engine.complete(engine.commit(fresh, "del nuevo"))
    await engine.complete(engine.commit(stale, "del zombi"))
    assert list(await engine.states()) == ["del nuevo"]


async def test_an_event_is_committed_once_even_if_it_was_worked_twice(engine: Engine) -> None:
    await engine.accept(engine.said("uno"), engine.said("dos"))
    work = await engine.claim_one()
    await engine.store.release([work])
    again = await engine.claim_one()

    await engine.complete(engine.commit(work, "una vez"))
    await engine.complete(engine.commit(again, "otra vez"))

    assert list(await engine.states()) == ["una vez"]
    assert (await engine.claim_one()).ref == ref(2)


@pytest.mark.parametrize("act", ["release", "fail", "suspect"])
async def test_a_stale_word_about_an_event_leaves_the_next_one_alone(
    engine: Engine, act: str
) -> None:
    await engine.accept(engine.said("uno"), engine.said("dos"))
    work = await engine.claim_one()
    await engine.complete(engine.commit(work))
    before = await engine.lane()

    if act == "release":
        await engine.store.release([work])
    elif act == "fail":
        await engine.store.fail(work, "late", engine.clock.now() + SOON)
    else:
        await engine.store.suspect(work)

    after = await engine.lane()
    assert after == before
    assert (await engine.claim_one()).ref == ref(2)


async def test_a_zombie_can_neither_start_nor_take_back_what_another_has_begun(
    engine: Engine,
) -> None:
    await engine.answer("hola", "respuesta")
    stale = await engine.claim_item()
    await engine.crash()
    fresh = await engine.claim_item()
    assert await engine.store.start_attempt(fresh)

    assert not await engine.store.start_attempt(stale)
    await engine.another_node_takes(fresh)
    later = engine.clock.now() + SOON
    await engine.store.finish_attempt(
        stale, AttemptResult(state=ItemState.WAITING, retry_at=later, error="late")
    )

    assert await engine.states() == {"respuesta": "started"}


async def test_an_item_that_is_leaving_is_not_started_again_under_the_same_lease(
    engine: Engine,
) -> None:
    await engine.answer("hola", "respuesta")
    item = await engine.claim_item()

    first = await engine.store.start_attempt(item)
    second = await engine.store.start_attempt(item)

    assert (first, second) == (Start.BEGUN, Start.NOT)


async def test_what_was_claimed_and_released_is_claimed_again_at_once(engine: Engine) -> None:
    await engine.accept(engine.said())
    await engine.store.release(await engine.claim())

    with anyio.fail_after(BEFORE_LOOKING):
        assert (await engine.claim_one()).ref == ref(1)

    await engine.answer("hola", "respuesta", who=LUIS)
    await engine.store.release([await engine.claim_item()])
    with anyio.fail_after(BEFORE_LOOKING):
        assert (await engine.claim_item()).attempt == 0


# --- starting again


async def test_after_a_crash_every_lease_is_void_and_the_work_is_claimed_again(
    engine: Engine,
) -> None:
    await engine.accept(engine.said("uno"), engine.said("dos"), engine.said(who=LUIS))
    await engine.claim()

    await engine.crash()

    works = await engine.claim()
    assert {work.ref: work.crashes for work in works} == {ref(1): 1, ref(1, LUIS): 1}


async def test_after_an_orderly_stop_nothing_is_suspected(engine: Engine) -> None:
    await engine.accept(engine.said("uno"), engine.said(who=LUIS))
    await engine.claim(1)  # one is in a worker's hands, one is not

    await engine.restart()

    works = await engine.claim()
    assert {work.ref: work.crashes for work in works} == {ref(1): 0, ref(1, LUIS): 0}


async def test_only_crashes_around_an_event_alone_are_counted_against_it(engine: Engine) -> None:
    await engine.accept(engine.said("veneno"), engine.said(who=LUIS))

    counted = []
    for _ in range(4):
        works = {work.ref: work for work in await engine.claim()}
        counted.append(works[ref(1)].crashes)
        await engine.store.suspect(works[ref(1)])
        await engine.crash()

    works = {work.ref: work for work in await engine.claim()}
    assert counted == [0, 1, 2, 3]
    assert works[ref(1)].crashes == 4
    assert works[ref(1, LUIS)].crashes == 1


async def test_a_suspect_that_can_be_worked_is_innocent(engine: Engine) -> None:
    await engine.accept(engine.said("uno"))
    await engine.claim()
    await engine.crash()
    work = await engine.claim_one()
    await engine.store.suspect(work)

    await engine.complete(engine.commit(work))

    await engine.accept(engine.said("dos"))
    assert (await engine.claim_one()).crashes == 0


@pytest.mark.parametrize("act", ["release", "fail", "complete too late"])
async def test_what_a_process_lives_through_is_not_counted_as_its_death(
    engine: Engine, act: str
) -> None:
    await engine.accept(engine.said("hola"))
    await engine.complete(engine.commit(await engine.claim_one()))
    await engine.accept(engine.said("uno"))
    await engine.claim()
    await engine.crash()
    for _ in range(5):
        work = await engine.claim_one()
        await engine.store.suspect(work)

        if act == "release":  # the database was away
            await engine.store.release([work])
        elif act == "fail":
            await engine.store.fail(work, "an error", engine.clock.now())
        else:  # a person spoke meanwhile, and it is offered again
            await engine.accept(engine.echoed("Hola, soy Ana."))
            await engine.complete(engine.commit(work))

    assert (await engine.claim_one()).crashes == 1


async def test_several_restarts_in_order_change_nothing(engine: Engine) -> None:
    await engine.accept(engine.said("uno"))
    for _ in range(3):
        await engine.restart()

    await engine.complete(engine.commit(await engine.claim_one(), "sí"))

    assert await engine.outcomes() == ["reply"]


# --- stopping


async def test_a_paused_store_gives_out_nothing_more(engine: Engine) -> None:
    await engine.answer("hola", "respuesta")
    await engine.accept(engine.said("dos"))

    engine.store.pause()

    assert await engine.idle()
    assert await engine.idle("out")


async def test_releasing_all_leaves_what_has_begun_as_begun(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    await engine.answer("hola", "dos", who=LUIS)
    items = {item.lane: item for item in await engine.claim_items()}
    started = items[f"main/phone/{ANA}"]
    assert await engine.store.start_attempt(started)

    await engine.restart()

    found = {item.lane: item.state for item in await engine.claim_items()}
    assert found == {
        f"main/phone/{ANA}": ItemState.STARTED,
        f"main/phone/{LUIS}": ItemState.WAITING,
    }
