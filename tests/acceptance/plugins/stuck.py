"""An action over a library that blocks: while the file ``stalls`` is there, calls do not return."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread

from router import plugin

router_api = (1, 1)


class StuckConfig(plugin.PluginConfig):
    stalls: str
    how: str


class Stuck(plugin.Action[StuckConfig]):
    """Blocks where ``how`` says: at its start, at its end, or in a thread of one of three kinds."""

    def stall(self) -> None:
        while Path(self.config.stalls).exists():
            time.sleep(0.05)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        if self.config.how == "start":
            await anyio.to_thread.run_sync(self.stall, abandon_on_cancel=True)
        try:
            yield
        finally:
            if self.config.how == "end":
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self.stall)

    async def run(self, call: plugin.ActionCall) -> plugin.ActionResult:
        if self.config.how == "executor":
            await asyncio.to_thread(self.stall)
        elif self.config.how == "worker":
            await anyio.to_thread.run_sync(self.stall)
        elif self.config.how == "own":
            await self.context.in_thread(self.stall)
        return plugin.ActionResult("done", {})


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.action("stuck", Stuck, config=StuckConfig)
