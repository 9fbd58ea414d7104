"""Lifespans: an instance that cannot start is down and says why, whatever its plugin does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from router.pipeline.instances.instances import LiveChannel
from router.pipeline.instances.lifespans import Lifespans
from tests.integration.engine.pipeline import Ledger, Pipeline, running
from tests.wordless import Wordless

odd_errors = pytest.mark.parametrize(
    "error, words",
    [(asyncio.CancelledError(), "its plugin cancelled the call"), (Wordless(), "Wordless")],
    ids=["cancelled", "words"],
)


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running("sqlite", tmp_path) as pipeline:
        yield pipeline


async def _inside(live: object) -> None:
    await anyio.sleep_forever()


def _with(pipeline: Pipeline, kind: type[Ledger]) -> tuple[LiveChannel, LiveChannel]:
    """Give two channels that were not started, the first one of a kind."""
    channels = pipeline.configuration.instances.channels
    odd, other = channels["main", "phone"], channels["main", "patient"]
    odd.plugin = kind(odd.plugin.config, odd.plugin.context)
    odd.up = other.up = False
    return odd, other


@odd_errors
async def test_one_that_cannot_start_is_down_alone_and_says_why(
    pipeline: Pipeline, error: BaseException, words: str
) -> None:
    class Odd(Ledger):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            raise error
            yield

    odd, other = _with(pipeline, Odd)
    lifespans = Lifespans(pipeline.log, _inside)
    with anyio.fail_after(30):
        async with lifespans.open():
            await lifespans.start([odd, other])
            assert (odd.up, odd.error, other.up, other.error) == (False, words, True, None)

    told = [it.values for it in pipeline.log.entries if it.event == "instance is down"]
    assert told == [{"instance": "channels.phone", "error": words}]


@odd_errors
async def test_a_check_that_ends_oddly_says_what_is_wrong(
    pipeline: Pipeline, error: BaseException, words: str
) -> None:
    class Odd(Ledger):
        async def check(self) -> None:
            raise error

    odd, _ = _with(pipeline, Odd)

    assert await Lifespans(pipeline.log, _inside).check(odd) == words


async def test_one_that_is_stopped_is_closed_and_not_taken_for_down(pipeline: Pipeline) -> None:
    closed = []

    class Closing(Ledger):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                try:
                    yield
                finally:
                    closed.append(self.context.name)

    closing, other = _with(pipeline, Closing)
    lifespans = Lifespans(pipeline.log, _inside)
    with anyio.fail_after(30):
        async with lifespans.open():
            await lifespans.start([closing, other])
            await lifespans.stop(closing)
            assert (closing.up, other.up, closed) == (False, True, ["phone"])

    assert pipeline.log.entries == []
