"""What a provider calls a message by is longer than an index takes: it is known by its digest."""

import hashlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router import plugin
from router.domain.event import DeliveryReported, InboundEvent, MessageEchoed
from router.domain.host_event import Unparsed
from router.pipeline.people.acts import perform
from router.storage.tables import early_report, inbox_event, message, outbox
from tests.integration.acts.desk import Channels, unparsed
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

#: Nothing that PostgreSQL could pack.
LONG = secrets.token_hex(5000)


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path) as pipeline:
        pipeline.can("phone", find_sent=True, complete_listing=True)
        pipeline.provider.ref = LONG
        yield pipeline


async def send(pipeline: Pipeline) -> str:
    """Let an answer leave; give what the provider calls it."""
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()
    ((item, _, _),) = pipeline.provider.sent
    return LONG + item


async def find(pipeline: Pipeline, event: InboundEvent) -> None:
    """Let the channel find an event, and work it."""
    live = pipeline.configuration.instances.channels["main", "phone"]
    now = pipeline.engine.clock.now()
    await pipeline.engine.accept(*pipeline.intake.keyed(live, "main/phone", [event], now))
    await pipeline.settle()


def digest(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


async def test_a_message_with_a_long_id_is_sent_and_its_reports_find_it(pipeline: Pipeline) -> None:
    name = await send(pipeline)
    (row,) = await pipeline.engine.rows(outbox)
    assert (row.state, row.provider_ref) == ("done", digest(name))

    await find(pipeline, DeliveryReported(name, ANA, "delivered"))

    line = await pipeline.engine.line(row.id)
    assert (line.status, line.provider_id) == ("delivered", digest(name))
    assert None not in await pipeline.engine.outcomes()


async def test_a_report_of_a_long_id_that_nobody_knows_is_kept(pipeline: Pipeline) -> None:
    await find(pipeline, DeliveryReported(LONG, ANA, "read"))

    assert await pipeline.engine.outcomes() == ["recorded"]
    (kept,) = await pipeline.engine.rows(early_report)
    assert (kept.provider_id, kept.status) == (digest(LONG), "read")


@pytest.mark.parametrize("named", ["id", "provider_id"])
async def test_the_echo_of_a_message_with_a_long_id_is_our_own(
    pipeline: Pipeline, named: str
) -> None:
    name = await send(pipeline)
    echo = MessageEchoed(name, ANA, "otra cosa")
    if named == "provider_id":
        echo = MessageEchoed("echo-1", ANA, "otra cosa", provider_id=name)

    await find(pipeline, echo)

    assert (await pipeline.engine.conversation()).owner == "bot"


async def test_what_a_person_wrote_under_a_long_id_is_in_the_thread(pipeline: Pipeline) -> None:
    await find(pipeline, MessageEchoed(LONG, ANA, "yo me encargo"))

    (line,) = await pipeline.engine.rows(message)
    assert (line.text, line.provider_id) == ("yo me encargo", digest(LONG))


async def test_a_message_that_is_found_under_a_long_id_was_sent(pipeline: Pipeline) -> None:
    pipeline.provider.script = [plugin.OutcomeUnknown("it timed out")]
    pipeline.provider.listing = [[LONG]]
    await send(pipeline)

    await pipeline.pass_time(60)

    (row,) = await pipeline.engine.rows(outbox, kind="message")
    assert (row.state, row.provider_ref) == ("done", digest(LONG))


async def test_what_an_unparsed_request_held_is_known_under_the_same_digest(
    pipeline: Pipeline,
) -> None:
    name = await unparsed(pipeline.engine)
    channels = Channels()
    channels.events = [DeliveryReported(LONG, ANA, "read")]

    given = {"id": name, "by": "ana"}
    done = await perform(pipeline.engine.store, "events.retry", given, channels)
    await find(pipeline, DeliveryReported(LONG, ANA, "read"))

    assert len(done["as"]) == 1
    types = [row.type for row in await pipeline.engine.rows(inbox_event)]
    assert sorted(types) == ["delivery", Unparsed.kind]
