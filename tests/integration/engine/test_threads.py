"""Customers' threads: taken in once, worked in order, under a lease, whatever happens."""

from datetime import timedelta

import anyio
import pytest

from router.domain.identity import Address
from router.domain.message import Author
from router.domain.outbox import ItemState
from router.storage import ready
from router.storage.store import AttemptResult, NewEvent, Start
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


# --- leases and fencing


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
        counted.append(await engine.store.suspect(works[ref(1)]))
        await engine.crash()

    works = {work.ref: work for work in await engine.claim()}
    assert counted == [1, 2, 3, 4]
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


async def test_several_restarts_in_order_change_nothing(engine: Engine) -> None:
    await engine.accept(engine.said("uno"))
    for _ in range(3):
        await engine.restart()

    await engine.complete(engine.commit(await engine.claim_one(), "sí"))

    assert await engine.outcomes() == ["reply"]


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


# --- addresses of one person


BSUID = Address("bsuid", "US.42")


async def _learn(engine: Engine, address: Address, key: Address) -> None:
    from router.storage.contacts import learn_address

    await engine.store.write(lambda tx: learn_address(tx, "main", str(address), str(key)))


async def test_a_learnt_address_is_mirrored_and_survives_a_restart(engine: Engine) -> None:
    await _learn(engine, BSUID, ANA)
    known = dict(engine.store.aliases)
    await engine.restart()

    assert known == {("main", str(BSUID)): str(ANA)}
    assert dict(engine.store.aliases) == known


async def test_addresses_learnt_one_after_the_other_lead_to_the_last(engine: Engine) -> None:
    await _learn(engine, BSUID, ANA)
    await _learn(engine, ANA, LUIS)
    await _learn(engine, Address("telegram", "7"), ANA)
    await _learn(engine, LUIS, BSUID)  # known the other way round: no circle

    expected = {("main", name): str(LUIS) for name in (str(BSUID), str(ANA), "telegram:7")}
    assert dict(engine.store.aliases) == expected
    await engine.restart()
    assert dict(engine.store.aliases) == expected


async def test_a_rolled_back_address_is_not_learnt(engine: Engine) -> None:
    def learn(tx: object) -> None:
        tx.learn_alias("main", str(BSUID), str(ANA))  # type: ignore[attr-defined]
        message = "no"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no"):
        await engine.store.write(learn)

    assert dict(engine.store.aliases) == {}


async def test_two_that_turn_out_to_be_one_have_one_history(engine: Engine) -> None:
    await engine.answer("uno", who=BSUID)
    await engine.answer("dos", who=ANA)

    await _learn(engine, BSUID, ANA)

    rows = {row.address: row for row in await engine.rows(conversation)}
    assert {row.contact for row in rows.values()} == {rows[str(ANA)].contact}
    assert rows[str(BSUID)].status == "closed"
    assert rows[str(ANA)].status == "active"


async def test_a_question_under_way_is_not_lost_when_two_turn_out_to_be_one(
    engine: Engine,
) -> None:
    from dataclasses import replace

    from router.domain.conversation import Turn, TurnMessage

    await engine.accept(engine.said("¿cuánto cuesta?", who=BSUID))
    work = await engine.claim_one()
    commit = engine.commit(work, outcome="waiting")
    assert commit.conversation is not None
    turn = Turn(
        messages=(TurnMessage(seq=1, text="¿cuánto cuesta?", received_at=work.received_at),)
    )
    thread = replace(commit.conversation, turn=turn)
    await engine.complete(replace(commit, conversation=thread))
    await engine.answer("hola", who=ANA)

    await _learn(engine, BSUID, ANA)

    await engine.accept(engine.said("¿hola?", who=BSUID))
    following = await engine.claim_one()
    assert following.conversation is not None
    assert following.conversation.turn.text == "¿cuánto cuesta?"


async def test_a_person_who_owned_one_thread_owns_what_two_become(engine: Engine) -> None:
    await engine.answer("uno", who=BSUID)
    await engine.accept(engine.echoed("yo me encargo", who=BSUID))
    await engine.complete(engine.commit(await engine.claim_one()))
    await engine.answer("dos", "respuesta", who=ANA)
    item = await engine.claim_item()

    await _learn(engine, BSUID, ANA)

    (row,) = [it for it in await engine.rows(conversation) if it.status != "closed"]
    assert (row.address, row.owner) == (str(ANA), "person")
    assert not await engine.store.start_attempt(item)


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
