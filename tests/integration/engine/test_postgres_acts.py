"""Two who decide about one thing at the same instant on PostgreSQL: one is done, one is refused.

Acts are ordinary transactions there: each may have looked before the other wrote.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.util import await_only

from router.domain.event import MessageReceived
from router.domain.outbox import ItemState
from router.errors import ActRefused
from router.pipeline.people.acts import bound
from router.storage.deliveries import apply_report
from router.storage.store import JOB, OUT, Commit, Tx
from router.storage.tables import inbox_event, outbox
from tests.integration.acts.desk import Channels, unparsed
from tests.integration.engine.harness import ANA, Engine
from tests.integration.engine.nodes import LONG


class Dial(BaseModel):
    """What an action takes that makes calls."""

    name: str = ""
    recipients: list[dict[str, Any]] = []
    cancel: str | None = None


class Dialling(Channels):
    """Surroundings in which an action makes calls."""

    def dialers(self) -> Mapping[str, type[BaseModel]]:
        return {"dial": Dial}


class Slow:
    """An act that stops at a statement until it is told to go on: a slow round trip.

    :param at: how the statement begins, behind whether it stops ``before`` or ``after`` it.
    """

    def __init__(self, one: Engine, at: str, name: str, /, **given: Any) -> None:
        self.when, self.at = at.split(" ", 1)
        self.reached, self.going_on = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(act(one, name, slow=self, **given))

    async def __aenter__(self) -> None:
        with anyio.fail_after(LONG):
            await self.reached.wait()

    async def __aexit__(self, *_: object) -> None:
        self.going_on.set()
        await asyncio.wait([self.task], timeout=LONG)

    @property
    def refused(self) -> str:
        """Give the words in which it was refused."""
        error = self.task.exception()
        assert isinstance(error, ActRefused)
        return str(error)

    def watch(self, tx: Tx) -> None:
        @sa.event.listens_for(tx.connection, f"{self.when}_cursor_execute")
        def stop(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith(self.at) and not self.reached.is_set():
                self.reached.set()
                await_only(self.going_on.wait())


async def act(
    one: Engine,
    name: str,
    *,
    slow: Slow | None = None,
    channels: Channels | None = None,
    **given: Any,
) -> dict[str, Any]:
    do = bound(name, {"by": "ana", **given}, channels or Dialling())

    def watched(tx: Tx) -> dict[str, Any]:
        if slow is not None:
            slow.watch(tx)
        return do(tx)

    return await one.store.write(watched)


async def ended(one: Engine, state: ItemState) -> str:
    """Let an answer's attempt end badly; give the item's id."""
    await one.answer("hola", "uno")
    item = await one.claim_item()
    await one.attempt(item, state)
    return item.id


async def report(one: Engine, item: str) -> None:
    """Let the provider say that a customer has it."""
    event: Any = one.reported("ref-9", "delivered", item=item).event
    await one.store.write(lambda tx: apply_report(tx.connection, "main", "phone", event, tx.now))


@pytest.mark.parametrize("who", ["a person", "the provider"])
async def test_what_somebody_knows_was_sent_is_not_resent_by_who_looked_before(
    one: Engine, who: str
) -> None:
    name = await ended(one, ItemState.UNKNOWN)
    late = Slow(one, "before UPDATE outbox", "outbox.resolve", id=name, verdict="resend", by="luis")

    async with late:
        if who == "a person":
            await act(one, "outbox.resolve", id=name, verdict="sent")
        else:
            await report(one, name)

    assert late.refused == f'outbox item "{name}" has changed just now: it is done'
    assert await one.state(name) == "done"
    assert (await one.line(name)).status == ("sent" if who == "a person" else "delivered")
    assert await one.idle(OUT)


async def test_what_is_resent_is_not_called_sent_by_who_looked_before(one: Engine) -> None:
    name = await ended(one, ItemState.UNKNOWN)
    late = Slow(one, "before UPDATE outbox", "outbox.resolve", id=name, verdict="sent")

    async with late:
        await act(one, "outbox.resolve", id=name, verdict="resend", by="luis")

    assert late.refused == f'outbox item "{name}" has changed just now: it is waiting'
    assert (await one.line(name)).status == "queued"
    assert await one.send(await one.claim_item())


async def test_what_is_unknown_a_second_time_is_not_settled_by_who_knew_of_the_first(
    one: Engine,
) -> None:
    name = await ended(one, ItemState.UNKNOWN)
    late = Slow(one, "before UPDATE outbox", "outbox.resolve", id=name, verdict="resend", by="luis")

    async with late:
        await act(one, "outbox.resolve", id=name, verdict="resend")
        await one.attempt(await one.claim_item(), ItemState.UNKNOWN)

    assert late.refused == f'outbox item "{name}" has changed just now: it is unknown'
    assert await one.state(name) == "unknown"
    assert await one.idle(OUT)


@pytest.mark.parametrize("who", ["a person", "the provider"])
@pytest.mark.parametrize(
    "name, more",
    [("outbox.retry", {}), ("outbox.resolve", {"verdict": "resend"})],
    ids=["retry", "resolve"],
)
async def test_a_dead_letter_that_was_sent_after_all_is_not_retried_by_who_looked_before(
    one: Engine, name: str, more: dict[str, str], who: str
) -> None:
    item = await ended(one, ItemState.DEAD)
    late = Slow(one, "before UPDATE lane", name, id=item, by="luis", **more)

    async with late:
        if who == "a person":
            await act(one, "outbox.retry", id=item)
            assert await one.send(await one.claim_item())
        else:
            await report(one, item)

    assert late.refused == f'outbox item "{item}" has changed just now: it is done'
    assert await one.state(item) == "done"
    assert await one.idle(OUT)
    (row,) = await one.rows(outbox)
    stands = await one.lane(OUT)
    assert stands.last_seq == stands.done_seq == row.seq


async def test_a_dead_event_that_two_retry_is_put_in_once(one: Engine) -> None:
    await one.accept(one.said("hola", id="m1"))
    work = await one.claim_one()
    await one.complete(one.commit(work, outcome="dead", dead_error="broken"))
    late = Slow(one, "before SELECT inbox_event.seq", "events.retry", id=str(work.ref), by="luis")

    async with late:
        done = await act(one, "events.retry", id=str(work.ref))

    assert late.refused == f'event "{work.ref}" was tried again as {done["as"][0]}'
    names = [row.external_id for row in await one.rows(inbox_event)]
    assert names == ["message:m1", "message:m1~retry1"]


async def test_an_unparsed_request_is_not_retried_while_its_turn_ends(one: Engine) -> None:
    name, channels = await unparsed(one, worked=False), Channels()
    channels.events = [MessageReceived("m1", ANA, "hola")]
    work = await one.claim_one()
    late = Slow(one, "before UPDATE inbox_event", "events.retry", id=name, channels=channels)

    async with late:
        await one.complete(Commit(work=work, outcome="unparsed"))

    assert late.refused == f'event "{name}" has changed just now: it ended: unparsed'
    assert await one.outcomes() == ["unparsed"]
    again = await act(one, "events.retry", id=name, channels=channels)
    assert len(again["as"]) == 1


async def test_a_batch_that_two_cancel_is_ended_once(one: Engine) -> None:
    people = [{"phone_number": "+573001234567"}]
    batch = await act(one, "calls.submit", recipients=people)
    assert await one.send(await one.claim_item(JOB), "btcal_1")
    looked = "after SELECT outbox.id, outbox.state, outbox.destination"
    late = Slow(one, looked, "calls.cancel", id="btcal_1", by="luis")

    async with late:
        done = await act(one, "calls.cancel", id="btcal_1")

    assert (await late.task)["item"] == done["item"]
    items = {row.id for row in await one.rows(outbox)}
    assert items == {batch["item"], done["item"]}
