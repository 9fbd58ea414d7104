"""What the people of the business do at the command line."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn

import anyio.to_thread

from router.clock import SystemClock
from router.errors import RouterError
from router.pipeline.people.acts import perform
from router.pipeline.people.control import ask, socket_path
from router.storage.postgres.store import PostgresStore
from tests.acceptance.daemon import Daemon
from tests.proof.database import Database, SQLiteDatabase
from tests.proof.load import Customer
from tests.proof.nodes import RECOVERY
from tests.proof.report import Result

_RESOLVE = "outbox.resolve"
_LOOK = 0.05


class _Nothing:
    """Surroundings for an act that looks at none."""

    def capabilities(self, *_: object) -> NoReturn:
        raise NotImplementedError

    def parse(self, *_: object) -> NoReturn:
        raise NotImplementedError

    def dialers(self) -> NoReturn:
        raise NotImplementedError

    def files_released(self) -> NoReturn:
        raise NotImplementedError


class People:
    """Somebody called Ana.

    :param daemon: whose files the commands read; it need not be the one that does the work.
    :ivar resent: items of which she said that they had not been sent.
    """

    def __init__(self, daemon: Daemon, database: Database, result: Result) -> None:
        self._daemon = daemon
        self._database = database
        self._result = result
        self.resent: set[str] = set()

    async def take_over(self, customer: Customer) -> None:
        """Take a conversation over, and note when the command had answered."""
        customer.by_command = True
        # What was acknowledged is stored; the conversation is there once it was worked.
        opened = (
            "SELECT c.key FROM conversation v JOIN contact c ON c.id = v.contact"  # noqa: S608
            f" WHERE c.key = '{customer.address}'"
        )
        with anyio.move_on_after(RECOVERY):
            while not await self._database.rows(opened):  # noqa: ASYNC110 - the daemon's doing
                await anyio.sleep(_LOOK)
        words = ("conversations", "take", customer.address, "--by", "ana", "--json")
        said = await self._command(*words)
        if said is not None:
            customer.taken_at, customer.taken_on = time.monotonic(), datetime.now(UTC)
            customer.under_way = tuple(said["under_way"])

    async def unknown(self) -> set[str] | None:
        """Give the messages of which the router says that nobody knows; ``None`` if it cannot."""
        words = ("outbox", "list", "--state", "unknown", "--limit", "1000", "--json")
        said = await self._command(*words)
        return None if said is None else {item["id"] for item in said}

    async def resolve(self, verdicts: Mapping[str, bool]) -> None:
        """Say what became of messages: whether each was sent.

        As the command does it, without starting the command for each.
        """
        self.resent.update(item for item, sent in verdicts.items() if not sent)
        async with self._acting() as act:
            for item, sent in verdicts.items():
                try:
                    await act({"tenant": "main", "id": item, "sent": sent, "by": "ana"})
                except RouterError as error:
                    rows = await self._database.rows(
                        f"SELECT state FROM outbox WHERE id = '{item}'"  # noqa: S608 - one of ours
                    )
                    if rows == [("unknown",)]:  # else it was found out meanwhile
                        self._result.broken.append(f"{item} cannot be resolved: {error}")

    @asynccontextmanager
    async def _acting(self) -> AsyncIterator[Callable[[Mapping[str, Any]], Awaitable[Any]]]:
        """Give what resolves an item: asking the only node there is, or as one more node."""
        if isinstance(self._database, SQLiteDatabase):
            path = socket_path(self._database.path)
            yield lambda arguments: anyio.to_thread.run_sync(ask, path, _RESOLVE, arguments)
            return
        store = await PostgresStore.open(self._database.url, SystemClock())
        try:
            store.pause()
            yield lambda arguments: perform(store, _RESOLVE, arguments, _Nothing())
        finally:
            await store.close()

    async def _command(self, *words: str) -> Any:
        try:
            return json.loads(await anyio.to_thread.run_sync(self._daemon.command, *words))
        except AssertionError as error:
            self._result.broken.append(f"router {' '.join(words)} failed: {error}")
            return None
