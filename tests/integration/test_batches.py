"""Batches of calls on a real database: begun once, listed with what became of them, ended."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from router.domain.event import CallEnded, InboundEvent
from router.domain.host_event import Unparsed
from router.errors import ActRefused, NotFound
from router.pipeline.people.acts import perform
from router.plugin.channel import Capabilities
from router.storage.batches import BatchView, list_batches
from router.storage.calls import keep_call
from router.storage.database.health import damage
from router.storage.store import JOB, Tx
from router.storage.tables import conversation, lane, outbox
from tests.integration.engine.harness import ANA, DATABASES, Engine, opened, ref


class DialParams(BaseModel):
    """What an action takes that makes calls."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", pattern="^[^!]*$")
    recipients: list[dict[str, Any]] = []
    at: datetime | None = None
    cancel: str | None = Field(None, pattern="^[a-z0-9_]+$")


class Dialling:
    """A person at work, where some actions make calls."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.names = ["dial"]

    def capabilities(self, tenant: str, channel: str) -> Capabilities | None:
        return None

    def parse(self, tenant: str, event: Unparsed, received_at: datetime) -> Sequence[InboundEvent]:
        return ()

    def dialers(self) -> Mapping[str, type[BaseModel]]:
        return dict.fromkeys(self.names, DialParams)

    def files_released(self) -> None:
        pass

    async def cancel(self, id: str, **given: Any) -> dict[str, Any]:
        values = {"id": id, "by": "ana", **given}
        return await perform(self.engine.store, "calls.cancel", values, self)

    async def refused(self, id: str, **given: Any) -> str:
        with pytest.raises(ActRefused) as caught:
            await self.cancel(id, **given)
        return str(caught.value)


@pytest.fixture(params=list(DATABASES))
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    async with opened(request.param, tmp_path) as engine:
        yield engine
        assert await engine.store.read(damage) == []


@pytest.fixture
def desk(engine: Engine) -> Dialling:
    return Dialling(engine)


PEOPLE = [
    {"phone_number": "+57 300 123 4567", "variables": {"client_name": "Ana"}},
    {"phone_number": "573009876543"},
]


async def submit(engine: Engine, desk: Dialling, **given: Any) -> dict[str, Any]:
    """Submit a batch, and let no two have the same moment."""
    values = {"by": "ana", "recipients": PEOPLE, **given}
    done = await perform(engine.store, "calls.submit", values, desk)
    engine.clock.advance(timedelta(seconds=1))
    return done


async def batches(engine: Engine, tenant: str = "main", **given: Any) -> list[BatchView]:
    return await engine.store.read(lambda it: list_batches(it, tenant, ["dial"], **given))


async def taken(engine: Engine, item: str, provider_ref: str) -> None:
    """Let the provider have taken an item."""
    values = {"state": "done", "provider_ref": provider_ref}
    statement = sa.update(outbox).where(outbox.c.id == item).values(**values)
    await engine.store.write(lambda tx: tx.connection.execute(statement).rowcount)


async def called(engine: Engine, batch: str, *statuses: str) -> None:
    """Let calls of a batch be over."""
    await engine.answer()
    (thread,) = await engine.rows(conversation)

    def keep(tx: Tx) -> None:
        for number, status in enumerate(statuses):
            keep_call(
                tx.connection,
                "main",
                CallEnded(id=f"conv_{number}", party=ANA, status=status, batch=batch),
                conversation_id=thread.id,
                channel="calls",
                ref=ref(1),
                received_at=tx.now,
            )

    await engine.store.write(keep)


async def test_batches_are_listed_with_what_became_of_them(engine: Engine, desk: Dialling) -> None:
    first = await submit(engine, desk, name="Noviembre", at="2026-12-01T09:00:00-05:00")
    second = await submit(engine, desk, through="dial")
    await submit(engine, desk, tenant="acme")
    await perform(
        engine.store,
        "actions.run",
        {"action": "dial", "params": {"recipients": "odd"}, "by": "ana"},
        desk,
    )
    await taken(engine, first["item"], "btcal_1")
    await called(engine, "btcal_1", "done", "done", "failed")

    newest, oldest = await batches(engine)

    assert first["batch"]["recipients"] == 2
    assert (newest.id, newest.state, newest.batch) == (second["item"], "waiting", None)
    assert (oldest.id, oldest.batch, oldest.action) == (first["item"], "btcal_1", "dial")
    assert (oldest.name, oldest.recipients) == ("Noviembre", 2)
    assert (oldest.done, oldest.failed, newest.done) == (2, 1, 0)
    assert oldest.at == datetime.fromisoformat("2026-12-01T09:00:00-05:00")
    (page,) = await batches(engine, before=(newest.created_at, newest.id), limit=1)
    assert page == oldest
    (row,) = [it for it in await engine.rows(outbox) if it.id == first["item"]]
    assert json.loads(row.body)["params"]["recipients"] == [
        {"phone_number": "+573001234567", "variables": {"client_name": "Ana"}},
        {"phone_number": "+573009876543", "variables": {}},
    ]


async def test_what_no_database_takes_is_written_as_its_escape(
    engine: Engine, desk: Dialling
) -> None:
    people = [{"phone_number": "+573001234567", "variables": {"a\0": "b\0", "c": "\ud800"}}]

    await submit(engine, desk, name="a\0b", recipients=people)

    (batch,) = await batches(engine)
    assert (batch.name, batch.recipients) == (r"a\x00b", 1)
    (row,) = await engine.rows(outbox)
    (told,) = json.loads(row.body)["params"]["recipients"]
    assert told["variables"] == {r"a\x00": r"b\x00", "c": r"\ud800"}


async def test_the_same_batch_within_a_day_is_a_repeat(engine: Engine, desk: Dialling) -> None:
    first = await submit(engine, desk)

    with pytest.raises(ActRefused, match=f'as "{first["item"]}"'):
        await submit(engine, desk, recipients=list(reversed(PEOPLE)))

    await submit(engine, desk, tenant="acme")
    await submit(engine, desk, again=True)
    engine.clock.advance(timedelta(hours=24))
    await submit(engine, desk)
    assert len(await batches(engine)) == 3


@pytest.mark.parametrize(
    ("dialling", "given", "why"),
    [
        ([], {}, "say which action makes the calls: none is configured"),
        (["a", "b"], {}, "say which action makes the calls: a, b"),
        (["a"], {"through": "b"}, 'there is no action "b" that makes calls: a'),
        (["a"], {"name": "!"}, "name: String should match pattern '^[^!]*$'"),
        (["a"], {"recipients": []}, "at least 1 item"),
        (["a"], {"recipients": [PEOPLE[0]] * 2}, "+573001234567 is there twice"),
        (["a"], {"at": "2026-12-01T09:00:00"}, "timezone"),
    ],
)
async def test_a_batch_that_cannot_be_called_is_refused(
    engine: Engine, desk: Dialling, dialling: list[str], given: Mapping[str, Any], why: str
) -> None:
    desk.names = dialling

    with pytest.raises(ActRefused) as caught:
        await submit(engine, desk, **given)

    assert why in str(caught.value)
    assert await engine.rows(outbox) == []


async def test_a_batch_that_has_not_left_is_withdrawn(engine: Engine, desk: Dialling) -> None:
    item = (await submit(engine, desk))["item"]

    done = await desk.cancel(item)

    assert (done["item"], done["batch"]["state"]) == (None, "withdrawn")
    assert await desk.refused(item) == (f'the batch "{item}" was withdrawn before it left')


async def test_a_batch_that_is_claimed_already_does_not_leave_once_it_is_withdrawn(
    engine: Engine, desk: Dialling
) -> None:
    item = (await submit(engine, desk))["item"]
    claimed = await engine.claim_item(JOB)

    await desk.cancel(item)

    assert not await engine.store.start_attempt(claimed)
    assert [row.state for row in await engine.rows(outbox)] == ["withdrawn"]
    assert await engine.rows(lane) == []


async def test_a_batch_that_is_leaving_is_not_withdrawn(engine: Engine, desk: Dialling) -> None:
    item = (await submit(engine, desk))["item"]
    claimed = await engine.claim_item(JOB)
    assert await engine.store.start_attempt(claimed)

    assert await desk.refused(item) == (
        f'the batch "{item}" is leaving just now. Try again in a moment'
    )


async def test_a_batch_that_the_provider_has_is_ended_there_once(
    engine: Engine, desk: Dialling
) -> None:
    item = (await submit(engine, desk))["item"]
    await taken(engine, item, "btcal_1")

    first = await desk.cancel(item)
    again = await desk.cancel("btcal_1")

    assert first == again
    assert (first["batch"]["cancel"], first["batch"]["cancel_state"]) == (first["item"], "waiting")
    (ending,) = [it for it in await engine.rows(outbox) if it.id == first["item"]]
    assert json.loads(ending.body)["params"] == {"cancel": "btcal_1"}
    with pytest.raises(NotFound):
        await desk.cancel("btcal_1", tenant="acme")


async def test_a_batch_of_elsewhere_is_ended_by_whoever_is_named(
    engine: Engine, desk: Dialling
) -> None:
    done = await desk.cancel("btcal_9", through="dial")

    assert done["batch"] is None
    assert (await engine.rows(outbox))[0].id == done["item"]
    assert await desk.refused("btcal!", through="dial") == (
        "cancel: String should match pattern '^[a-z0-9_]+$'"
    )
