"""The worker: takes events that are leased to this node, decides, commits.

Deciding is quick and waits for nothing, so one loop does it for all lanes, in batches; commits of
several batches may be on their way to the disk at once. One lane's events never overlap, because
the next one is offered only by the commit of the one before.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

import anyio
import anyio.abc
import anyio.lowlevel

from router.clock import Clock
from router.domain.outbox import Backoff, ItemKind
from router.errors import StorageUnavailable, place_of
from router.failpoints import reach
from router.metrics import Metrics
from router.pipeline.instances.busy import Busy
from router.pipeline.instances.elsewhere import Elsewhere
from router.pipeline.intake.rush import Rush
from router.pipeline.triage.triage import Triage
from router.plugin.context import Log
from router.rules.texts import prepare
from router.storage.store import Commit, Store, Work
from router.threads import Threads

#: Tries before an event is a dead letter.
MAX_ATTEMPTS = 5
#: Crashes around one event before it is a dead letter. The first only makes it a suspect.
MAX_CRASHES = 4

_BATCH = 64
#: Events decided without a pause; in a pause whoever knocks is let in.
_STRETCH = 16
#: Batches whose commits may be under way at once.
_DEPTH = 4
_BACKOFF = Backoff(base=2.0, cap=300.0)
#: Seconds to wait while the database is away.
_STORAGE_PAUSE = 1.0


class Worker:
    """Works events until cancelled.

    :param triage: gives the triage of the configuration in force; asked for each batch.
    :param rush: what work gives way to.
    """

    def __init__(
        self,
        store: Store,
        triage: Callable[[], Triage],
        clock: Clock,
        log: Log,
        metrics: Metrics,
        rush: Rush,
    ) -> None:
        self._store = store
        self._triage = triage
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._rush = rush
        self._depth = anyio.Semaphore(_DEPTH, fast_acquire=True)
        self._elsewhere = Elsewhere(store, clock, log)
        self._busy = Busy()
        self._alone = anyio.Lock()
        self._prepared = False

    async def idle(self) -> None:
        """Wait until no event is being worked."""
        await self._busy.idle()

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            while True:
                await self._depth.acquire()
                try:
                    works = await self._store.claim(await self._rush.give_way(_BATCH))
                except StorageUnavailable as error:
                    self._depth.release()
                    self._log.error("the database is away", error=str(error))
                    await anyio.sleep(_STORAGE_PAUSE)
                    continue
                except BaseException:
                    self._depth.release()
                    raise
                tasks.start_soon(self._batch, works)

    async def _batch(self, works: list[Work]) -> None:
        try:
            with self._busy.one():
                await self._work(works)
        except StorageUnavailable as error:
            self._log.error("the database is away", error=str(error))
            await self._give_back(works)
        finally:
            self._depth.release()

    async def _work(self, works: list[Work]) -> None:
        reach("worker.claimed")
        triage = self._triage()
        works = [it for it in works if not await self._elsewhere.takes(it, triage.missing(it))]
        commits: list[Commit] = []
        for place, work in enumerate(works, 1):
            if not work.crashes:
                commit = await self._decide(triage, work)
                if commit is not None:
                    commits.append(commit)
            if place % _STRETCH == 0:
                await anyio.lowlevel.checkpoint()
        if commits:
            reach("worker.decided")
            await self._complete(triage, commits)
            reach("worker.completed")
        # The more often a process died around one, the later it comes: what else waits is done
        # before it can do harm again, and no bystander is always the first to be blamed.
        for work in sorted(works, key=lambda work: work.crashes):
            if work.crashes:
                await self._suspect(triage, work)

    async def _decide(self, triage: Triage, work: Work) -> Commit | None:
        try:
            return triage.decide(work)
        except Exception as error:  # noqa: BLE001 - a worker turn: one bad event fails alone
            await self._failed(triage, work, error)
            return None

    async def _suspect(self, triage: Triage, work: Work) -> None:
        """Work an event around which a process died: alone, and counted before it is touched."""
        async with self._alone:
            await self._prepare()
            if work.crashes >= MAX_CRASHES:
                error = f"the process died {work.crashes} times while it was worked"
                await self._give_up(triage, work, error)
                return
            await self._store.suspect(work)
            commit = await self._decide(triage, work)
            if commit is not None:
                await self._complete(triage, [commit])

    async def _prepare(self) -> None:
        """Load what the first event that needs it would wait for, some tenths of a second long.

        If the process dies in that time, that event is not to blame.
        """
        if not self._prepared:
            await Threads(1).run(prepare)
            await self._store.write(lambda _: None)
            self._prepared = True

    async def _complete(self, triage: Triage, commits: list[Commit]) -> None:
        try:
            await self._commit(commits)
        except StorageUnavailable:
            raise
        except Exception:  # noqa: BLE001 - a worker turn: find out which of them it was
            for commit in commits:
                try:
                    await self._commit([commit])
                except StorageUnavailable:
                    raise
                except Exception as error:  # noqa: BLE001
                    await self._failed(triage, commit.work, error)

    async def _commit(self, commits: list[Commit]) -> None:
        metrics = self._metrics
        for commit in commits:
            # Before an answer can be on its way.
            if any(item.kind is ItemKind.MESSAGE for item in commit.items):
                metrics.turns.begin(commit.work.ref, _began(commit.work))
        await self._store.complete(commits)
        now = self._clock.now()
        for commit in commits:
            work, decision = commit.work, commit.decision
            metrics.events.count(work.tenant, work.event.kind, commit.outcome)
            if decision is None:
                continue
            outcome = decision.outcome.word
            if commit.outcome in (outcome, "dead"):  # else the real decision is still to come
                metrics.decisions.count(work.tenant, outcome)
                waited = (now - _began(work)).total_seconds()
                metrics.decided_seconds.observe(waited, work.tenant, outcome)

    async def _give_back(self, works: list[Work]) -> None:
        """Wait for the database, then let what was not committed be worked again."""
        while True:
            await anyio.sleep(_STORAGE_PAUSE)
            try:
                await self._store.release(works)
            except StorageUnavailable:
                continue
            return

    async def _failed(self, triage: Triage, work: Work, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        self._metrics.event_failures.count(work.tenant)
        self._log.error(
            "event failed",
            ref=str(work.ref),
            attempt=work.attempts + 1,
            error=reason,
            where=place_of(error),
        )
        if work.attempts + 1 < MAX_ATTEMPTS:
            wait = _BACKOFF.delay(work.attempts, random.random())
            await self._store.fail(work, reason, self._clock.now() + timedelta(seconds=wait))
            return
        await self._give_up(triage, work, reason)

    async def _give_up(self, triage: Triage, work: Work, reason: str) -> None:
        """Make a dead letter of an event, with an apology to whoever waits for an answer."""
        try:
            await self._commit([triage.give_up(work, reason)])
        except StorageUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the dead letter must stand, even alone
            self._log.error(
                "no apology", ref=str(work.ref), error=repr(error), where=place_of(error)
            )
            await self._commit([Commit(work=work, outcome="dead", dead_error=reason)])


def _began(work: Work) -> datetime:
    """Give since when somebody has been waiting for what this event leads to."""
    turn = None if work.conversation is None else work.conversation.turn.started_at
    return turn or work.received_at
