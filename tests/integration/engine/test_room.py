"""A provider that answers late takes its own share of the room, and nobody waits for it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from router.domain.identity import Address
from router.domain.message import Author
from router.domain.outbox import ItemKind
from router.pipeline.attempts.room import PLACES, SHARE
from router.storage.store import JOB, OUT, OWN_LANE, LaneKind, NewItem, Tx
from router.storage.tables import lane, outbox
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

#: More than all of the room would hold.
MANY = PLACES + 8

TABLES = """
[actions.bell]
type = "note"

[ai.other]
type = "script"
"""

RULES = """
[[rule]]
id = "elsewhere"
when.text.words = "otra"
then.classify = "other"
"""


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(
        request.param, tmp_path, tables=TABLES, rules=RULES, debounce="0s"
    ) as pipeline:
        yield pipeline


@asynccontextmanager
async def delivering(pipeline: Pipeline, kind: LaneKind) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipeline.deliverer.run, kind)
        yield
        tasks.cancel_scope.cancel()


async def until(so: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not so():  # noqa: ASYNC110 - work is done elsewhere
            await anyio.sleep(0.005)


def message(number: int, channel: str, *, text: str = "hola") -> NewItem:
    who = f"tel:+5730000{number:05}"
    return NewItem(
        id=f"{channel}-{number}-{text}",
        kind=ItemKind.MESSAGE,
        lane=f"main/{channel}/{who}",
        author=Author.BOT,
        destination=channel,
        body=f'{{"text": "{text}", "recipient": "{who}"}}',
    )


def notice(number: int, action: str) -> NewItem:
    name = f"{action}-{number}"
    return NewItem(
        id=name,
        kind=ItemKind.ACTION,
        lane=OWN_LANE + name,
        author=Author.RULE,
        destination=action,
        body='{"params": {"title": "hola", "text": "hola"}}',
    )


async def put(pipeline: Pipeline, *items: NewItem) -> None:
    def write(tx: Tx) -> None:
        tx.send(items, tenant="main", conversation=None, epoch=0)

    await pipeline.engine.store.write(write)


def hold(pipeline: Pipeline, *names: str) -> anyio.Event:
    """Let the calls of these instances wait for an answer."""
    answer = anyio.Event()
    pipeline.provider.holding.update(dict.fromkeys(names, answer))
    return answer


async def test_a_slow_channel_keeps_nobody_waiting_and_loses_nothing(pipeline: Pipeline) -> None:
    answer = hold(pipeline, "phone")
    texts = ("uno", "dos")
    held = [message(number, "phone", text=text) for number in range(MANY) for text in texts]
    async with delivering(pipeline, OUT):
        await put(pipeline, *held)
        await until(lambda: pipeline.provider.held["phone"] == SHARE)

        await put(pipeline, message(1, "patient", text="otro canal"))
        await until(lambda: "otro canal" in pipeline.texts())

        assert pipeline.texts() == ["otro canal"]
        assert pipeline.provider.held["phone"] == SHARE
        answer.set()
        await until(lambda: len(pipeline.provider.sent) == len(held) + 1)

    said: dict[str, list[str]] = {}
    for _, recipient, text in pipeline.provider.sent[1:]:
        said.setdefault(recipient, []).append(text)
    assert len(said) == MANY
    assert all(tuple(each) == texts for each in said.values())


async def test_a_slow_action_keeps_nobody_waiting(pipeline: Pipeline) -> None:
    hold(pipeline, "pager")
    async with delivering(pipeline, JOB):
        await put(pipeline, *(notice(number, "pager") for number in range(MANY)))
        await until(lambda: pipeline.provider.held["pager"] == SHARE)

        await put(pipeline, notice(1, "bell"))
        await until(lambda: pipeline.provider.done[-1].action == "bell")

        assert pipeline.provider.held["pager"] == SHARE


async def test_a_slow_model_keeps_neither_another_nor_actions_waiting(pipeline: Pipeline) -> None:
    engine, asked = pipeline.engine, pipeline.provider.asked
    hold(pipeline, "assistant")
    async with delivering(pipeline, JOB):
        many = [Address("tel", f"+5730000{number:05}") for number in range(MANY)]
        await engine.accept(*(engine.said("¿Cuánto cuesta?", who=who) for who in many))
        await pipeline.think()
        await until(lambda: pipeline.provider.held["assistant"] == SHARE)

        await put(pipeline, notice(1, "bell"))
        await engine.accept(engine.said("otra"))
        await pipeline.think()
        await until(lambda: len(asked) == SHARE + 1 and bool(pipeline.provider.done))

        assert asked[-1].task == "classify"
        assert pipeline.provider.held["assistant"] == SHARE


async def test_what_waits_for_its_share_is_withdrawn_when_a_person_takes_over(
    pipeline: Pipeline,
) -> None:
    engine = pipeline.engine
    answer = hold(pipeline, "phone")
    async with delivering(pipeline, OUT):
        await put(pipeline, *(message(number, "phone") for number in range(SHARE)))
        await until(lambda: pipeline.provider.held["phone"] == SHARE)
        await engine.accept(engine.said("¿Cuál es el horario?"))
        await pipeline.think()
        (said,) = [it for it in await engine.rows(outbox) if it.conversation is not None]

        await engine.accept(engine.echoed("Hola, soy Eva"))
        answer.set()
        await until(lambda: len(pipeline.provider.sent) == SHARE)

    assert await engine.state(said.id) == "withdrawn"
    assert str(ANA) not in {recipient for _, recipient, _ in pipeline.provider.sent}


async def test_a_stop_begins_nothing_of_what_waits_for_its_share(pipeline: Pipeline) -> None:
    engine, deliverer = pipeline.engine, pipeline.deliverer
    answer = hold(pipeline, "phone")
    async with delivering(pipeline, OUT):
        await put(pipeline, *(message(number, "phone") for number in range(SHARE + 3)))
        await until(lambda: pipeline.provider.held["phone"] == SHARE)
        engine.store.pause()
        deliverer.pause()
        answer.set()
        with anyio.fail_after(60):
            await deliverer.idle()
    await engine.store.release_all()

    states = [row.state for row in await engine.rows(outbox)]
    assert (states.count("done"), states.count("waiting")) == (SHARE, 3)
    assert len(pipeline.provider.sent) == SHARE
    assert {row.lease_owner for row in await engine.rows(lane, kind=OUT)} == {None}
