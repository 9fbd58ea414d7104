"""The flushers of a node: what waits is written together, a few statements for many callers.

Operations queue up while a transaction is on its way to the disk; the next takes all of them. If
one of a group fails, the group is rolled back and halved until the bad one is alone. That is why
operations may run twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from router.errors import StorageUnavailable
from router.storage.postgres.engine import MovedOn, Transaction, in_words, is_away, may_go_well
from router.storage.postgres.queue import Batch, Group, Lock, Operation, Part, Queue
from router.storage.postgres.session import Session

Result = TypeVar("Result")

#: How often what others were in the way of is tried at once.
_TRIES = 8


def _call(tx: Transaction, functions: list[Callable[[Transaction], Any]]) -> list[Any]:
    """Do what has nothing in common."""
    return [function(tx) for function in functions]


class Flusher:
    """Writes what is queued, until it is closed.

    While the server works on a group nothing happens here, and while the next is made up the
    server rests, unless there is another session for it.

    :param sessions: as many groups may be under way, of which none locks what another does, when
        there is much to do.
    :param publish: called after each commit with what operations published.
    :param report: called with its name and why its last group could not be committed, or ``None``
        once one was.
    :param name: what its tasks are called.
    :param behind: a flusher whose locks this one had rather not wait for: what needs a lane that
        is just being written there stands back, and everything else goes on.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        *,
        publish: Callable[[list[Any]], None],
        report: Callable[[str, str | None], None],
        name: str,
        behind: "Flusher | None" = None,
    ) -> None:
        self._publish = publish
        self._report = report
        self._name = name
        self.sessions = tuple(sessions)
        #: Those with nothing to do; the last goes on, so that little to do stays on one of them.
        self._idle = list(reversed(sessions))
        self._tasks: set[asyncio.Task[None]] = set()
        self._told = False
        self._closed = False
        self._ended = asyncio.Event()
        self._before: list[Flusher] = []
        if behind is None:
            self._queue = Queue(len(sessions))
        else:
            self._queue = Queue(len(sessions), behind._queue)  # noqa: SLF001 - of the same class
            behind._before.append(self)  # noqa: SLF001

    async def run(
        self,
        function: Callable[[Transaction], Result],
        locks: Sequence[Lock] = (),
        *,
        alone: bool = False,
    ) -> Result:
        """Run an operation in the next group; return after its commit.

        Once queued it is run and committed even if the caller is cancelled.

        :param locks: what it locks, as far as others could wait for it.
        :param alone: in a group of its own, because nobody knows before what it locks.
        :raises StorageUnavailable: if the database is away; nothing was kept, as far as is known.
        """
        results = await self._offer(_call, [function], locks, alone=alone)
        result: Result = results[0]
        return result

    async def run_batch(
        self,
        batch: Batch,
        parts: Sequence[Any],
        locks: Sequence[Lock] = (),
        *,
        wide: bool = False,
    ) -> list[Any]:
        """Let a batch do its work to parts in the next group, together with others' parts.

        Each part is done alone or not at all; if one cannot be, the others are, and what was
        wrong with it is raised.

        :param batch: must be the same callable each time, as a method of the same object is.
        :param wide: it may lock more than ``locks``: no group is under way beside its own.
        :raises StorageUnavailable: if the database is away; nothing was kept, as far as is known.
        """
        return await self._offer(batch, parts, locks, wide=wide) if parts else []

    def _offer(
        self,
        batch: Batch,
        parts: Sequence[Any],
        locks: Sequence[Lock],
        *,
        wide: bool = False,
        alone: bool = False,
    ) -> "asyncio.Future[list[Any]]":
        if self._closed:
            message = "the database is closed"
            raise StorageUnavailable(message)
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._queue.put(Operation(batch, parts, locks, future, wide=wide, alone=alone))
        self._look()
        return future

    async def close(self) -> None:
        """Finish what is queued and let go of the connections."""
        self._closed = True
        self._look()
        await self._ended.wait()
        for session in self.sessions:
            await session.disconnect()

    def _look(self) -> None:
        """Have it looked into the queue, once whoever is just awake has put theirs in."""
        if not self._told:
            self._told = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Begin the groups that can be."""
        self._told = False
        while group := self._queue.next_group():
            task = asyncio.create_task(self._flush(group), name=f"postgres-{self._name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._closed and not self._queue:
            self._ended.set()

    async def _flush(self, group: Group) -> None:
        session = self._idle.pop()
        try:
            await self._work(session, group.parts)
        finally:
            self._idle.append(session)
            self._queue.done(group)
            for flusher in (self, *self._before):
                flusher._look()  # noqa: SLF001 - of the same class

    async def _work(
        self,
        session: Session,
        group: Sequence[Part],
        tries: int = _TRIES,
        *,
        careful: bool = False,
    ) -> None:
        """Commit a group, or each of its parts that can be."""
        try:
            results, published = await session.write(group, careful=careful)
        except MovedOn:
            await self._work(session, group, tries, careful=True)
            return
        except Exception as error:  # noqa: BLE001 - whatever it was, each caller gets its own answer
            if isinstance(error, StorageUnavailable) or is_away(error):
                await session.disconnect()
                failure = error if isinstance(error, StorageUnavailable) else in_words(error)
                self._report(self._name, str(failure))
                for part in group:
                    self._settle(part, error=failure)
            elif may_go_well(error) and tries:
                # Whoever was in the way has committed, and is seen now.
                await asyncio.sleep(0.002 * (_TRIES - tries))
                await self._work(session, group, tries - 1, careful=careful)
            elif len(group) == 1:
                self._settle(group[0], error=error)
            else:
                middle = len(group) // 2
                await self._work(session, group[:middle])
                await self._work(session, group[middle:])
            return
        self._report(self._name, None)
        # Hand out first: whoever awaits may look at what its operation set in motion.
        if published:
            self._publish(published)
        for part, result in zip(group, results, strict=True):
            self._settle(part, result)

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
