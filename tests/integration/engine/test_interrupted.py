"""An attempt that a crash interrupted stays in doubt, however the attempts after it end."""

from pathlib import Path

import pytest

from router.errors import Unavailable
from router.storage.tables import outbox
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import running


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
