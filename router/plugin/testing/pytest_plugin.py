"""Fixtures for plugins' own tests; installed for pytest with the router.

It imports the kit only when a test asks for a fixture, so that measuring the coverage of a plugin,
or of the router, stays honest.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from router.plugin.testing.clock import FakeClock
    from router.plugin.testing.context import FakeContext


@pytest.fixture
def fake_clock() -> "FakeClock":
    """Give a clock that stands still; see ``router.plugin.testing.FakeClock``."""
    from router.plugin.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
async def plugin_context(fake_clock: "FakeClock") -> "AsyncIterator[FakeContext]":
    """Give a context without replies; ``plugin_context.script([…])`` adds some.

    The test fails if a scripted reply is left over or a request met none.
    """
    from router.plugin.testing.context import FakeContext

    async with FakeContext(clock=fake_clock) as context:
        yield context
    if context.unused:
        pytest.fail(f"{len(context.unused)} scripted replies were never asked for")
    if context.unexpected:
        pytest.fail(f"no reply was scripted for {context.unexpected}")
