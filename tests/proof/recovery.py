"""How long it takes from a kill until work moves again."""

import time
from collections.abc import Callable
from contextlib import suppress

import anyio

from tests.proof.database import Database
from tests.proof.nodes import RECOVERY, Node, until

_LOOK = 0.02


class Stopwatch:
    """Watches what a dead node leaves behind.

    :ivar restarts: seconds from a kill until the same node, started again, had moved work on,
        without what its process took to start.
    :ivar survivals: seconds from a kill until other nodes had taken up all that the dead one had
        leased.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.restarts: list[float] = []
        self.survivals: list[float] = []

    async def progress(self) -> int:
        """Give how much work on threads is done."""
        with suppress(OSError):  # not made yet, or away
            ((done,),) = await self._database.rows(
                "SELECT coalesce(sum(done_seq), 0) FROM lane WHERE kind = 'in'"
            )
            return int(done)
        return 0

    async def watch_restart(self, node: Node, died: float, done: int) -> None:
        """Watch a node that is just being started again, where it is the only one.

        :param died: when its process before died, by ``time.monotonic()``.
        :param done: the progress then.
        """
        while True:
            if await self.progress() > done:
                break
            await anyio.sleep(_LOOK)
        moved = time.monotonic()
        if await until(lambda: node.boot is not None, RECOVERY) and node.boot is not None:
            self.restarts.append(round(max(0.0, moved - died - node.boot), 3))

    async def watch_survivors(
        self, identity: int, died: float, survived: Callable[[], bool]
    ) -> None:
        """Watch what a node had leased that has just died, while others live.

        :param identity: the number under which it leased.
        :param survived: whether somebody has lived on since, undisturbed; else nothing is measured.
        """
        held = f"lease_owner = {identity}"
        with suppress(OSError), anyio.move_on_after(RECOVERY):
            lanes = await self._database.rows(
                f"SELECT kind, key, done_seq FROM lane WHERE {held}"  # noqa: S608 - a number
            )
            if not lanes:
                return
            names = ", ".join(f"('{kind}', '{key}', {done})" for kind, key, done in lanes)
            left = (
                f"SELECT count(*) FROM lane WHERE {held} OR (lease_owner IS NULL"  # noqa: S608
                f" AND NOT parked AND ready_at <= now() AND (kind, key, done_seq) IN ({names}))"
            )
            while survived():
                ((number,),) = await self._database.rows(left)
                if not number:
                    self.survivals.append(round(time.monotonic() - died, 3))
                    return
                await anyio.sleep(_LOOK)

    async def newest(self, taken: set[int | None]) -> int | None:
        """Give the number under which the node leases that began last.

        :param taken: the numbers of the others.
        """
        with suppress(OSError):
            numbers = {number for (number,) in await self._database.rows("SELECT id FROM node")}
            return max(numbers - taken, default=None)
        return None
