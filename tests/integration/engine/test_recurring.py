"""A mistake of ours that always recurs: tried ever more rarely, told in words, mended at once."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from router.errors import OutcomeUnknown
from router.storage.tables import outbox
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import Pipeline, running


async def write_body(pipeline: Pipeline, body: str) -> None:
    """Put another body into the item, which is claimed anew with it."""
    item = await pipeline.engine.claim_item()
    await pipeline.engine.store.write(
        lambda tx: tx.connection.execute(sa.update(outbox).values(body=body))
    )
    await pipeline.engine.store.release([item])


async def pause(pipeline: Pipeline) -> float:
    """Give the seconds until the message is looked at again, and let them pass."""
    engine = pipeline.engine
    waits: timedelta = (await engine.lane("out")).ready_at - engine.clock.now()
    engine.clock.advance(max(waits, timedelta()))
    return waits.total_seconds()


@pytest.mark.parametrize("name", list(DATABASES))
async def test_an_end_that_can_never_be_written_is_tried_ever_more_rarely_and_told(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path) as pipeline:
        await pipeline.engine.accept(pipeline.engine.said("¿Cuál es el horario?"))
        await pipeline.think()
        pipeline.provider.script = [OutcomeUnknown("it hung up")]
        (item,) = await pipeline.engine.rows(outbox)
        # The ticket about it would quote a text that is none.
        await write_body(pipeline, '{"recipient": "tel:+573001234567", "text": 7}')
        pauses, trouble = [], []
        for _ in range(12):
            await pipeline.turn(await pipeline.engine.claim_item())
            trouble.append(pipeline.deliverer.trouble())
            pauses.append(await pause(pipeline))

        assert all(0.8 * 2**n <= it <= 1.2 * 2**n for n, it in enumerate(pauses[:8]))
        assert all(240 <= it <= 360 for it in pauses[9:])
        assert len(pipeline.texts()) == 1
        told = [it for it in pipeline.log.entries if it.event == "attempt broke"]
        assert [(it.level, it.values["item"], it.values["times"]) for it in told] == [
            ("error", item.id, number) for number in range(1, 13)
        ]
        assert {it.values["error"].partition(":")[0] for it in told} == {"TypeError"}
        assert trouble[:2] == [[], []]
        assert trouble[-1] == [
            f"outbox item {item.id} broke 12 times (router outbox show {item.id}): "
            + told[-1].values["error"]
        ]

        await write_body(pipeline, item.body)
        await pipeline.turn(await pipeline.engine.claim_item())

        assert [row.state for row in await pipeline.engine.rows(outbox)] == ["unknown"]
        assert pipeline.deliverer.trouble() == []


@pytest.mark.parametrize("name", list(DATABASES))
async def test_what_another_node_has_done_is_trouble_no_more(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as pipeline:
        await pipeline.engine.accept(pipeline.engine.said("¿Cuál es el horario?"))
        await pipeline.think()
        await write_body(pipeline, "[]")
        for _ in range(3):
            await pipeline.turn(await pipeline.engine.claim_item())
            await pause(pipeline)
        assert len(pipeline.deliverer.trouble()) == 1

        pipeline.engine.clock.advance(timedelta(minutes=2))

        assert pipeline.deliverer.trouble() == []
