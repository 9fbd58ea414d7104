"""Token buckets at the store: order kept, no attempts used up, states kept across restarts."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.domain.identity import Address
from router.domain.limits import Bucket, RateLimit
from router.domain.outbox import ItemState
from router.errors import Refusal
from router.storage.refusals import take_up
from router.storage.store import AttemptResult, Item, Start, Terms
from router.storage.tables import bucket, conversation, lane, outbox
from tests.integration.engine.harness import ANA, LUIS, Engine

SENDER = "main/phone"


def terms(item: Item, *, sender: RateLimit | None = None, pair: RateLimit | None = None) -> Terms:
    buckets = []
    if sender is not None:
        buckets.append(Bucket(key=SENDER, limit=sender, shared=True))
    if pair is not None:
        buckets.append(Bucket(key=item.lane, limit=pair))
    return Terms(buckets=tuple(buckets))


async def claimable(engine: Engine) -> list[Item]:
    """Claim what may be claimed now, if anything may; nothing may be in the test's hands."""
    ready = sa.select(sa.func.count()).where(
        lane.c.kind == "out", lane.c.ready_at <= engine.clock.now(), sa.not_(lane.c.parked)
    )
    if not await engine.store.read(lambda it: it.scalar(ready)):
        return []
    return await engine.claim_items()


async def send_all(
    engine: Engine, *, sender: RateLimit | None = None, pair: RateLimit | None = None
) -> list[str]:
    """Send what may be sent now; give the texts."""
    sent: list[str] = []
    while items := await claimable(engine):
        for item in items:
            if await engine.store.start_attempt(item, terms(item, sender=sender, pair=pair)):
                await engine.store.finish_attempt(item, AttemptResult(state=ItemState.DONE))
                sent.append(json.loads(item.body)["text"])
    return sent


async def test_a_pair_gets_its_burst_and_then_one_each_interval_in_order(engine: Engine) -> None:
    pair = RateLimit(6.0, burst=2)
    await engine.answer("hola", "uno", "dos", "tres", "cuatro")

    assert await send_all(engine, pair=pair) == ["uno", "dos"]
    engine.clock.advance(timedelta(seconds=5.9))
    assert await send_all(engine, pair=pair) == []
    engine.clock.advance(timedelta(seconds=0.1))
    assert await send_all(engine, pair=pair) == ["tres"]
    engine.clock.advance(timedelta(seconds=6))
    assert await send_all(engine, pair=pair) == ["cuatro"]

    assert {row.attempt for row in await engine.rows(outbox)} == {1}


async def test_one_pair_that_waits_keeps_no_other_waiting(engine: Engine) -> None:
    pair = RateLimit(6.0)
    await engine.answer("hola", "uno", "dos")
    await engine.answer("hola", "tres", who=LUIS)

    assert set(await send_all(engine, pair=pair)) == {"uno", "tres"}


async def test_an_empty_bucket_is_no_attempt_and_sets_when_the_lane_is_claimed(
    engine: Engine,
) -> None:
    pair = RateLimit(6.0)
    await engine.answer("hola", "uno", "dos")
    await send_all(engine, pair=pair)

    resting = await engine.lane("out")

    assert resting.ready_at == engine.clock.now() + timedelta(seconds=6)
    assert (resting.lease_owner, resting.attempts, resting.parked) == (None, 0, False)
    assert [row.attempt for row in await engine.rows(outbox)] == [1, 0]


async def test_what_was_taken_is_remembered_across_a_restart(engine: Engine) -> None:
    pair = RateLimit(6.0)
    await engine.answer("hola", "uno", "dos")
    assert await send_all(engine, pair=pair) == ["uno"]

    await engine.restart()

    assert await send_all(engine, pair=pair) == []
    engine.clock.advance(timedelta(seconds=6))
    assert await send_all(engine, pair=pair) == ["dos"]


async def test_a_sender_s_queue_is_served_in_order_and_looked_at_once_each(
    engine: Engine,
) -> None:
    sender = RateLimit(1.0)
    for number in range(12):
        who = Address("tel", f"+5730000000{number:02}")
        await engine.answer("hola", str(number), who=who)
    looks, sent = 0, []
    for _ in range(12):
        while items := await claimable(engine):
            for item in items:
                looks += 1
                if await engine.store.start_attempt(item, terms(item, sender=sender)):
                    await engine.store.finish_attempt(item, AttemptResult(state=ItemState.DONE))
                    sent.append(json.loads(item.body)["text"])
        engine.clock.advance(timedelta(seconds=1))

    assert sent == [str(number) for number in range(12)]
    assert looks <= 2 * 12


async def test_a_backlog_that_is_due_at_once_after_a_stop_still_keeps_the_limit(
    engine: Engine,
) -> None:
    sender = RateLimit(1.0)
    for number in range(5):
        who = Address("tel", f"+5730000000{number:02}")
        await engine.answer("hola", str(number), who=who)
    assert await send_all(engine, sender=sender) == ["0"]

    await engine.restart()
    engine.clock.advance(timedelta(minutes=5))

    sent = []
    for _ in range(4):
        sent.append(await send_all(engine, sender=sender))
        engine.clock.advance(timedelta(seconds=1))
    assert sent == [["1"], ["2"], ["3"], ["4"]]


@pytest.mark.parametrize("restarts", [(1,), (1, 2, 5)])
async def test_a_start_costs_nobody_a_place_in_the_sender_s_queue(
    engine: Engine, restarts: tuple[int, ...]
) -> None:
    sender = RateLimit(1.0)
    for number in range(8):
        who = Address("tel", f"+5730000000{number:02}")
        await engine.answer("hola", str(number), who=who)
    sent = []
    for second in range(8):
        if second in restarts:
            await engine.restart()
        sent.append(await send_all(engine, sender=sender))
        engine.clock.advance(timedelta(seconds=1))

    assert sent == [[str(number)] for number in range(8)]


async def test_a_start_leaves_what_was_postponed_where_it_is(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    then = engine.clock.now() + timedelta(seconds=30)
    await engine.store.postpone(await engine.claim_item(), then)

    await engine.restart()

    assert (await engine.lane("out")).ready_at == then


async def test_a_limit_that_was_raised_holds_from_the_next_message(engine: Engine) -> None:
    await engine.answer("hola", *(str(number) for number in range(10)))
    assert len(await send_all(engine, pair=RateLimit(60.0, burst=10))) == 10
    await engine.answer("hola", "uno", "dos")

    sent = []
    for _ in range(3):
        sent.append(await send_all(engine, pair=RateLimit(1.0)))
        engine.clock.advance(timedelta(seconds=1))
    assert sent == [[], ["uno"], ["dos"]]


async def test_a_clock_that_was_set_back_keeps_no_pair_waiting(engine: Engine) -> None:
    pair = RateLimit(6.0)
    await engine.answer("hola", "uno", "dos")
    assert await send_all(engine, pair=pair) == ["uno"]

    engine.clock.set(engine.clock.now() - timedelta(hours=1))
    await engine.restart()

    assert await send_all(engine, pair=pair) == []
    engine.clock.advance(timedelta(seconds=6))
    assert await send_all(engine, pair=pair) == ["dos"]


async def test_a_clock_that_was_set_back_keeps_the_order_of_the_sender_s_queue(
    engine: Engine,
) -> None:
    sender = RateLimit(1.0)
    # The lanes' names have another order than their places.
    for number in range(6):
        who = Address("tel", f"+5730000000{9 - number:02}")
        await engine.answer("hola", str(number), who=who)
    assert await send_all(engine, sender=sender) == ["0"]
    engine.clock.advance(timedelta(seconds=1))
    assert await send_all(engine, sender=sender) == ["1"]

    engine.clock.set(engine.clock.now() - timedelta(hours=1))
    await engine.restart()

    sent = [await send_all(engine, sender=sender)]
    await engine.answer("hola", "new", who=ANA)
    for _ in range(5):
        sent.append(await send_all(engine, sender=sender))
        engine.clock.advance(timedelta(seconds=1))
    sent.append(await send_all(engine, sender=sender))
    assert sent == [[], [], ["2"], ["3"], ["4"], ["5"], ["new"]]


async def test_a_clock_that_was_set_back_holds_back_nothing_of_any_tenant(engine: Engine) -> None:
    await engine.accept(engine.said("uno", tenant="first"))
    engine.clock.advance(timedelta(hours=1))
    await engine.accept(engine.said("dos", tenant="second"), engine.said("tres", tenant="third"))

    engine.clock.set(engine.clock.now() - timedelta(minutes=30))
    await engine.restart()

    assert {work.tenant for work in await engine.claim()} == {"first", "second", "third"}


async def test_a_clock_that_was_set_back_does_not_hold_back_a_person_s_word(
    engine: Engine,
) -> None:
    await engine.answer("hola")
    engine.clock.advance(timedelta(hours=1))
    await engine.person_writes("soy yo", (await engine.conversation()).id)

    engine.clock.set(engine.clock.now() - timedelta(minutes=30))
    await engine.restart()

    assert await send_all(engine) == ["soy yo"]


async def test_a_clock_that_was_set_back_lets_a_retry_wait_as_long_as_it_would_have(
    engine: Engine,
) -> None:
    await engine.answer("hola", "uno")
    await engine.attempt(await engine.claim_item(), ItemState.WAITING, retry_in=60)

    engine.clock.set(engine.clock.now() - timedelta(minutes=30))
    await engine.restart()

    assert (await engine.lane("out")).ready_at == engine.clock.now() + timedelta(seconds=60)


async def test_a_person_goes_ahead_of_the_sender_s_queue(engine: Engine) -> None:
    sender = RateLimit(1.0)
    for number in range(4):
        who = Address("tel", f"+5730000000{number:02}")
        await engine.answer("hola", str(number), who=who)
    await engine.answer("hola", who=ANA)
    assert await send_all(engine, sender=sender) == ["0"]
    (thread,) = [row for row in await engine.rows(conversation) if row.address == str(ANA)]
    await engine.person_writes("soy yo", thread.id)

    assert await send_all(engine, sender=sender) == []
    engine.clock.advance(timedelta(seconds=1))
    assert await send_all(engine, sender=sender) == ["soy yo"]


async def wait_in_line(engine: Engine, number: int, sender: RateLimit) -> None:
    """Let as many customers be answered, of whom the first gets the only token."""
    for each in range(number):
        await engine.answer("hola", str(each), who=customer(each))
    assert await send_all(engine, sender=sender) == ["0"]


def customer(number: int) -> Address:
    # The lanes' names have another order than their places.
    return Address("tel", f"+5730000000{99 - number:02}")


async def each_second(engine: Engine, number: int, sender: RateLimit | None) -> list[list[str]]:
    sent = []
    for _ in range(number):
        sent.append(await send_all(engine, sender=sender))
        engine.clock.advance(timedelta(seconds=1))
    return sent


@pytest.mark.parametrize("restarts", [False, True])
async def test_the_places_of_those_that_were_withdrawn_are_taken_by_those_behind(
    engine: Engine, *, restarts: bool
) -> None:
    sender = RateLimit(1.0)
    await wait_in_line(engine, 10, sender)
    for number in (1, 2, 3, 5, 6):
        await engine.accept(engine.echoed("Le atiende Marta", who=customer(number)))
    if restarts:
        await engine.restart()
    engine.clock.advance(timedelta(seconds=1))

    sent = await each_second(engine, 4, sender)
    await engine.answer("hola", "new")
    sent += await each_second(engine, 1, sender)

    assert sent == [["4"], ["7"], ["8"], ["9"], ["new"]]


async def test_who_comes_when_all_were_withdrawn_waits_for_nobody(engine: Engine) -> None:
    sender = RateLimit(1.0)
    await wait_in_line(engine, 10, sender)
    for number in range(1, 10):
        await engine.accept(engine.echoed("Le atiende Marta", who=customer(number)))
    engine.clock.advance(timedelta(seconds=1))

    await engine.answer("hola", "new")

    assert await send_all(engine, sender=sender) == ["new"]


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_limit_that_was_raised_holds_for_those_who_wait_already(
    engine: Engine, *, restarts: bool
) -> None:
    await wait_in_line(engine, 5, RateLimit(60.0))
    if restarts:
        await engine.restart()
    engine.clock.advance(timedelta(seconds=60))

    sent = await each_second(engine, 4, RateLimit(1.0))

    assert sent == [["1"], ["2"], ["3"], ["4"]]


async def test_who_comes_after_a_limit_was_raised_lets_those_before_go_first(
    engine: Engine,
) -> None:
    await wait_in_line(engine, 4, RateLimit(60.0))
    engine.clock.advance(timedelta(seconds=10))
    await engine.answer("hola", "new")

    # The bucket was emptied under the old limit: it counts as empty now.
    sent = await each_second(engine, 5, RateLimit(1.0))

    assert sent == [[], ["1"], ["2"], ["3"], ["new"]]


async def test_a_limit_that_was_taken_away_holds_nobody_back(engine: Engine) -> None:
    await wait_in_line(engine, 4, RateLimit(60.0))
    engine.clock.advance(timedelta(seconds=60))

    assert await send_all(engine) == ["1", "2", "3"]


async def test_a_limit_that_was_lowered_keeps_the_order(engine: Engine) -> None:
    await wait_in_line(engine, 5, RateLimit(1.0))
    engine.clock.advance(timedelta(seconds=1))

    assert await each_second(engine, 7, RateLimit(2.0)) == [["1"], [], ["2"], [], ["3"], [], ["4"]]


async def test_whose_token_a_person_s_word_took_is_the_next(engine: Engine) -> None:
    sender = RateLimit(1.0)
    await engine.answer("hola", who=ANA)
    (thread,) = await engine.rows(conversation)
    await wait_in_line(engine, 4, sender)
    await engine.person_writes("soy yo", thread.id)

    assert await each_second(engine, 5, sender) == [[], ["soy yo"], ["1"], ["2"], ["3"]]


async def test_a_stop_that_some_slept_through_costs_them_no_place(engine: Engine) -> None:
    sender = RateLimit(1.0)
    await wait_in_line(engine, 9, sender)
    await engine.restart()
    engine.clock.advance(timedelta(seconds=5))

    sent = await each_second(engine, 8, sender)

    assert sent == [[str(number)] for number in range(1, 9)]


async def test_who_waits_for_a_customer_s_own_limit_holds_nobody_up(engine: Engine) -> None:
    sender, pair = RateLimit(1.0), RateLimit(6.0)
    await engine.answer("hola", "uno", "dos", who=LUIS)
    for number in range(3):
        await engine.answer("hola", str(number), who=customer(number))
    sent = []
    for _ in range(7):
        sent.append(await send_all(engine, sender=sender, pair=pair))
        engine.clock.advance(timedelta(seconds=1))

    assert sent == [["uno"], ["0"], ["1"], ["2"], [], [], ["dos"]]


async def test_buckets_that_are_full_again_are_forgotten(engine: Engine) -> None:
    pair = RateLimit(6.0)
    for number in range(20):
        who = Address("tel", f"+5730000000{number:02}")
        await engine.answer("hola", str(number), who=who)
        await send_all(engine, pair=pair)
        engine.clock.advance(timedelta(seconds=10))

    assert len(await engine.rows(bucket)) <= 2


@pytest.mark.parametrize(
    ("hours", "shut", "start"),
    [
        (0, False, Start.BEGUN),
        (23, False, Start.BEGUN),
        (24, False, Start.CLOSED),
        (0, True, Start.CLOSED),
    ],
)
async def test_a_window_is_known_before_anything_leaves(
    engine: Engine, hours: int, shut: bool, start: Start
) -> None:
    await engine.answer("hola", "uno")
    thread, now = (await engine.conversation()).id, engine.clock.now()
    await engine.store.write(
        lambda tx: tx.connection.execute(sa.update(conversation).values(last_in_at=now))
    )
    if shut:
        await engine.store.write(
            lambda tx: take_up(tx.connection, "main", thread, Refusal.WINDOW_CLOSED, now, now)
        )
    engine.clock.advance(timedelta(hours=hours))
    item = await engine.claim_item()

    assert await engine.store.start_attempt(item, Terms(window=timedelta(hours=24))) is start
    assert await engine.store.start_attempt(item) is (
        Start.NOT if start is Start.BEGUN else Start.BEGUN
    )


async def test_what_is_postponed_is_claimed_again_then_and_has_used_no_attempt(
    engine: Engine,
) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()

    await engine.store.postpone(item, engine.clock.now() + timedelta(seconds=30))

    engine.clock.advance(timedelta(seconds=29))
    assert await engine.idle("out")
    engine.clock.advance(timedelta(seconds=1))
    again = await engine.claim_item()
    assert (again.id, again.attempt, again.state) == (item.id, 0, ItemState.WAITING)


async def test_what_comes_late_of_a_lost_lease_postpones_nothing(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()
    await engine.another_node_takes(item)

    await engine.store.postpone(item, engine.clock.now() + timedelta(hours=1))

    assert (await engine.lane("out")).lease_owner is not None


@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    plan=st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 3000), st.sampled_from([False, False, False, True])
        ),
        max_size=16,
    )
)
async def test_any_traffic_keeps_both_limits_and_every_order(
    engine: Engine, plan: list[tuple[int, int, bool]]
) -> None:
    sender, pair = RateLimit(0.5, burst=2), RateLimit(2.0)
    start = engine.clock.now()
    sent: list[tuple[str, str, float]] = []
    written: dict[str, list[str]] = {}

    async def step() -> None:
        while items := await claimable(engine):
            for item in items:
                if await engine.store.start_attempt(item, terms(item, sender=sender, pair=pair)):
                    await engine.store.finish_attempt(item, AttemptResult(state=ItemState.DONE))
                    at = (engine.clock.now() - start).total_seconds()
                    sent.append((item.lane, json.loads(item.body)["text"], at))

    for who, pause, restarts in plan:
        text = engine.name("text")
        address = Address("tel", f"+57310000000{who}")
        await engine.answer("hola", text, who=address)
        written.setdefault(f"main/phone/{address}", []).append(text)
        await step()
        engine.clock.advance(timedelta(milliseconds=pause))
        if restarts:
            await engine.restart()
    for _ in range(2 * len(plan) + 4):
        await step()
        engine.clock.advance(timedelta(seconds=1))

    for name, texts in written.items():
        of_lane = [(text, at) for key, text, at in sent if key == name]
        assert [text for text, _ in of_lane] == texts
        assert all(b - a > 1.999 for (_, a), (_, b) in pairwise(of_lane))
    moments = [at for _, _, at in sent]
    for first in range(len(moments)):
        for last in range(first, len(moments)):
            assert last - first + 1 <= 2 + (moments[last] - moments[first]) / 0.5 + 1e-6


async def test_a_bucket_of_which_nothing_was_taken_leaves_no_row_for_ever(engine: Engine) -> None:
    pair = RateLimit(6.0)
    await engine.answer("hola", "uno", who=LUIS)
    late = await engine.claim_item()
    thread, now = (await engine.conversation()).id, engine.clock.now()
    await engine.store.write(
        lambda tx: take_up(tx.connection, "main", thread, Refusal.WINDOW_CLOSED, now, now)
    )
    closed = replace(terms(late, pair=pair), window=timedelta(0))
    assert await engine.store.start_attempt(late, closed) is Start.CLOSED
    await engine.store.finish_attempt(late, AttemptResult(state=ItemState.DEAD))

    engine.clock.advance(timedelta(seconds=1))
    await engine.answer("hola", "dos")
    assert await send_all(engine, pair=pair) == ["dos"]

    assert [row.key for row in await engine.rows(bucket)] == [f"main/phone/{ANA}"]
