"""The one thread that writes to SQLite, and how it commits for many at once.

Operations queue up while a transaction is under way; the next takes all that somebody outside waits
for, and of the others as many as keep it short. A group is first run without savepoints, which is
nearly always right; if any operation fails, the group is rolled back and run again with a SAVEPOINT
around each, so that a bad one fails alone. That is why operations may run twice.

What a commit makes possible is handed out at once; whoever waits for an operation is answered when
it is on disk. See router/storage/sqlite/sync.py.
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
from router.storage.files import private_file, refused
from router.storage.sqlite.stall import Stall
from router.storage.sqlite.sync import Syncer, to_disk

if TYPE_CHECKING:
    from sqlalchemy import Connection

Result = TypeVar("Result")

#: Parts after which a transaction takes no more of what does not go first, so that what does never
#: waits for long.
_PARTS = 128

#: Seconds after which a disk that answers nobody counts as away: less than providers wait for the
#: answer to a webhook.
PATIENCE = 10.0

_STALLED = "SQLite: the disk does not answer"

#: Seconds between two looks whether the thread has ended.
_SOON = 0.002


class Transaction:
    """What an operation works with.

    :ivar raw: the writer's connection. BEGIN, SAVEPOINT and COMMIT are the writer's to speak.
    :ivar published: what to hand out once it is committed. Nothing that follows from it may leave
        the process before an operation of its own is answered.
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

    __slots__ = ("batch", "error", "first", "future", "kept", "parts", "results", "sql")

    def __init__(
        self,
        batch: Batch,
        parts: Sequence[Any],
        future: "asyncio.Future[Any]",
        *,
        sql: bool,
        first: bool,
        kept: bool,
    ) -> None:
        self.batch = batch
        self.parts = parts
        self.future = future
        self.sql = sql
        self.first = first
        self.kept = kept
        self.results: list[Any] = []
        self.error: BaseException | None = None

    def settle(self, lost: StorageUnavailable | None) -> None:
        """Answer whoever waits.

        :param lost: the disk failed.
        """
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        elif lost is not None:
            self.future.set_exception(StorageUnavailable(*lost.args))
        else:
            self.future.set_result(self.results)


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
        raise refused(path, error) from error


def _prepared(raw: sqlite3.Connection) -> sqlite3.Connection:
    raw.execute("PRAGMA journal_mode = WAL")
    # A commit does not wait for the disk: the syncer does, before anybody is answered. What keeps
    # the file whole, such as the order of log and checkpoint, SQLite still waits for.
    raw.execute("PRAGMA synchronous = NORMAL")
    # A checkpoint in this thread keeps the WAL at 16 MB. A checkpoint from a thread of its own
    # never catches a busy writer and lets it grow without end.
    raw.execute("PRAGMA wal_autocheckpoint = 4000")
    raw.execute("PRAGMA busy_timeout = 5000")
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("PRAGMA cache_size = -65536")
    raw.execute("PRAGMA temp_store = MEMORY")
    # So that there is a log.
    raw.execute("BEGIN IMMEDIATE")
    raw.execute("COMMIT")
    # What an earlier process has written may stand in the system's memory alone, if the disk failed
    # it. In the database file it is on disk, and the log begins anew.
    raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return raw


class Writer:
    """The writer thread.

    :param publish: called in the event loop after each commit with what operations published.
    :param failed: called in the event loop if the disk did not keep what was committed. What is on
        it is not known from then on: nothing is done any more, and the process should end.
    :param sync: puts a file, given its descriptor, on disk.
    :param patience: seconds after which a disk that answers nobody counts as away.
    """

    def __init__(
        self,
        path: Path,
        publish: Callable[[list[Any]], None],
        failed: Callable[[StorageUnavailable], None],
        *,
        sync: Callable[[int], None] = to_disk,
        patience: float = PATIENCE,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._publish = publish
        self._failed = failed
        self._queue: SimpleQueue[_Operation | None] = SimpleQueue()
        self._transaction = Transaction(connect(path))
        try:
            self._syncer: Syncer[_Operation] = Syncer(path, self._synced, sync)
        except OSError as error:
            self._transaction.raw.close()
            raise StorageUnavailable(f"SQLite: {error.filename}: {error.strerror}") from error
        #: What goes into the next transaction, and what goes as far as there is room.
        self._first: list[_Operation] = []
        self._later: deque[_Operation] = deque()
        #: What was committed and not handed out yet, and the operations that wait for no more.
        self._committed: deque[tuple[list[Any], list[_Operation]]] = deque()
        #: What somebody outside waits for.
        self._outside: set[_Operation] = set()
        self._patience = patience
        self._stall = Stall(patience, self._stalled)
        self._closed = False
        self._error: str | None = None
        self._lost: StorageUnavailable | None = None
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    @property
    def error(self) -> str | None:
        """Why the last group could not be committed; ``None`` once one could."""
        if self._lost is not None:
            return str(self._lost)
        return _STALLED if self._stall.lasts else self._error

    async def run(
        self,
        function: Callable[[Transaction], Result],
        *,
        sql: bool = False,
        kept: bool = True,
    ) -> Result:
        """Run an operation in the next group; return after its commit is on disk.

        Once queued it is run and committed even if the caller is cancelled.

        :param sql: the operation uses :attr:`Transaction.sql`.
        :param kept: ``False`` returns after the commit: what the caller does next leaves the
            process with later writes only, or not at all.
        :raises StorageUnavailable: if the disk or the database refuses; nothing was kept.
        """
        results = await self.run_batch(_call, [function], sql=sql, kept=kept)
        result: Result = results[0]
        return result

    async def run_batch(
        self,
        batch: Batch,
        parts: Sequence[Any],
        *,
        sql: bool = False,
        first: bool = False,
        outside: bool = False,
        kept: bool = True,
    ) -> list[Any]:
        """Let a batch do its work to parts in the next group, together with others' parts.

        Each part is done alone or not at all; if one cannot be, the others are, and what was
        wrong with it is raised. Once queued they are done even if the caller is cancelled.

        :param batch: called with all parts of a group that wait for it. Must be the same callable
            each time, as a method of the same object is.
        :param first: go before what is queued without it.
        :param outside: somebody outside waits, who comes again if the disk does not answer.
        :param kept: as for :meth:`run`.
        :raises StorageUnavailable: if the disk or the database refuses; nothing was kept. With
            ``outside`` also if the disk does not answer; then it may be kept when it does.
        """
        if self._closed:
            message = "the database is closed"
            raise StorageUnavailable(message)
        if self._lost is not None:
            raise StorageUnavailable(*self._lost.args)
        if self._stall.lasts:
            raise StorageUnavailable(_STALLED)
        if sql:
            # Here, and not in the writer's thread: see there.
            import router.storage.sqlite.sql  # noqa: F401
        future = self._loop.create_future()
        operation = _Operation(batch, parts, future, sql=sql, first=first, kept=kept)
        waiting = self._stall.kept if kept else self._stall.committed
        waiting.asked += 1
        if outside:
            self._outside.add(operation)
        self._queue.put(operation)
        results: list[Any] = await operation.future
        return results

    async def close(self) -> bool:
        """Finish what is queued and let go of the file.

        :returns: whether that is done. Where the disk does not answer it is left to the process's
            end, which had better come.
        """
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            until = self._loop.time() + 3 * self._patience
            # Not in a thread of a pool's, which the process's end would wait for.
            while self._ending() and self._loop.time() < until:  # noqa: ASYNC110 - a thread ends
                await asyncio.sleep(_SOON)
            self._stall.close()
        return not self._thread.is_alive()

    def _ending(self) -> bool:
        return self._thread.is_alive() and not self._stall.lasts

    def _stalled(self) -> None:
        """Answer those outside: they come again, and what was kept after all is then known."""
        for operation in self._outside:
            if not operation.future.done():
                operation.future.set_exception(StorageUnavailable(_STALLED))
        self._outside.clear()

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
        self._syncer.close()
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
            self._error = None
        except BaseException:  # noqa: BLE001 - whatever it was, each operation gets its own answer
            self._rollback()
            transaction.published = []
            self._one_by_one(group)
        committed = [operation for operation in group if not operation.kept]
        self._committed.append((transaction.published, committed))
        # The disk first: who is woken first comes first to Python's lock, and the loop has much to
        # do with what it is handed.
        self._syncer.put([operation for operation in group if operation.kept])
        self._tell(self._hand_out)

    def _open_sql(self) -> None:
        # SQLAlchemy's first connect rolls back an open transaction, so it comes before BEGIN.
        if self._transaction._sql is None:  # noqa: SLF001
            from router.storage.sqlite.sql import wrap

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
            self._error = _away(group)
        except BaseException as error:  # noqa: BLE001 - a failed COMMIT fails every waiter
            self._rollback()
            transaction.published = []
            # What went wrong first says more: on a full disk SQLite rolls back by itself.
            self._error = _away(group) or f"SQLite: {error}"
            for operation in group:
                # No fault of theirs: the same call may work later.
                operation.error = operation.error or StorageUnavailable(self._error)

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

    def _hand_out(self) -> None:
        while self._committed:
            published, operations = self._committed.popleft()
            try:
                if published:
                    self._publish(published)
            finally:
                self._stall.committed.answered += len(operations)
                for operation in operations:
                    operation.settle(None)

    def _synced(self, operations: list[_Operation], error: OSError | None) -> None:
        self._tell(self._settle, operations, error)

    def _tell(self, function: Callable[..., None], *values: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *values)
        except RuntimeError:
            # The loop has ended, if it did not wait for a disk that did not answer.
            if not self._closed:
                raise

    def _settle(self, operations: list[_Operation], error: OSError | None) -> None:
        if error is not None and self._lost is None:
            message = f"SQLite: the disk did not keep what was written: {error.strerror}"
            self._lost = StorageUnavailable(message)
            self._failed(self._lost)
        try:
            # Whoever awaits may look at what its operation set in motion.
            self._hand_out()
        finally:
            self._stall.kept.answered += len(operations)
            self._outside.difference_update(operations)
            for operation in operations:
                # What a disk says after it has failed is worth nothing.
                operation.settle(self._lost)


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
