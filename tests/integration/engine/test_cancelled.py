"""What a plugin cancels itself: nobody knows what came of it, which is told, and no task ends."""

import asyncio
from pathlib import Path

import pytest

from router.storage.tables import outbox, ticket
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import running

WORDS = "its plugin cancelled the call"


@pytest.mark.parametrize("name", list(DATABASES))
@pytest.mark.parametrize(
    "text, kind, instance",
    [("horario", "message", "phone"), ("abogado", "action", "pager")],
    ids=["message", "action"],
)
async def test_what_its_plugin_cancels_ends_unknown_with_a_ticket(
    name: str, tmp_path: Path, text: str, kind: str, instance: str
) -> None:
    async with running(name, tmp_path, debounce="0s") as pipeline:
        pipeline.provider.scripts[instance] = [asyncio.CancelledError()]
        await pipeline.engine.accept(pipeline.engine.said(text))
        await pipeline.settle()

        (row,) = await pipeline.engine.rows(outbox, kind=kind)
        assert (row.state, row.error) == ("unknown", WORDS)
        assert len(await pipeline.engine.rows(ticket)) == 1


@pytest.mark.parametrize("name", list(DATABASES))
async def test_a_question_that_its_plugin_cancels_is_put_again(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, debounce="0s") as pipeline:
        pipeline.provider.scripts["assistant"] = [asyncio.CancelledError()]
        await pipeline.engine.accept(pipeline.engine.said("¿Cuánto cuesta?"))
        await pipeline.settle()
        await pipeline.pass_time(10)

        assert pipeline.texts() == ["Cuesta 5."]
        (failed,) = (it for it in pipeline.log.entries if it.event == "model failed")
        assert failed.values["reason"] == WORDS
