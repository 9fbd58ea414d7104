"""The flushers of a node: what waits is written together, a few statements for many callers.

Operations queue up while a transaction is on its way to the disk; the next takes all of them. If
one of a group fails, the group is rolled back and halved until the bad one is alone. That is why
operations may run twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from router.errors import StorageUnavailable
from router.failpoints import reach
from router.storage import postgres_sql
from router.storage.postgres_engine import (
    MovedOn,
    Transaction,
    guard,
    in_words,
    is_away,
    may_go_well,
    raw_of,
    was_refused,
)
from router.storage.postgres_queue import Batch, Operation, Part, Queue
from router.storage.postgres_session import beginnings

if TYPE_CHECKING:
    from asyncpg.connection import Connection as Raw

Result = TypeVar("Result")

#: How often what others were in the way of is tried at once.
_TRIES = 8


def _call(tx: Transaction, functions: list[Callable[[Transaction], Any]]) -> list[Any]:
    """Do what has nothing in common."""
    return [function(tx) for function in functions]


class Flusher:
    """Writes what is queued, until it is closed.

    :param node: gives this node's number, while it has one.
    :param publish: called after each commit with what operations published.
    :param lost: called when nobody can tell whether the last commit was made: whatever was leased
        by it has to be given up.
    :param report: called with why the last group could not be committed, or ``None`` once one was.
    :param name: what its task is called.
    :param behind: a flusher whose locks this one had rather not wait for: what needs a lane that
        is just being written there stands back, and everything else goes on.
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
        publish: Callable[[list[Any]], None],
        lost: Callable[[], None],
        report: Callable[[str | None], None],
        patience: float,
        name: str,
        behind: "Flusher | None" = None,
        single: Batch | None = None,
    ) -> None:
        self._engine = engine
        self._node = node
        self._publish = publish
        self._lost = lost
        self._report = report
        self._queue = Queue()
        self._wake = asyncio.Event()
        self._closed = False
        self._behind = behind
        # Behind a pooler each transaction says anew how it is to be planned and committed.
        self._single = None if pooled else single
        self._before: list[asyncio.Event] = []
        #: The lanes of the group under way.
        self._lanes: set[tuple[str, str]] = set()
        if behind is not None:
            behind._before.append(self._wake)  # noqa: SLF001 - of the same class
        self._connection: AsyncConnection | None = None
        self._raw: Raw[Any] | None = None
        self._begin = beginnings(pooled=pooled, patience=patience)
        self._task = asyncio.create_task(self._run(), name=f"postgres-{name}")

    async def run(
        self,
        function: Callable[[Transaction], Result],
        lanes: Sequence[tuple[str, str]] = (),
        *,
        alone: bool = False,
    ) -> Result:
        """Run an operation in the next group; return after its commit.

        Once queued it is run and committed even if the caller is cancelled.

        :param lanes: what it locks: kinds and keys.
        :param alone: in a group of its own, because nobody knows before what it locks.
        :raises StorageUnavailable: if the database is away; nothing was kept, as far as is known.
        """
        results = await self._queued(_call, [function], lanes, alone=alone)
        result: Result = results[0]
        return result

    async def run_batch(
        self, batch: Batch, parts: Sequence[Any], lanes: Sequence[tuple[str, str]] = ()
    ) -> list[Any]:
        """Let a batch do its work to parts in the next group, together with others' parts.

        Each part is done alone or not at all; if one cannot be, the others are, and what was
        wrong with it is raised.

        :param batch: must be the same callable each time, as a method of the same object is.
        :raises StorageUnavailable: if the database is away; nothing was kept, as far as is known.
        """
        return await self._queued(batch, parts, lanes) if parts else []

    async def _queued(
        self,
        batch: Batch,
        parts: Sequence[Any],
        lanes: Sequence[tuple[str, str]],
        *,
        alone: bool = False,
    ) -> list[Any]:
        if self._closed:
            message = "the database is closed"
            raise StorageUnavailable(message)
        future = asyncio.get_running_loop().create_future()
        operation = Operation(batch, parts, lanes, future, alone=alone)
        self._queue.put(operation)
        self._wake.set()
        results: list[Any] = await operation.future
        return results

    async def close(self) -> None:
        """Finish what is queued and let go of the connection."""
        self._closed = True
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        while self._queue or not self._closed:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            # Whatever comes, or is let go of, from here on is seen.
            self._wake.clear()
            taken = set() if self._behind is None else self._behind._lanes  # noqa: SLF001
            group = self._queue.next_group(taken)
            if not group:
                await self._wake.wait()
                continue
            self._lanes = {lane for part in group for lane in part.operation.lanes}
            try:
                await self._work(group)
            finally:
                self._lanes = set()
                for wake in self._before:
                    wake.set()
        await self._disconnect()

    async def _work(self, group: list[Part], tries: int = _TRIES, *, careful: bool = False) -> None:
        """Commit a group, or each of its parts that can be."""
        try:
            results, published = await self._together(group, careful=careful)
        except MovedOn:
            await self._work(group, tries, careful=True)
            return
        except Exception as error:  # noqa: BLE001 - whatever it was, each caller gets its own answer
            if isinstance(error, StorageUnavailable) or is_away(error):
                await self._disconnect()
                failure = error if isinstance(error, StorageUnavailable) else in_words(error)
                self._report(str(failure))
                for part in group:
                    self._settle(part, error=failure)
            elif may_go_well(error) and tries:
                # Whoever was in the way has committed, and is seen now.
                await asyncio.sleep(0.002 * (_TRIES - tries))
                await self._work(group, tries - 1, careful=careful)
            elif len(group) == 1:
                self._settle(group[0], error=error)
            else:
                middle = len(group) // 2
                await self._work(group[:middle])
                await self._work(group[middle:])
            return
        self._report(None)
        # Hand out first: whoever awaits may look at what its operation set in motion.
        if published:
            self._publish(published)
        for part, result in zip(group, results, strict=True):
            self._settle(part, result)

    async def _together(self, group: list[Part], *, careful: bool) -> tuple[list[Any], list[Any]]:
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
        self, group: list[Part], raw: "Raw[Any]", connection: AsyncConnection, node: int | None
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
        group: list[Part],
        raw: "Raw[Any]",
        me: int | None,
        *,
        careful: bool,
    ) -> tuple[list[Any], list[Any]]:
        tx = Transaction(raw, sql, me, careful=careful)
        return self._batches(tx, group), tx.published

    @staticmethod
    def _batches(tx: Transaction, group: list[Part]) -> list[Any]:
        batches: dict[Batch, list[int]] = {}
        for place, part in enumerate(group):
            batches.setdefault(part.operation.batch, []).append(place)
        if len(batches) > 1:
            # Before anything else, and in their order, whatever each batch locks by itself later.
            lanes = {lane for part in group for lane in part.operation.lanes}
            if lanes:
                kinds, keys = zip(*sorted(lanes), strict=True)
                tx.rows(postgres_sql.LOCK_LANES, kinds, keys)
        results: list[Any] = [None] * len(group)
        for batch, places in batches.items():
            parts = [group[place].operation.parts[group[place].number] for place in places]
            for place, result in zip(places, batch(tx, parts), strict=True):
                results[place] = result
        return results

    @staticmethod
    def _settle(part: Part, result: Any = None, error: BaseException | None = None) -> None:
        operation = part.operation
        operation.left -= 1
        operation.results[part.number] = result
        operation.error = operation.error or error
        if operation.left or operation.future.done():
            return
        if operation.error is not None:
            operation.future.set_exception(operation.error)
        else:
            operation.future.set_result(operation.results)

    async def _connect(self) -> "tuple[Raw[Any], AsyncConnection]":
        if self._raw is not None and self._raw.is_closed():
            await self._disconnect()
        if self._connection is None or self._raw is None:
            connection = await self._engine.connect()
            try:
                raw = await raw_of(connection)
                if self._begin.session:
                    await raw.execute(self._begin.session)
                await connection.run_sync(guard)
            except BaseException:
                await connection.invalidate()
                raise
            self._connection, self._raw = connection, raw
        return self._raw, self._connection

    async def _roll_back(self, raw: "Raw[Any]") -> None:
        try:
            if not raw.is_closed():
                await raw.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - it is lost; the server rolls back by itself
            await self._disconnect()

    async def _disconnect(self) -> None:
        connection, self._connection, self._raw = self._connection, None, None
        if connection is not None:
            with suppress(Exception):
                await connection.invalidate()
