"""The one thread that writes to SQLite, and how it commits for many at once.

Operations queue up while a commit is on its way to the disk; the next transaction takes all that
somebody outside waits for, and of the others as many as keep it short. A group is first run without
savepoints, which is nearly always right; if any operation fails, the group is rolled back and run
again with a SAVEPOINT around each, so that a bad one fails alone. That is why operations may run
twice.
"""

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from router.errors import StorageUnavailable
from router.failpoints import reach
from router.storage.files import private_file

if TYPE_CHECKING:
    from sqlalchemy import Connection

Result = TypeVar("Result")

#: Parts after which a transaction takes no more of what does not go first, so that what does never
#: waits for long.
_PARTS = 128


class Transaction:
    """What an operation works with.

    :ivar raw: the writer's connection. BEGIN, SAVEPOINT and COMMIT are the writer's to speak.
    :ivar published: what to hand out once the commit is on disk.
    :ivar era: a thread that was read in an era still stands in the same era as it was read, but
        for what its own lane has done since. ``0`` is none: here run functions that may change
        any thread.
    """

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw
        self.published: list[Any] = []
        self.era = 0
        self._eras = 0
        self._sql: Connection | None = None

    def start(self, *, sql: bool) -> None:
        """Begin anew for a group of operations.

        :param sql: some of them use :attr:`sql`.
        """
        self.published = []
        self._eras += sql
        self.era = 0 if sql else self._eras + 1

    def disturb(self) -> None:
        """Say that another lane's thread was changed."""
        self._eras += 1
        self.era = 0

    @property
    def sql(self) -> "Connection":
        """The same connection through SQLAlchemy. Only in operations queued with ``sql=True``."""
        if self._sql is None:
            message = "this operation was not queued with sql=True"
            raise RuntimeError(message)
        return self._sql


#: Does the same to many things at once: given those, gives a result for each, in their order.
Batch = Callable[[Transaction, list[Any]], list[Any]]


class _Operation:
    """What one caller waits for: parts that a batch does together with other callers' parts."""

    __slots__ = ("batch", "error", "first", "future", "parts", "results", "sql")

    def __init__(
        self,
        batch: Batch,
        parts: Sequence[Any],
        future: "asyncio.Future[Any]",
        *,
        sql: bool,
        first: bool,
    ) -> None:
        self.batch = batch
        self.parts = parts
        self.future = future
        self.sql = sql
        self.first = first
        self.results: list[Any] = []
        self.error: BaseException | None = None


def _call(transaction: Transaction, functions: list[Callable[[Transaction], Any]]) -> list[Any]:
    """Do what has nothing in common."""
    return [function(transaction) for function in functions]


def connect(path: Path) -> sqlite3.Connection:
    """Open the database as its writer.

    :raises StorageUnavailable: if it cannot be opened, or is none.
    """
    try:
        private_file(path)
    except OSError as error:
        raise StorageUnavailable(f"SQLite: {path}: {error.strerror}") from error
    raw = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    try:
        return _prepared(raw)
    except sqlite3.DatabaseError as error:
        raw.close()
        raise StorageUnavailable(f"SQLite: {path}: {error}") from error


def _prepared(raw: sqlite3.Connection) -> sqlite3.Connection:
    raw.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit that was answered survives a power cut, not only a crash of the process.
    raw.execute("PRAGMA synchronous = FULL")
    # A checkpoint in this thread keeps the WAL at 16 MB. A checkpoint from a thread of its own
    # never catches a busy writer and lets it grow without end.
    raw.execute("PRAGMA wal_autocheckpoint = 4000")
    raw.execute("PRAGMA busy_timeout = 5000")
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("PRAGMA cache_size = -65536")
    raw.execute("PRAGMA temp_store = MEMORY")
    return raw


class Writer:
    """The writer thread.

    :param publish: called in the event loop after each commit with what operations published.
    """

    def __init__(self, path: Path, publish: Callable[[list[Any]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._publish = publish
        self._queue: SimpleQueue[_Operation | None] = SimpleQueue()
        self._transaction = Transaction(connect(path))
        #: What goes into the next transaction, and what goes as far as there is room.
        self._first: list[_Operation] = []
        self._later: deque[_Operation] = deque()
        self._closed = False
        #: Why the last group could not be committed; ``None`` once one could.
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def run(self, function: Callable[[Transaction], Result], *, sql: bool = False) -> Result:
        """Run an operation in the next group; return after its commit is on disk.

        Once queued it is run and committed even if the caller is cancelled.

        :param sql: the operation uses :attr:`Transaction.sql`.
        :raises StorageUnavailable: if the disk or the database refuses; nothing was kept.
        """
        results = await self.run_batch(_call, [function], sql=sql)
        result: Result = results[0]
        return result

    async def run_batch(
        self, batch: Batch, parts: Sequence[Any], *, sql: bool = False, first: bool = False
    ) -> list[Any]:
        """Let a batch do its work to parts in the next group, together with others' parts.

        Each part is done alone or not at all; if one cannot be, the others are, and what was
        wrong with it is raised. Once queued they are done even if the caller is cancelled.

        :param batch: called with all parts of a group that wait for it. Must be the same callable
            each time, as a method of the same object is.
        :param first: somebody outside waits: go before what is queued without it.
        :raises StorageUnavailable: if the disk or the database refuses; nothing was kept.
        """
        if self._closed:
            message = "the database is closed"
            raise StorageUnavailable(message)
        if sql:
            # Here, and not in the writer's thread: see there.
            import router.storage.sqlite_sql  # noqa: F401
        operation = _Operation(batch, parts, self._loop.create_future(), sql=sql, first=first)
        self._queue.put(operation)
        results: list[Any] = await operation.future
        return results

    async def close(self) -> None:
        """Finish what is queued and let go of the file."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        running = True
        while running or self._first or self._later:
            while running and not (self._queue.empty() and (self._first or self._later)):
                operation = self._queue.get()
                if operation is None:
                    running = False
                else:
                    (self._first if operation.first else self._later).append(operation)
            if group := self._group():
                self._work(group)
        self._transaction.raw.close()

    def _group(self) -> list[_Operation]:
        """Take what goes into the next transaction."""
        group, later, parts = self._first, self._later, 0
        self._first = []
        while later and parts < _PARTS:
            operation = later.popleft()
            parts += len(operation.parts)
            group.append(operation)
        return group

    def _work(self, group: list[_Operation]) -> None:
        transaction = self._transaction
        sql = any(operation.sql for operation in group)
        transaction.start(sql=sql)
        try:
            if sql:
                self._open_sql()
            self._together(group)
            self.error = None
        except BaseException:  # noqa: BLE001 - whatever it was, each operation gets its own answer
            self._rollback()
            transaction.published = []
            self._one_by_one(group)
        published = transaction.published
        self._loop.call_soon_threadsafe(self._settle, group, published)

    def _open_sql(self) -> None:
        # SQLAlchemy's first connect rolls back an open transaction, so it comes before BEGIN.
        if self._transaction._sql is None:  # noqa: SLF001
            from router.storage.sqlite_sql import wrap

            self._transaction._sql = wrap(self._transaction.raw)  # noqa: SLF001

    def _together(self, group: list[_Operation]) -> None:
        transaction = self._transaction
        transaction.raw.execute("BEGIN IMMEDIATE")
        reach("writer.begun")
        batches: dict[Batch, list[_Operation]] = {}
        for operation in group:
            batches.setdefault(operation.batch, []).append(operation)
        for batch, operations in batches.items():
            parts = [part for operation in operations for part in operation.parts]
            results = iter(batch(transaction, parts))
            for operation in operations:
                operation.results = list(islice(results, len(operation.parts)))
        reach("writer.committing")
        transaction.raw.execute("COMMIT")
        reach("writer.committed")

    def _one_by_one(self, group: list[_Operation]) -> None:
        transaction = self._transaction
        raw = transaction.raw
        try:
            raw.execute("BEGIN IMMEDIATE")
            for operation in group:
                operation.results = []
                for part in operation.parts:
                    self._alone(operation, part)
            raw.execute("COMMIT")
            self.error = _away(group)
        except BaseException as error:  # noqa: BLE001 - a failed COMMIT fails every waiter
            self._rollback()
            transaction.published = []
            # What went wrong first says more: on a full disk SQLite rolls back by itself.
            self.error = _away(group) or f"SQLite: {error}"
            for operation in group:
                # No fault of theirs: the same call may work later.
                operation.error = operation.error or StorageUnavailable(self.error)

    def _alone(self, operation: _Operation, part: Any) -> None:
        transaction, raw = self._transaction, self._transaction.raw
        kept = len(transaction.published)
        raw.execute("SAVEPOINT part")
        try:
            operation.results += operation.batch(transaction, [part])
            raw.execute("RELEASE part")
        except BaseException as error:  # noqa: BLE001
            operation.error = operation.error or in_words(error)
            del transaction.published[kept:]
            raw.execute("ROLLBACK TO part")
            raw.execute("RELEASE part")

    def _rollback(self) -> None:
        # Who waits is answered all the same, and so is who comes after: as long as the transaction
        # cannot be ended no other begins, and each of them is told why.
        with suppress(sqlite3.Error):
            if self._transaction.raw.in_transaction:
                self._transaction.raw.execute("ROLLBACK")

    def _settle(self, group: list[_Operation], published: list[Any]) -> None:
        # Hand out first: whoever awaits may look at what its operation set in motion.
        if published:
            self._publish(published)
        for operation in group:
            if operation.future.done():
                continue
            if operation.error is not None:
                operation.future.set_exception(operation.error)
            else:
                operation.future.set_result(operation.results)


def _away(group: list[_Operation]) -> str | None:
    """Give the first thing that was wrong with the database itself."""
    errors = (operation.error for operation in group)
    return next((str(error) for error in errors if isinstance(error, StorageUnavailable)), None)


def in_words(error: BaseException) -> BaseException:
    """Say which errors are the database's and pass with time; others are mistakes of ours."""
    cause = getattr(error, "orig", None) or error
    ours = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError)
    if isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, ours):
        return StorageUnavailable(f"SQLite: {cause}")
    return error
