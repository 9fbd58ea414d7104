"""Customers' threads: taken in once, worked in order, decided whole, whatever happens."""

from datetime import timedelta

import anyio
import pytest

from router.domain.event import ContactOptedOut
from router.domain.identity import Address
from router.domain.message import Author
from router.storage import ready
from router.storage.store import NewEvent
from router.storage.tables import contact, conversation, decision, inbox_event, lane, outbox
from tests.integration.engine.harness import ANA, BEFORE_LOOKING, LUIS, Engine, ref

SOON = timedelta(seconds=2)


# --- taking in


async def test_an_event_is_stored_once_however_often_it_is_delivered(engine: Engine) -> None:
    event = engine.said(id="A1")

    first = await engine.accept(event)
    second = await engine.accept(event)
    both = await engine.accept(event, engine.said(id="A2"))

    *repeats, last = (*first, *second, *both)
    assert [(it.ref, it.new) for it in repeats] == [
        (ref(1), True),
        (ref(1), False),
        (ref(1), False),
    ]
    # A repeat may burn a number, which no event will ever have.
    assert last.new
    assert last.ref > ref(1)
    assert [row.seq for row in await engine.rows(inbox_event)] == [1, last.ref.seq]
    assert [it.ref.seq for it in await engine.claim(2)] == [1]


async def test_a_repeat_leaves_nothing_to_do(engine: Engine) -> None:
    event = engine.said(id="A1")
    await engine.accept(event)
    await engine.complete(engine.commit(await engine.claim_one()))
    await engine.accept(event)
    await engine.accept(event, event)

    (row,) = await engine.rows(lane, kind="in")
    assert (row.ready_at, row.lease_owner, row.done_seq) == (None, None, row.last_seq)


async def test_one_request_may_bring_the_same_event_twice(engine: Engine) -> None:
    event = engine.said(id="A1")

    accepted = await engine.accept(event, event)

    assert [it.new for it in accepted] == [True, False]


async def test_equal_ids_of_two_sources_never_collide(engine: Engine) -> None:
    same = [
        engine.said(id="A1"),
        engine.said(id="A1", tenant="clinica"),
        engine.said(id="A1", channel="telefono"),
    ]

    accepted = await engine.accept(*same)

    assert all(it.new for it in accepted)
    assert accepted[1].ref == ref(1, tenant="clinica")


async def test_one_request_is_stored_whole_or_not_at_all(engine: Engine) -> None:
    broken = engine.said(id="\ud800")

    with pytest.raises(UnicodeEncodeError):
        await engine.accept(engine.said(id="A1"), broken)

    assert await engine.rows(inbox_event) == []
    assert await engine.rows(lane) == []
    assert await engine.idle()


async def test_a_bad_request_does_not_fail_the_others_of_its_group(engine: Engine) -> None:
    results: list[bool] = []

    async def offer(event: NewEvent) -> None:
        try:
            await engine.accept(event)
        except UnicodeEncodeError:
            results.append(False)
        else:
            results.append(True)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            name = "\ud800" if number == 7 else f"A{number}"
            tasks.start_soon(offer, engine.said(id=name, text=f"{number}"))

    assert sorted(results) == [False] + [True] * 19
    assert len(await engine.rows(inbox_event)) == 19


# --- order


async def test_events_of_a_lane_are_worked_in_the_order_of_their_numbers(engine: Engine) -> None:
    await engine.accept(*(engine.said(f"{number}") for number in range(5)))
    seen = []

    for _ in range(5):
        work = await engine.claim_one()
        seen.append(work.ref.seq)
        assert await engine.idle()  # the next is offered by the commit of this one
        await engine.complete(engine.commit(work))

    assert seen == [1, 2, 3, 4, 5]
    assert await engine.outcomes() == ["ignore"] * 5


async def test_lanes_do_not_wait_for_each_other(engine: Engine) -> None:
    await engine.accept(engine.said(), engine.said(), engine.said(who=LUIS))

    works = await engine.claim()

    assert {work.ref for work in works} == {ref(1), ref(1, LUIS)}


async def test_two_commits_may_be_under_way_at_once(engine: Engine) -> None:
    await engine.accept(engine.said(), engine.said(who=LUIS))
    works = await engine.claim()

    async with anyio.create_task_group() as tasks:
        for work in works:
            tasks.start_soon(engine.complete, engine.commit(work, "sí"))

    assert await engine.outcomes() == ["reply", "reply"]
    assert len(await engine.claim_items()) == 2


async def test_an_idle_lane_is_handed_over_without_a_claim(engine: Engine) -> None:
    await engine.accept(engine.said("uno"))
    await engine.accept(engine.said("dos"))

    row = await engine.lane()
    work = await engine.claim_one()

    assert row.lease_owner is not None
    assert work.ref == ref(1)


async def test_a_lane_rests_when_everything_is_done_and_wakes_again(engine: Engine) -> None:
    await engine.answer("uno")
    resting = await engine.lane()
    await engine.answer("dos")

    assert (resting.ready_at, resting.lease_owner, resting.done_seq) == (None, None, 1)
    assert (await engine.lane()).done_seq == 2


async def test_what_came_in_while_an_event_was_worked_is_offered_after_it(engine: Engine) -> None:
    await engine.accept(engine.said("uno"))
    work = await engine.claim_one()
    await engine.accept(engine.said("dos"))

    await engine.complete(engine.commit(work))

    following = await engine.claim_one()
    assert following.ref == ref(2)
    assert following.conversation is not None


async def test_a_waiting_claim_is_woken_by_the_next_event(engine: Engine) -> None:
    found = []

    async def wait() -> None:
        found.extend(await engine.claim())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.sleep(0.02)
        with anyio.fail_after(BEFORE_LOOKING):
            await engine.accept(engine.said())

    assert [work.ref for work in found] == [ref(1)]


async def test_no_wake_up_is_lost_between_many_producers_and_one_worker(engine: Engine) -> None:
    total, done = 300, 0

    async def produce(start: int) -> None:
        for number in range(start, start + total // 10):
            await engine.accept(engine.said(id=f"A{number}", who=_person(number % 7)))

    async with anyio.create_task_group() as tasks:
        for start in range(0, total, total // 10):
            tasks.start_soon(produce, start)
        with anyio.fail_after(20):
            while done < total:
                works = await engine.claim()
                done += len(works)
                await engine.complete(*(engine.commit(work) for work in works))

    assert await engine.outcomes() == ["ignore"] * total


async def test_what_is_over_the_limit_of_handing_over_waits_in_the_database(
    engine: Engine,
) -> None:
    over = 25
    events = [engine.said(who=_person(number)) for number in range(ready.HANDED_LIMIT + over)]

    # One request is one transaction: room is counted as it was before it.
    await engine.accept(*events[:-over])
    await engine.accept(*events[-over:])
    unleased = [row for row in await engine.rows(lane) if row.lease_owner is None]

    assert len(unleased) == over
    seen: set[str] = set()
    while len(seen) < len(events):
        works = await engine.claim(500)
        assert not seen & {work.ref.lane for work in works}
        seen |= {work.ref.lane for work in works}
    assert await engine.idle()


# --- failing


async def test_a_failed_event_is_tried_again_later_and_holds_only_its_own_lane(
    engine: Engine,
) -> None:
    await engine.accept(engine.said("uno"), engine.said("dos"))
    work = await engine.claim_one()

    await engine.store.fail(work, "roto", engine.clock.now() + SOON)
    await engine.accept(engine.said(who=LUIS))

    assert [it.ref for it in await engine.claim()] == [ref(1, LUIS)]
    assert await engine.idle()
    engine.clock.advance(SOON)
    again = await engine.claim_one()
    assert (again.ref, again.attempts) == (ref(1), 1)
    await engine.complete(engine.commit(again))
    assert (await engine.claim_one()).attempts == 0


async def test_attempts_survive_a_restart(engine: Engine) -> None:
    await engine.accept(engine.said())
    await engine.store.fail(await engine.claim_one(), "roto", engine.clock.now() + SOON)

    await engine.restart()

    assert await engine.idle()
    engine.clock.advance(SOON)
    assert (await engine.claim_one()).attempts == 1


async def test_a_dead_letter_lets_its_lane_go_on(engine: Engine) -> None:
    await engine.accept(engine.said("uno"), engine.said("dos"))
    work = await engine.claim_one()

    await engine.complete(engine.commit(work, outcome="dead", dead_error="roto"))

    (row, _) = await engine.rows(inbox_event)
    assert (row.outcome, row.dead_error, row.dead_at) == ("dead", "roto", engine.clock.now())
    assert (await engine.claim_one()).ref == ref(2)


async def test_an_event_that_can_no_longer_be_read_stops_neither_its_lane_nor_the_others(
    engine: Engine,
) -> None:
    await engine.accept(engine.said("uno"), engine.said("dos"), engine.said(who=LUIS))
    await engine.restart()
    await engine.store.write(
        lambda tx: tx.connection.execute(
            inbox_event.update()
            .where(inbox_event.c.lane == ref(1).lane, inbox_event.c.seq == 1)
            .values(type="of a later version")
        )
    )

    works = {work.ref: work for work in await engine.claim()}

    assert set(works) == {ref(1), ref(1, LUIS)}
    assert works[ref(1)].event.kind == "unparsed"


# --- deciding on a thread that moves on


async def test_a_decision_about_a_thread_that_moved_on_is_made_again(engine: Engine) -> None:
    await engine.answer("uno")
    await engine.accept(engine.said("dos"))
    work = await engine.claim_one()
    await engine.accept(engine.echoed("yo me encargo"))

    await engine.complete(engine.commit(work, "respuesta del bot"))

    again = await engine.claim_one()
    assert again.ref == work.ref
    assert again.conversation is not None
    assert (again.conversation.owner, again.conversation.epoch) == ("person", 1)
    assert await engine.rows(outbox) == []


async def test_a_thread_opened_meanwhile_is_not_opened_twice(engine: Engine) -> None:
    await engine.accept(engine.said("uno"))
    work = await engine.claim_one()
    await engine.accept(engine.echoed("le escribí yo"))

    await engine.complete(engine.commit(work, "respuesta del bot"))

    again = await engine.claim_one()
    assert again.contact is not None
    await engine.complete(engine.commit(again))
    assert len(await engine.rows(conversation)) == 1
    assert len(await engine.rows(contact)) == 1


async def test_a_customer_who_became_known_meanwhile_does_not_become_so_twice(
    engine: Engine,
) -> None:
    await engine.accept(engine.said("uno"))
    work = await engine.claim_one()
    await engine.accept(engine.event(ContactOptedOut("b1", ANA, "blocked us")))

    await engine.complete(engine.commit(work, "respuesta del bot"))

    again = await engine.claim_one()
    assert again.ref == work.ref
    assert again.contact is not None
    assert again.contact.opted_out
    await engine.complete(engine.commit(again))
    assert len(await engine.rows(contact)) == 1


async def test_what_a_decision_writes_is_all_there_or_not_at_all(engine: Engine) -> None:
    await engine.accept(engine.said())
    work = await engine.claim_one()
    good = engine.commit(work, "sí")
    twice = engine.message("doble", good.conversation)  # type: ignore[arg-type]
    bad = engine.commit(work, items=[twice, twice])

    with pytest.raises(Exception, match=r"(?i)unique"):
        await engine.complete(bad)

    assert await engine.rows(conversation) == []
    assert await engine.outcomes() == [None]
    await engine.complete(good)
    assert await engine.states() == {"sí": "waiting"}


async def test_one_bad_commit_fails_alone(engine: Engine) -> None:
    await engine.accept(*(engine.said(who=_person(number)) for number in range(6)))
    works = await engine.claim()
    commits = [engine.commit(work, "sí") for work in works]
    commits[3] = engine.commit(works[3], items=[engine.action()] * 2)

    with pytest.raises(Exception, match=r"(?i)unique"):
        await engine.complete(*commits)

    assert sorted(filter(None, await engine.outcomes())) == ["reply"] * 5
    assert len(await engine.claim_items()) == 5


async def test_a_decision_gives_its_outcome_to_the_events_that_waited_for_it(
    engine: Engine,
) -> None:
    await engine.accept(*(engine.said(f"{number}") for number in range(3)))
    for outcome in ("waiting", "waiting"):
        await engine.complete(engine.commit(await engine.claim_one(), outcome=outcome))

    await engine.complete(engine.commit(await engine.claim_one(), "a todo", settles=(1, 2)))

    rows = await engine.rows(inbox_event)
    assert [(row.outcome, row.settled_seq) for row in rows] == [
        ("reply", 3),
        ("reply", 3),
        ("reply", None),
    ]
    assert await engine.rows(decision) == []


async def test_a_person_may_write_between_the_answers(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    thread = (await engine.conversation()).id
    theirs = await engine.person_writes("dos", thread)

    first = await engine.claim_item()
    await engine.send(first)
    second = await engine.claim_item()

    assert (second.id, second.author) == (theirs, Author.PERSON)


def _person(number: int) -> Address:
    return Address("tel", f"+57300{number:07d}")
