"""A flusher's session on PostgreSQL: how it plans and commits, and what it writes together."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from router.failpoints import reach
from router.storage.postgres.engine import (
    LOCKED,
    Transaction,
    guard,
    in_words,
    is_away,
    patient,
    raw_of,
    settings,
    was_refused,
)
from router.storage.postgres.queue import THREAD, Batch, Part
from router.storage.postgres.statements.lanes import LOCK_LANES
from router.storage.postgres.statements.nodes import ALIVE

if TYPE_CHECKING:
    from asyncpg.connection import Connection as Raw

# Every hot statement goes from an array to an index, row by row. Left to its statistics, which know
# nothing of a table that was empty a minute ago, the planner reads whole tables or half an index
# instead, once for each row of the array, and keeps that plan. There is one right plan for each,
# so that it is made once.
_PLANS = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "plan_cache_mode": "force_generic_plan",
}
# "On disk" is what a caller is told; a server that is set up for less is not believed.
_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', {local}) "
    "WHERE current_setting('synchronous_commit') = 'off'"
)


class Beginnings(NamedTuple):
    """What begins a session, and each transaction of it.

    :ivar alive: the statement that asks whether a node still counts; ``{node}`` is its number.
    """

    session: str
    transaction: str
    alive: str


def beginnings(*, pooled: bool, patience: float) -> Beginnings:
    """Give what begins a session, and each transaction of it.

    Behind a pooler nothing may stay behind in a session, and each transaction says it all.

    :param patience: seconds after which the server ends a session that holds a transaction open
        and says nothing.
    """
    # Longer than a process that froze keeps its locks: one row that it has is no reason to refuse
    # everything else of a group.
    locked = {"lock_timeout": f"{max(LOCKED, patience + 1):g}s"}
    values = {**_PLANS, **patient(patience), **locked}
    durable = _DURABLE.format(local="true" if pooled else "false")
    if pooled:
        begin = f"BEGIN; {settings(values, local=True)}; {durable}"
        return Beginnings("", begin, ALIVE)
    # It is asked with each BEGIN, in a text of two statements, which would be planned anew each
    # time: that takes the server as long as everything else about it.
    prepared = f"PREPARE router_alive (bigint) AS {ALIVE.format(node='$1')}"
    session = f"{settings(values, local=False)}; {durable}; {prepared}"
    return Beginnings(session, "BEGIN", "EXECUTE router_alive ({node})")


class Session:
    """A connection on which groups are written, one after the other; made when it is needed.

    :param node: gives this node's number, while it has one.
    :param lost: called when nobody can tell whether the last commit was made: whatever was leased
        by it has to be given up.
    :param patience: seconds after which the server ends a session that holds a transaction open
        and says nothing, so that a process that froze holds nobody up.
    :param single: a batch whose first statement does everything that has to be done together: it
        is a transaction by itself, without those that would begin and end it.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        pooled: bool,
        node: Callable[[], int | None],
        lost: Callable[[], None],
        patience: float,
        single: Batch | None = None,
    ) -> None:
        self._engine = engine
        self._node = node
        self._lost = lost
        # Behind a pooler each transaction says anew how it is to be planned and committed.
        self._single = None if pooled else single
        self._begin = beginnings(pooled=pooled, patience=patience)
        self._connection: AsyncConnection | None = None
        #: The driver's own connection, while there is one.
        self.raw: Raw[Any] | None = None

    async def write(self, group: Sequence[Part], *, careful: bool) -> tuple[list[Any], list[Any]]:
        """Commit parts together; give the result of each, and what they published.

        :param careful: everything is locked before anything is changed.
        """
        raw, connection = await self._connect()
        node = self._node()
        if all(part.operation.batch == self._single for part in group):
            return await self._at_once(group, raw, connection, node)
        alive = False
        begin = self._begin.transaction
        if node is not None:
            begin = f"{begin}; {self._begin.alive.format(node=node)}"
        try:
            # One round trip: the transaction begins, and it is seen that this node still counts.
            tag = await raw.execute(begin)
            alive = tag == "SELECT 1"
            reach("writer.begun")
            me = node if alive else None
            results, published = await connection.run_sync(
                self._in_order, group, raw, me, careful=careful
            )
            reach("writer.committing")
        except BaseException:
            await self._roll_back(raw)
            raise
        try:
            await raw.execute("COMMIT")
        except BaseException as error:
            answered = isinstance(error, Exception) and not (raw.is_closed() or is_away(error))
            await self._roll_back(raw)
            if not answered:
                # It may have been committed, and its leases with it; nobody here knows of them.
                self._lost()
            raise
        reach("writer.committed")
        return results, published

    async def _at_once(
        self, group: Sequence[Part], raw: "Raw[Any]", connection: AsyncConnection, node: int | None
    ) -> tuple[list[Any], list[Any]]:
        """Let a batch do its work without a transaction around it."""
        tx: Transaction | None = None

        def work(sql: sa.Connection) -> list[Any]:
            nonlocal tx
            tx = Transaction(raw, sql, node, single=True)
            return self._batches(tx, group)

        reach("writer.begun")
        reach("writer.committing")
        try:
            results = await connection.run_sync(work)
        except BaseException as error:
            kept = tx is not None and tx.answered
            if kept or not was_refused(error, raw):
                # As after a commit without an answer; or what it leased cannot be handed out.
                self._lost()
            if kept and isinstance(error, Exception):
                # It must not be done again as if nothing had been.
                raise in_words(error) from error
            raise
        reach("writer.committed")
        assert tx is not None  # noqa: S101 - for the type checker
        return results, tx.published

    def _in_order(
        self,
        sql: sa.Connection,
        group: Sequence[Part],
        raw: "Raw[Any]",
        me: int | None,
        *,
        careful: bool,
    ) -> tuple[list[Any], list[Any]]:
        tx = Transaction(raw, sql, me, careful=careful)
        return self._batches(tx, group), tx.published

    @staticmethod
    def _batches(tx: Transaction, group: Sequence[Part]) -> list[Any]:
        batches: dict[Batch, list[int]] = {}
        for place, part in enumerate(group):
            batches.setdefault(part.operation.batch, []).append(place)
        if len(batches) > 1:
            # Before anything else, and in their order, whatever each batch locks by itself later.
            operations = {part.operation for part in group}
            locks = {lock for operation in operations for lock in operation.locks}
            lanes = [lock for lock in locks if lock[0] != THREAD]
            if lanes:
                kinds, keys = zip(*sorted(lanes), strict=True)
                tx.rows(LOCK_LANES, kinds, keys)
        results: list[Any] = [None] * len(group)
        for batch, places in batches.items():
            parts = [group[place].operation.parts[group[place].number] for place in places]
            for place, result in zip(places, batch(tx, parts), strict=True):
                results[place] = result
        return results

    async def _connect(self) -> "tuple[Raw[Any], AsyncConnection]":
        if self.raw is not None and self.raw.is_closed():
            await self.disconnect()
        if self._connection is None or self.raw is None:
            connection = await self._engine.connect()
            try:
                raw = await raw_of(connection)
                if self._begin.session:
                    await raw.execute(self._begin.session)
                await connection.run_sync(guard)
            except BaseException:
                await connection.invalidate()
                raise
            self._connection, self.raw = connection, raw
        return self.raw, self._connection

    async def _roll_back(self, raw: "Raw[Any]") -> None:
        try:
            if not raw.is_closed():
                await raw.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - it is lost; the server rolls back by itself
            await self.disconnect()

    async def disconnect(self) -> None:
        """Let go of the connection, which the next group makes anew."""
        connection, self._connection, self.raw = self._connection, None, None
        if connection is not None:
            with suppress(Exception):
                await connection.invalidate()
