"""Where pollers stand: one polls at a time, and a cursor moves with its events or not at all."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from router.domain.event import MessageReceived
from router.storage.pollers import (
    PollerKey,
    PollerView,
    Taken,
    Wait,
    give_back,
    keep,
    keep_failure,
    pollers,
    prepare,
    take,
)
from router.storage.store import NewEvent
from router.storage.tables import inbox_event, poller
from tests.integration.engine.harness import ANA, Engine

KEY = PollerKey("main", "calls", "ended")
OTHER = PollerKey("acme", "calls", "ended")
MINUTE = timedelta(minutes=1)
EVERY = timedelta(seconds=15)
YEAR = timedelta(days=365)


async def prepared(engine: Engine, key: PollerKey = KEY, *, every: timedelta = MINUTE) -> None:
    now = engine.clock.now()
    await engine.store.write(lambda tx: prepare(tx.connection, key, now, now + every))


async def taken(engine: Engine, holder: str = "me", key: PollerKey = KEY) -> Taken | datetime:
    now = engine.clock.now()

    def taking(tx: Any) -> Taken | Wait:
        return take(tx.connection, key, holder=holder, now=now, until=now + MINUTE, every=EVERY)

    found = await engine.store.write(taking)
    return found.until if isinstance(found, Wait) else found


async def took(engine: Engine, holder: str = "me") -> Taken:
    found = await taken(engine, holder)
    assert isinstance(found, Taken)
    return found


async def kept(engine: Engine, under: Taken, cursor: str | None, *events: NewEvent) -> Any:
    due_at = engine.clock.now() + MINUTE
    return await engine.store.write(
        partial(keep, key=KEY, taken=under, cursor=cursor, events=events, due_at=due_at)
    )


async def failed(engine: Engine, under: Taken, error: str) -> bool:
    due_at = engine.clock.now() + 5 * MINUTE
    return await engine.store.write(
        partial(keep_failure, key=KEY, taken=under, error=error, due_at=due_at)
    )


async def test_the_first_poll_is_due_at_once_and_has_no_cursor(engine: Engine) -> None:
    await prepared(engine)

    assert await taken(engine) == Taken(cursor=None, generation=1, failures=0)


async def test_what_is_found_is_stored_with_the_cursor(engine: Engine) -> None:
    await prepared(engine)
    first = await took(engine)

    accepted = await kept(engine, first, "7", engine.said(id="a"), engine.said(id="b"))

    assert [each.new for each in accepted] == [True, True]
    assert len(await engine.rows(inbox_event)) == 2
    assert await taken(engine) == engine.clock.now() + MINUTE
    engine.clock.advance(MINUTE)
    assert await taken(engine) == Taken(cursor="7", generation=2, failures=0)


async def test_what_a_webhook_brought_is_known(engine: Engine) -> None:
    await prepared(engine)
    await engine.accept(engine.said("hola", id="a"))

    accepted = await kept(engine, await took(engine), "7", engine.said("hola", id="a"))

    assert [each.new for each in accepted] == [False]
    assert len(await engine.rows(inbox_event)) == 1


async def test_a_result_that_comes_after_another_began_changes_nothing(engine: Engine) -> None:
    await prepared(engine)
    zombie = await took(engine)
    engine.clock.advance(2 * MINUTE)
    another = await took(engine, "another")

    assert await kept(engine, zombie, "old", engine.said(id="a")) is None
    assert await failed(engine, zombie, "too late") is False
    await engine.store.write(lambda tx: give_back(tx.connection, KEY, zombie))
    assert await engine.rows(inbox_event) == []
    assert len(await kept(engine, another, "new", engine.said(id="a"))) == 1
    (row,) = await engine.rows(poller)
    assert (row.cursor, row.failures) == ("new", 0)


async def test_events_that_cannot_be_stored_leave_the_cursor_where_it_was(engine: Engine) -> None:
    await prepared(engine)
    first = await took(engine)
    strange = engine.event(MessageReceived("x", ANA, object()))  # type: ignore[arg-type]

    with pytest.raises(TypeError):
        await kept(engine, first, "7", engine.said(id="a"), strange)

    assert await engine.rows(inbox_event) == []
    (row,) = await engine.rows(poller)
    assert (row.cursor, row.polled_at) == (None, None)


async def test_a_failure_is_counted_and_the_cursor_stays(engine: Engine) -> None:
    await prepared(engine)
    await kept(engine, await took(engine), "7")
    since = engine.clock.now() + MINUTE
    for number in (1, 2):
        engine.clock.advance(5 * MINUTE if number > 1 else MINUTE)
        assert await failed(engine, await took(engine), f"away {number}")

    (view,) = await engine.store.read(lambda connection: pollers(connection, "main"))

    assert view == PollerView(
        tenant="main",
        channel="calls",
        name="ended",
        due_at=engine.clock.now() + 5 * MINUTE,
        polled_at=since - MINUTE,
        failures=2,
        failing_since=since,
        error="away 2",
    )
    engine.clock.advance(5 * MINUTE)
    again = await took(engine)
    assert (again.cursor, again.failures) == ("7", 2)
    await kept(engine, again, "8")
    (view,) = await engine.store.read(lambda connection: pollers(connection, "main"))
    assert (view.failures, view.failing_since, view.error) == (0, None, None)


async def test_a_poller_whose_row_was_removed_by_hand_begins_anew(engine: Engine) -> None:
    assert await taken(engine) == engine.clock.now()

    assert await taken(engine) == Taken(cursor=None, generation=1, failures=0)


async def test_what_is_given_back_is_due_as_before(engine: Engine) -> None:
    await prepared(engine)
    first = await took(engine)

    await engine.store.write(lambda tx: give_back(tx.connection, KEY, first))

    assert await taken(engine, "another") == Taken(cursor=None, generation=2, failures=0)


async def test_a_shorter_interval_counts_at_once_but_ends_no_pause(engine: Engine) -> None:
    await prepared(engine, every=60 * MINUTE)
    now = engine.clock.now()
    first = await took(engine)
    await engine.store.write(
        partial(keep, key=KEY, taken=first, cursor="1", events=(), due_at=now + 60 * MINUTE)
    )

    await prepared(engine, every=MINUTE)

    assert await taken(engine) == now + MINUTE
    engine.clock.advance(MINUTE)
    await failed(engine, await took(engine), "asked to wait")
    await prepared(engine, every=timedelta(seconds=1))
    assert await taken(engine) == engine.clock.now() + 5 * MINUTE


async def test_pollers_of_one_name_in_two_tenants_are_two(engine: Engine) -> None:
    await prepared(engine)
    await prepared(engine, OTHER)
    await kept(engine, await took(engine), "7")

    assert await taken(engine, key=OTHER) == Taken(cursor=None, generation=1, failures=0)
    views = await engine.store.read(lambda connection: pollers(connection, "acme"))
    assert [(view.tenant, view.polled_at) for view in views] == [("acme", None)]


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_while_one_node_polls_another_waits(engine: Engine) -> None:
    await prepared(engine)
    await took(engine, "one")

    assert await taken(engine, "another") == engine.clock.now() + EVERY
    engine.clock.advance(MINUTE - timedelta(seconds=5))
    assert await taken(engine, "another") == engine.clock.now() + timedelta(seconds=5)
    engine.clock.advance(timedelta(seconds=5))
    assert await taken(engine, "another") == Taken(cursor=None, generation=2, failures=0)


async def test_a_clock_that_is_set_back_makes_no_pause_longer(engine: Engine) -> None:
    await prepared(engine)
    await failed(engine, await took(engine), "asked to wait")
    engine.clock.set(engine.clock.now() - YEAR)

    await engine.store.clock_set_back(YEAR)

    assert await taken(engine) == engine.clock.now() + 5 * MINUTE
    # As where each of several nodes notices the step.
    await engine.store.clock_set_back(YEAR)
    assert await taken(engine) == Taken(cursor=None, generation=2, failures=1)


async def test_what_is_due_stays_due_when_the_clock_is_set_back(engine: Engine) -> None:
    await prepared(engine)
    due_at = engine.clock.now()
    engine.clock.advance(2 * MINUTE)
    await engine.store.clock_set_back(MINUTE)

    (view,) = await engine.store.read(lambda connection: pollers(connection, "main"))

    assert view.due_at == due_at


async def test_a_poll_under_way_ends_when_it_would_have_although_the_clock_is_set_back(
    engine: Engine,
) -> None:
    await prepared(engine)
    under_way = await took(engine)
    engine.clock.set(engine.clock.now() - YEAR)
    await engine.store.clock_set_back(YEAR)
    assert await taken(engine) == engine.clock.now() + EVERY

    assert await kept(engine, under_way, "7", engine.said(id="a")) is not None
    assert await taken(engine) == engine.clock.now() + MINUTE


@pytest.mark.parametrize("fails", [False, True])
async def test_a_start_lets_no_poller_wait_for_the_step(engine: Engine, fails: bool) -> None:
    await prepared(engine)
    if fails:
        await failed(engine, await took(engine), "asked to wait")
    else:
        await took(engine, "a node that died with it")
    engine.clock.set(engine.clock.now() - YEAR)

    await engine.restart()
    await prepared(engine)
    engine.clock.advance(timedelta(days=1))

    assert isinstance(await taken(engine), Taken)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_a_poll_of_a_process_that_is_gone_is_repeated_at_once(engine: Engine) -> None:
    await prepared(engine)
    await took(engine, "the process before")

    assert await taken(engine, "this process") == Taken(cursor=None, generation=2, failures=0)
