"""Instance: what channels, AI backends and actions have in common."""

from abc import ABC
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from router.plugin.config import PluginConfig
from router.plugin.context import PluginContext

ConfigT = TypeVar("ConfigT", bound=PluginConfig)


class Instance(ABC, Generic[ConfigT]):
    """One ``[channels.*]``, ``[ai.*]`` or ``[actions.*]`` table, alive.

    The host makes one object per table, enters :meth:`lifespan` once, calls its methods from one
    event loop, possibly many at a time, and leaves the lifespan when it drains or reloads.
    On a reload the object of a changed table enters its lifespan before the old one, which ends
    what is under way, has left its own.
    """

    def __init__(self, config: ConfigT, context: PluginContext) -> None:
        #: The validated table.
        self.config = config
        #: What the host hands this instance: name, http, log, clock, webhook_url().
        self.context = context

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Hold what the instance needs while it lives. Override to open and close it.

        If entering fails, the host marks this instance down, tries again later, and serves the
        others. Nothing else is called outside the lifespan, except ``verify`` and ``parse``.
        """
        yield

    async def check(self) -> None:
        """Probe the provider; raise to say what is wrong. The default finds nothing wrong.

        :raises ProviderError: with a sentence for the operator.
        """
