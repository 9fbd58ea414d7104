"""One person is erased while the router works, and comes back only by writing again."""

import asyncio
import base64
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from router.domain.event import CallEnded, ContactOptedOut
from router.domain.host_event import Unparsed
from router.domain.identity import Address
from router.domain.outbox import ItemState
from router.errors import ActRefused, NotFound
from router.pipeline.people.acts import bound, perform
from router.pipeline.people.acts.contacts import erased
from router.pipeline.people.surroundings import Configured
from router.storage.contacts import learn_address
from router.storage.database.health import damage
from router.storage.privacy.erasures import _text_of
from router.storage.store import AttemptResult, NewEvent, Tx
from router.storage.tables import (
    alias,
    contact,
    conversation,
    erasure,
    inbox_event,
    lane,
    message,
    metadata,
    outbox,
)
from tests.integration.engine.harness import ANA, DATABASES, LUIS, Engine, opened
from tests.integration.engine.pipeline import Pipeline, running

BSUID = Address("bsuid", "CO.998877")


@pytest.fixture(params=list(DATABASES))
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


async def erase(pipeline: Pipeline, who: Address = ANA, **more: Any) -> dict[str, Any]:
    around = Configured(lambda: pipeline.configuration)
    given = {"id": str(who), "by": "eva"} | more
    result = await perform(pipeline.engine.store, "contacts.erase", given, around, patience=0.0)
    found: dict[str, Any] = result["erasure"]
    return found


async def say(pipeline: Pipeline, text: str = "horario", **more: Any) -> NewEvent:
    event = pipeline.engine.said(text, **more)
    await pipeline.engine.accept(event)
    await pipeline.settle()
    return event


async def dump(engine: Engine) -> str:
    """Give everything that is in any table, unpacked."""
    parts = []
    for table in metadata.sorted_tables:
        for row in await engine.rows(table):
            parts += [_text_of(table.name, each, row._asdict()) for each in row._fields]
    return "\n".join(parts)


async def test_a_person_who_wrote_is_gone_and_starts_afresh(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as pipeline:
        await say(pipeline, who=LUIS)
        await say(pipeline)
        await say(pipeline, "¿cuánto cuesta mi marca-xyz?")
        await pipeline.pass_time(3)
        await say(pipeline, "mi abogado")
        others = await dump(pipeline.engine)
        assert "marca-xyz" in others

        made = await erase(pipeline)

        assert made["counts"]["conversation"] == 1
        left = await dump(pipeline.engine)
        for text in ("marca-xyz", ANA.value[1:], "mi abogado"):
            assert text not in left
        assert LUIS.value in left
        assert await pipeline.engine.store.read(damage) == []
        assert {row.tenant for row in await pipeline.engine.rows(erasure)} == {"main"}

        texts = pipeline.texts()
        await say(pipeline)

        assert pipeline.texts() == [*texts, "De 8 a 18."]
        (person,) = await pipeline.engine.rows(contact, key=str(ANA))
        assert len(await pipeline.engine.rows(conversation, contact=person.id)) == 1
        with pytest.raises(NotFound, match="there is no data of"):
            await erase(pipeline, Address("tel", "+573000000000"))


async def test_what_a_provider_sends_once_more_is_no_news(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as pipeline:
        engine = pipeline.engine
        first = await say(pipeline, id="wamid.1")
        call = engine.event(CallEnded(id="conv-1", party=ANA, summary="quería"), channel="calls")
        await engine.accept(call)
        await pipeline.settle()
        (item,) = await engine.rows(outbox, kind="message", lane=f"main/phone/{ANA}", seq=1)
        report = engine.reported(item.provider_ref, "delivered")
        echo = engine.echoed("De 8 a 18.", id=item.provider_ref)
        assert [it.new for it in await engine.accept(first, call)] == [False, False]
        texts = pipeline.texts()

        await erase(pipeline)
        repeats = await engine.accept(first, call, report, echo)
        await pipeline.settle()

        assert [it.new for it in repeats] == [False] * 4
        assert pipeline.texts() == texts
        for table in (inbox_event, lane, contact, conversation, message, outbox):
            assert await engine.rows(table) == []
        # The same id of somebody else's channel is somebody else's.
        other = engine.said(id="wamid.1", tenant="clinica")
        assert [it.new for it in await engine.accept(other)] == [True]


async def test_a_repeat_through_an_act_is_no_news_either(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as pipeline:
        around = Configured(lambda: pipeline.configuration)
        given = {"phone_number": ANA.value, "conversation_id": "conv_1", "call_summary": "quería"}
        store = pipeline.engine.store
        await perform(store, "calls.report", given, around)
        await pipeline.settle()
        await erase(pipeline)

        again = await perform(store, "calls.report", given, around)
        await pipeline.settle()

        assert again == {"conversation_id": "conv_1", "event": "main/erased#0"}
        assert await pipeline.engine.rows(contact) == []


async def test_a_model_that_answers_late_answers_nobody(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as pipeline:
        pipeline.provider.pause = anyio.Event()
        await pipeline.engine.accept(pipeline.engine.said("¿cuánto cuesta?"))
        await pipeline.think()
        pipeline.engine.clock.advance(timedelta(seconds=3))
        await pipeline.engine.store.fire_timers()
        await pipeline.think()
        item = await pipeline.engine.claim_item("job")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.do, item)
            with anyio.fail_after(30):
                while not pipeline.provider.asked:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            await erase(pipeline)
            pipeline.provider.pause.set()
        await pipeline.pass_time(10)

        assert pipeline.texts() == []
        for table in (inbox_event, lane, contact, conversation, message, outbox):
            assert await pipeline.engine.rows(table) == []


async def test_what_is_leaving_is_waited_for_and_what_waits_never_leaves(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path) as pipeline:
        engine = pipeline.engine
        await engine.answer("hola", "uno", "dos")
        thread = (await engine.rows(conversation))[0].id
        await engine.person_writes("tres", thread)
        item = await engine.claim_item()
        assert await engine.store.start_attempt(item)

        with pytest.raises(ActRefused, match="a message to them is just leaving"):
            await erase(pipeline)

        assert await engine.states() == {"uno": "started", "dos": "withdrawn", "tres": "withdrawn"}
        (row,) = await engine.rows(conversation)
        assert (row.owner, row.epoch) == ("eva", 1)

        done = AttemptResult(state=ItemState.DONE, provider_ref="ref")
        await engine.store.finish_attempt(item, done)
        await pipeline.settle()
        made = await erase(pipeline)

        assert made["counts"]["outbox"] == 3
        assert pipeline.texts() == []
        assert await engine.rows(lane) == []


async def test_an_event_in_the_hands_of_a_worker_is_waited_for(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as pipeline:
        engine = pipeline.engine
        await say(pipeline)
        await engine.accept(engine.said("otra"), engine.said("y otra"))
        work = await engine.claim_one()

        with pytest.raises(ActRefused, match="something that they wrote is being worked"):
            await erase(pipeline)

        texts = pipeline.texts()
        await pipeline.work(work)
        await pipeline.settle()
        assert pipeline.texts() == texts  # whoever erases has the conversation
        await erase(pipeline)
        assert await engine.rows(inbox_event) == []


async def test_it_is_waited_for_what_ends_in_time(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as pipeline:
        engine = pipeline.engine
        await engine.answer("hola", "uno")
        item = await engine.claim_item()
        assert await engine.store.start_attempt(item)
        around = Configured(lambda: pipeline.configuration)
        given = {"id": str(ANA), "by": "eva"}

        async with anyio.create_task_group() as tasks:

            async def finish() -> None:
                with anyio.fail_after(30):
                    while (await engine.rows(conversation))[0].owner != "eva":  # noqa: ASYNC110
                        await anyio.sleep(0.01)
                await engine.store.finish_attempt(item, AttemptResult(state=ItemState.DONE))

            tasks.start_soon(finish)
            with anyio.fail_after(30):
                result = await perform(engine.store, "contacts.erase", given, around)

        assert result["erasure"]["counts"]["message"] == 1
        assert await engine.rows(message) == []


async def test_whoever_opted_out_is_still_not_written_to(name: str, tmp_path: Path) -> None:
    rules = """
[[rule]]
id = "call"
on = "call.ended"
then.reply = { text = "Gracias por su llamada." }
"""
    async with running(name, tmp_path, rules=rules) as pipeline:
        engine = pipeline.engine
        await say(pipeline)
        await engine.accept(engine.event(ContactOptedOut(id="1", contact=ANA)))
        await pipeline.settle()
        texts = pipeline.texts()

        made = await erase(pipeline)
        assert made["opted_out"]
        (person,) = await engine.rows(contact)
        assert (person.key, person.name, person.opted_out) == (str(ANA), None, True)

        call = CallEnded(id="conv-9", party=ANA, summary="campaña")
        await engine.accept(engine.event(call, channel="calls"))
        await pipeline.settle()
        assert pipeline.texts() == texts

        assert not (await erase(pipeline, forget_opt_out=True))["opted_out"]
        assert await engine.rows(contact) == []


async def test_an_opt_out_holds_for_every_address_after_an_erasure(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path) as pipeline:
        engine = pipeline.engine
        await say(pipeline, who=BSUID)

        def learn(tx: Tx) -> None:
            learn_address(tx, "main", str(ANA), str(BSUID))

        await engine.store.write(learn)
        await engine.accept(engine.event(ContactOptedOut(id="1", contact=BSUID)))
        await pipeline.settle()

        assert (await erase(pipeline))["opted_out"]
        assert engine.store.aliases == {("main", str(ANA)): str(BSUID)}
        around = Configured(lambda: pipeline.configuration)

        async def call(id: str) -> None:
            given = {"phone_number": ANA.value, "conversation_id": id, "call_summary": "campaña"}
            await perform(engine.store, "calls.report", given, around)
            await pipeline.settle()

        await call("conv-9")

        (person,) = await engine.rows(contact)
        assert (person.key, person.opted_out) == (str(BSUID), True)

        await erase(pipeline, forget_opt_out=True)
        assert engine.store.aliases == {}
        for table in (contact, alias):
            assert await engine.rows(table) == []
        await call("conv-10")
        (person,) = await engine.rows(contact)
        assert (person.key, person.opted_out) == (str(ANA), False)


async def test_a_request_that_nobody_read_is_in_the_way_until_somebody_says_so(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path) as pipeline:
        engine = pipeline.engine
        await say(pipeline)
        body = base64.b64encode(b"De +573001234567 y de +573009876543").decode()
        raw = Unparsed(channel="phone", endpoint="", body=body, headers={}, error="no")
        place: dict[str, Any] = {"lane": "main/raw:phone", "tenant": "main"}
        place |= {"source": "main/phone", "external_id": "raw:1"}
        await engine.accept(NewEvent(**place, event=raw, received_at=engine.clock.now()))
        (stored,) = await engine.rows(inbox_event, type="unparsed")

        with pytest.raises(ActRefused, match="requests that could not be read") as refused:
            await erase(pipeline)

        assert f"{stored.lane}#{stored.seq}" in str(refused.value)
        (row,) = await engine.rows(conversation)
        assert row.owner == "bot"  # nothing was changed

        made = await erase(pipeline, with_unread=True)

        assert made["counts"]["inbox_event"] == 2
        assert await engine.rows(inbox_event) == []


async def test_a_caller_who_is_cancelled_leaves_no_learnt_address_behind(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path) as pipeline:
        engine = pipeline.engine
        await say(pipeline)

        def learn(tx: Tx) -> None:
            learn_address(tx, "main", str(BSUID), str(ANA))

        await engine.store.write(learn)
        around = Configured(lambda: pipeline.configuration)
        act = bound("contacts.erase", {"id": str(ANA), "by": "eva"}, around)
        loop = asyncio.get_running_loop()

        def cancelling(tx: Tx) -> dict[str, Any]:
            loop.call_soon_threadsafe(task.cancel)
            return act(tx)

        task = asyncio.create_task(erased(engine.store, cancelling, "main", around, patience=0.0))
        with pytest.raises(asyncio.CancelledError):
            await task

        with anyio.fail_after(30):
            while await engine.rows(contact) or engine.store.aliases:  # noqa: ASYNC110
                await anyio.sleep(0.01)


async def test_while_something_is_under_way_the_writer_is_left_to_others(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path) as pipeline:
        engine = pipeline.engine
        await engine.answer("hola", "uno")
        item = await engine.claim_item()
        assert await engine.store.start_attempt(item)
        around = Configured(lambda: pipeline.configuration)
        act = bound("contacts.erase", {"id": str(ANA), "by": "eva"}, around)
        tries = []

        def counted(tx: Tx) -> dict[str, Any]:
            tries.append(act(tx))
            return tries[-1]

        with pytest.raises(ActRefused, match="just leaving"):
            await erased(engine.store, counted, "main", around, patience=1.0)

        assert len(tries) == 1


async def test_a_learnt_address_stands_for_nobody_any_more(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as pipeline:
        engine = pipeline.engine
        await say(pipeline)

        def learn(tx: Tx) -> None:
            learn_address(tx, "main", str(BSUID), str(ANA))

        await engine.store.write(learn)
        assert engine.store.aliases == {("main", str(BSUID)): str(ANA)}

        await erase(pipeline, BSUID)

        assert engine.store.aliases == {}
        assert await dump(engine) != ""
        assert ANA.value[1:] not in await dump(engine)
        assert "998877" not in await dump(engine)


@pytest.mark.parametrize("name", ["postgres"], indirect=True)
async def test_other_nodes_forget_a_learnt_address_too(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as pipeline:
        engine = pipeline.engine
        other = await engine.database.open(engine.clock)
        try:
            await say(pipeline)

            def learn(tx: Tx) -> None:
                learn_address(tx, "main", str(BSUID), str(ANA))

            await engine.store.write(learn)
            with anyio.fail_after(60):
                while not other.aliases:  # noqa: ASYNC110
                    await anyio.sleep(0.01)

            await erase(pipeline)

            with anyio.fail_after(60):
                while other.aliases:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
        finally:
            await other.close()


@pytest.mark.parametrize("when", [0, 1, 2, 3])
async def test_webhooks_that_come_while_a_person_is_erased_are_stored_once(
    name: str, tmp_path: Path, when: int
) -> None:
    """Each is erased, or it is the beginning of a new thread; none is both, none comes twice."""
    async with opened(name, tmp_path) as engine:
        events = [engine.said(f"m{n}", id=f"m{n}") for n in range(40)]
        await engine.accept(*events[:10])
        around: Any = None
        accepted: list[Any] = []

        async def keep_coming(some: Sequence[NewEvent]) -> None:
            for event in some:
                accepted.extend(await engine.accept(event))

        async def erasing() -> None:
            for _ in range(when):
                await anyio.sleep(0.005)
            await engine.store.release_all()
            given = {"id": str(ANA), "by": "eva"}
            while True:
                try:
                    await perform(engine.store, "contacts.erase", given, around, patience=0.0)
                except ActRefused:
                    await engine.store.release_all()
                else:
                    return

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keep_coming, events[10:25])
                tasks.start_soon(keep_coming, events[25:])
                tasks.start_soon(erasing)

        assert all(it.new for it in accepted)
        left = {row.external_id for row in await engine.rows(inbox_event)}
        again = await engine.accept(*events)
        assert not any(it.new for it in again)
        assert {row.external_id for row in await engine.rows(inbox_event)} == left
        stored = [it.ref.seq > 0 for it in again]
        assert sum(stored) == len(left)
        assert not any(stored[:10])
        assert await engine.store.read(damage) == []
        assert json.dumps([row.digests for row in await engine.rows(erasure)]).count("[[") == 1
