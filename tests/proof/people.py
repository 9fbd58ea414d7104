"""What the people of the business do at the command line."""

import json
import time
from typing import Any

import anyio.to_thread

from router.errors import RouterError
from router.pipeline.control import ask, socket_path
from tests.acceptance.daemon import Daemon
from tests.proof.database import Database, SQLiteDatabase
from tests.proof.load import Customer
from tests.proof.report import Result


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
        words = ("conversations", "take", customer.address, "--by", "ana", "--json")
        said = await self._command(*words)
        if said is not None:
            customer.taken_at = time.monotonic()
            customer.under_way = tuple(said["under_way"])

    async def unknown(self) -> set[str] | None:
        """Give the messages of which the router says that nobody knows; ``None`` if it cannot."""
        words = ("outbox", "list", "--state", "unknown", "--limit", "1000", "--json")
        said = await self._command(*words)
        return None if said is None else {item["id"] for item in said}

    async def resolve(self, item: str, *, sent: bool) -> None:
        """Say what became of a message."""
        if not sent:
            self.resent.add(item)
        try:
            if isinstance(self._database, SQLiteDatabase):
                # What the command would ask the daemon, without starting the command.
                arguments = {"tenant": "main", "id": item, "sent": sent, "by": "ana"}
                path = socket_path(self._database.path)
                await anyio.to_thread.run_sync(ask, path, "outbox.resolve", arguments)
            else:
                words = ("outbox", "resolve", item, "--sent" if sent else "--not-sent")
                await anyio.to_thread.run_sync(self._daemon.command, *words, "--by", "ana")
        except (RouterError, AssertionError) as error:
            rows = await self._database.rows(
                f"SELECT state FROM outbox WHERE id = '{item}'"  # noqa: S608 - an id of ours
            )
            if rows == [("unknown",)]:  # else it was found out meanwhile
                self._result.broken.append(f"{item} cannot be resolved: {error}")

    async def _command(self, *words: str) -> Any:
        try:
            return json.loads(await anyio.to_thread.run_sync(self._daemon.command, *words))
        except AssertionError as error:
            self._result.broken.append(f"router {' '.join(words)} failed: {error}")
            return None
