"""Attempts that a crash interrupted: in doubt for ever, and not made for ever."""

from functools import partial
from pathlib import Path

import pytest

from router.errors import Unavailable
from router.pipeline.attempts.repeats import INTERRUPTIONS
from router.storage.outbox import Verdict, resolve_item
from router.storage.store import Tx
from router.storage.tables import outbox, ticket
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import Pipeline, running


def repeatable(pipeline: Pipeline, kind: str) -> tuple[str, str]:
    """Let a kind of item be repeated without harm; give who does it, and what asks for it."""
    if kind == "message":
        pipeline.can("phone", idempotent_send=True)
        return "phone", "horario"
    pipeline.configuration.instances.actions["pager"].plugin.idempotent = True
    return "pager", "abogado"


def resend(name: str, tx: Tx) -> None:
    resolve_item(tx.connection, "main", name, verdict=Verdict.RESEND, by="eva", now=tx.now)


async def deaths(pipeline: Pipeline) -> int:
    """Start again whenever the process ends; give how often it did."""
    died = 0
    for _ in range(2 * INTERRUPTIONS):
        try:
            await pipeline.pass_time(2)
        except SystemExit:
            died += 1
            await pipeline.crash()
    return died


@pytest.mark.parametrize("name", list(DATABASES))
async def test_what_may_have_left_before_a_crash_is_not_called_withdrawn(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path) as pipeline:
        engine = pipeline.engine
        pipeline.can("phone", idempotent_send=True)
        await engine.accept(engine.said("¿Cuál es el horario?"))
        await pipeline.think()
        (item,) = await engine.store.claim_items("out", 10)
        await engine.store.start_attempt(item)
        pipeline.provider.take(item)
        await pipeline.crash()
        pipeline.provider.script = [Unavailable("not now", retry_after=5.0)]
        await pipeline.settle()

        await engine.accept(engine.echoed("Le atiende Marta"))
        await pipeline.pass_time(10)

        (row,) = [row for row in await engine.rows(outbox) if row.kind == "message"]
        assert row.state == "unknown"
        assert len(pipeline.texts()) == 1


@pytest.mark.parametrize("kind", ["message", "action"])
@pytest.mark.parametrize("name", list(DATABASES))
async def test_what_ends_the_process_each_time_is_left_to_a_person(
    name: str, kind: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path) as pipeline:
        instance, text = repeatable(pipeline, kind)
        pipeline.provider.scripts[instance] = [SystemExit(0)] * 100
        await pipeline.engine.accept(pipeline.engine.said(text))

        assert await deaths(pipeline) == INTERRUPTIONS

        (row,) = await pipeline.engine.rows(outbox, kind=kind)
        assert (row.state, row.attempt) == ("unknown", INTERRUPTIONS)
        assert row.error == "the router stopped between starting and hearing back"
        assert len(await pipeline.engine.rows(ticket)) == 1

        # Whoever wants it tried again wants more than one try.
        pipeline.provider.scripts[instance] = [SystemExit(0)] * 3
        await pipeline.engine.store.write(partial(resend, row.id))

        assert await deaths(pipeline) == 3
        assert (await pipeline.engine.rows(outbox, kind=kind))[0].state == "done"


@pytest.mark.parametrize("kind", ["message", "action"])
@pytest.mark.parametrize("name", list(DATABASES))
async def test_attempts_that_ended_do_not_count_as_interrupted(
    name: str, kind: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path) as pipeline:
        instance, text = repeatable(pipeline, kind)
        busy, death = Unavailable("not now", retry_after=1.0), SystemExit(0)
        pipeline.provider.scripts[instance] = [*[death] * 4, *[busy] * 3, *[death] * 4]
        await pipeline.engine.accept(pipeline.engine.said(text))

        assert await deaths(pipeline) == 8

        (row,) = await pipeline.engine.rows(outbox, kind=kind)
        assert (row.state, row.attempt) == ("done", 12)
