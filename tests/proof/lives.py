"""What happens in the place of a node: one process after another lives, suffers and dies."""

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import anyio
import anyio.abc
import anyio.to_thread

from tests.acceptance.daemon import wait_for
from tests.proof import site
from tests.proof.database import Database
from tests.proof.kills import Death, Kill, Trouble
from tests.proof.load import Town
from tests.proof.nodes import PATIENCE, POLLED, RECOVERY, Node, until
from tests.proof.recovery import Stopwatch
from tests.proof.report import Result

#: How long a frozen node stays so, in seconds: longer than its lease.
FROZEN = site.LEASE * 1.5
#: How long a database is locked by somebody else: longer than the router waits for a lock.
LOCKED = 8.0
#: What of it, where not all of it is.
TABLES = ("contact", "conversation", "inbox_event", "lane", "node", "outbox")
#: So many failpoints that were not reached in time are tried once more in an episode.
AGAIN = 3


class Lives:
    """Kills nodes and starts them again, until every death of an episode was died.

    :param deaths: whichever node comes next takes the next one.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        deaths: Iterable[Death],
        database: Database,
        town: Town,
        result: Result,
        chance: random.Random,
    ) -> None:
        self._nodes = nodes
        self._deaths = deque(deaths)
        self._database = database
        self._town = town
        self._result = result
        self._chance = chance
        self._watch = Stopwatch(database)
        self._again = AGAIN
        #: Troubles under way.
        self._suffering = 0
        #: One process starts at a time, and none while the database is away.
        self._gate = anyio.Lock()
        #: A process that could not live; nothing can be said of what comes after.
        self.stuck = False

    async def run(self) -> None:
        """Return when every death was died, and every node serves again."""
        async with anyio.create_task_group() as watching, anyio.create_task_group() as lives:
            for node in self._nodes:
                lives.start_soon(self._live, node, watching)
        self._result.restarts += self._watch.restarts
        self._result.survivals += self._watch.survivals

    async def _live(self, node: Node, watching: anyio.abc.TaskGroup) -> None:
        """Let one process after another live here, and the last one stay."""
        died, done = 0.0, -1
        while self._deaths and not self.stuck:
            death = self._deaths.popleft()
            async with anyio.create_task_group() as restart:
                self._watch_restart(restart, node, died, done)
                kill = await self._life(node, death)
                restart.cancel_scope.cancel()
            self._result.kills.append(kill)
            if kill.asked and not kill.reached and self._again:
                # It did not come there in time; somebody else may.
                self._again -= 1
                self._deaths.append(Death(failpoint=kill.asked))
            died, done = time.monotonic(), await self._watch.progress()
            if node.identity is not None:
                survived = self._survivors()
                watching.start_soon(self._watch.watch_survivors, node.identity, died, survived)
        async with anyio.create_task_group() as restart:
            self._watch_restart(restart, node, died, done)
            if await self._begin(node, None) is None:
                status = await node.buried()
                self._broken(f"node {node.number} ended by itself with {status}")
                self.stuck = True
                restart.cancel_scope.cancel()
            else:
                await anyio.to_thread.run_sync(_becomes_ready, node)

    def _watch_restart(
        self, tasks: anyio.abc.TaskGroup, node: Node, died: float, done: int
    ) -> None:
        # With several nodes, another one has moved work on meanwhile.
        if died and len(self._nodes) == 1:
            tasks.start_soon(self._watch.watch_restart, node, died, done)

    def _survivors(self) -> Callable[[], bool]:
        """Give what tells whether one of those who serve now has done so ever since."""
        living = [(one, one.daemon.pid) for one in self._nodes if one.door is not None]

        def survived() -> bool:
            return not self._suffering and any(
                one.door is not None and one.daemon.pid == process for one, process in living
            )

        return survived

    async def _begin(self, node: Node, failpoint: str | None) -> float | None:
        """Start a node, alone, and note its number among the others."""
        async with self._gate:
            boot = await node.start(failpoint)
            if boot is not None:
                self._result.boots.append(round(boot, 3))
                await self._identify(node)
            return boot

    async def _identify(self, node: Node) -> None:
        if len(self._nodes) > 1:
            others = {other.identity for other in self._nodes if other is not node}
            node.identity = await self._watch.newest(others)

    async def _life(self, node: Node, death: Death) -> Kill:
        asked = death.failpoint
        if asked is None and not death.serving:
            async with self._gate:
                with anyio.move_on_after(death.delay):
                    await node.start()
        elif asked is not None:
            if await self._begin(node, f"{asked}:{death.count}") is not None:
                patience = POLLED if asked.startswith("poll.") else PATIENCE
                await until(lambda: not node.daemon.alive, patience)
        elif await self._begin(node, None) is not None:
            if death.trouble is not None:
                self._suffering += 1
                await self._suffer(node, death.trouble)
                self._suffering -= 1
            await anyio.sleep(death.delay)
        reached = not node.daemon.alive
        if not reached:
            await node.kill()
        else:
            status = await node.buried()
            if status != -9 or asked is None:
                self._broken(
                    f"node {node.number} ended by itself with {status}, before it could die {death}"
                )
                self.stuck = True
        return Kill(
            reached=asked if reached else None,
            asked=asked,
            moment=str(death),
            trouble=death.trouble,
        )

    # --- troubles

    async def _suffer(self, node: Node, trouble: Trouble) -> None:
        """Let something befall a node or the database, from which it has to recover by itself."""
        troubles = self._result.troubles
        troubles[trouble] = troubles.get(trouble, 0) + 1
        await anyio.sleep(0.5)
        if trouble == "frozen":
            await node.freeze(FROZEN)
        elif trouble == "disk full":
            async with self._gate:
                await self._fill_disk(node)
        elif trouble == "locked":
            async with self._gate:
                await self._database.lock(self._chance.choice(TABLES), LOCKED)
        else:
            async with self._gate:
                await self._database.restart(gently=self._chance.random() < 0.5)
        before = self._town.answers.get(200, 0)
        if not await until(lambda: self._town.answers.get(200, 0) > before + 5, RECOVERY):
            self._broken(f"no webhook was taken any more after: {trouble}")
        if not await anyio.to_thread.run_sync(_becomes_ready, node):
            self._broken(
                f"node {node.number} is not ready after: {trouble}: {node.daemon.health()}"
            )
        await self._identify(node)

    async def _fill_disk(self, node: Node) -> None:
        refused = self._town.answers.get(503, 0)
        await self._database.fill(node.daemon.pid)
        try:
            if not await until(lambda: self._town.answers.get(503, 0) > refused, RECOVERY):
                self._broken("the disk was full, and no webhook was answered with 503")
            await anyio.sleep(1)
        finally:
            await self._database.free(node.daemon.pid)

    def _broken(self, sentence: str) -> None:
        self._result.broken.append(sentence)


def _becomes_ready(node: Node) -> bool:
    try:
        wait_for(lambda: node.daemon.ready, "ready", RECOVERY)
    except AssertionError:
        return False
    return True
