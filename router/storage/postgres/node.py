"""A node among others on one PostgreSQL: its row, its lock, its heartbeat, and what it hears.

A node's clock follows the server's, heard with every heartbeat, so that nodes agree on the time.

A node holds its leases while its row is there. Who is dead is found by the survivors: a session's
advisory lock goes with its process, whatever kills it; the row's expiry covers a host that is gone
without a word, and a process that is frozen. The survivors wait for nobody: what others hold of a
dead node's lanes is freed a little later, and until then its row stays, declared dead. Whoever
wakes up and finds that of itself begins anew under another number; what it still tries to write
under the old one matches nothing.

Behind a transaction pooler a session's lock and LISTEN mean nothing: such a node polls, and is
judged by its expiry alone.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from router import __version__
from router.clock import Clock, FollowingClock
from router.errors import StorageUnavailable
from router.failpoints import reach
from router.storage.postgres.engine import (
    begin,
    in_words,
    is_away,
    make_engine,
    raw_of,
    roll_back,
)
from router.storage.postgres.statements.locks import NODE_LOCK
from router.storage.postgres.statements.nodes import (
    BURY,
    DEAD,
    DECLARE_DEAD,
    FREE,
    HEARTBEAT,
    LEAVE,
    NEXT_NODE,
    REGISTER,
)

if TYPE_CHECKING:
    from asyncpg.connection import Connection as Raw

_CHANNEL: Final = "router"
#: Seconds: notices are sent together, at most so often.
_COALESCE: Final = 0.002
#: Seconds between two ticks while something is left to do: to take the lock, while the server
#: still ends who held it before, or to free what somebody held.
_SOON: Final = 0.25
#: Seconds that the server has to answer a heartbeat, or a node's farewell.
_ANSWER: Final = 10.0
#: Seconds that a node has to come back after the server was restarted.
_GRACE: Final = timedelta(seconds=5)
#: Bytes of one notice; the server takes a few more.
_NOTICE: Final = 7000
_NUMBERS: Final = 2147483647
#: The count of crashes that makes a lane a suspect.
_SUSPECT: Final = 1


async def is_pooled(url: str) -> bool:
    """Tell whether something stands between us and the server that may change sessions.

    The server names the process that serves a connection when it is made, and any time it is
    asked. A pooler makes up the first and passes the second on.

    :raises StorageUnavailable: if the database cannot be reached.
    """
    engine = make_engine(url, pooled=True)
    try:
        async with engine.connect() as connection:
            raw = await raw_of(connection)
            serving: int = await raw.fetchval("SELECT pg_backend_pid()")
            return bool(serving != raw.get_server_pid())
    except Exception as error:
        if is_away(error):
            raise in_words(error) from error
        raise
    finally:
        await engine.dispose()


class Node:
    """This process as a node.

    :param clock: follows the server's, if it is one that follows.
    :param pooled: there is a transaction pooler in between.
    :param lease: seconds without a heartbeat after which a node is dead.
    :param tick: seconds between two heartbeats.
    :param heard: called with what another node tells: a kind of lane, or ``{"alias": [...]}``.
    :param changed: called when this node's number has changed: what was leased is lost.
    :param freed: called when lanes of a dead node can be claimed.
    :param silent: called when the server did not answer a heartbeat: whoever else waits for it had
        better not.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        *,
        pooled: bool,
        lease: float,
        tick: float,
        heard: Callable[[Any], None],
        changed: Callable[[], None],
        freed: Callable[[], None],
        silent: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._pooled = pooled
        self._lease = timedelta(seconds=lease)
        self._begin = begin(lease)
        # So that its own heart beats in time, whatever table somebody has locked.
        self._patience = f"SET LOCAL lock_timeout = '{max(1, int(lease * 1000 / 3))}ms'"
        self._tick = tick
        self._heard = heard
        self._changed = changed
        self._freed = freed
        self._silent = silent
        self._connection: AsyncConnection | None = None
        self._raw: Raw[Any] | None = None
        #: Numbers that this node gave up; no work crashed under them.
        self._abandoned: list[int] = []
        self._notices: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._said = asyncio.Event()
        self._holds = False
        #: There are dead nodes of whose leases others hold some.
        self._unburied = False
        self._leaving = False
        self._beating: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        # A driver's connection does one thing at a time.
        self._one = asyncio.Lock()
        #: Set once this node was taken for dead; then another is in its place.
        self.lost = asyncio.Event()
        #: This node's number; ``None`` while it has none, and may lease nothing.
        self.me: int | None = None
        #: Why the last heartbeat failed; ``None`` once one did not.
        self.error: str | None = None

    async def begin(self) -> None:
        """Get a number, free what dead nodes held, and go on doing so.

        :raises StorageUnavailable: if the database is away.
        """
        await self._beat()
        self._beating = asyncio.create_task(self._run(), name="postgres-heartbeat")
        self._telling = asyncio.create_task(self._tell(), name="postgres-notices")

    async def close(self) -> None:
        """Leave; what is still leased is freed by the survivors, or at the next start."""
        # A driver that is busy giving a statement up may answer a cancellation with another error.
        self._leaving = True
        for task in (self._beating, self._telling):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        try:
            async with asyncio.timeout(_ANSWER):
                await self._send()
                with suppress(Exception):
                    await self._leave()
        except TimeoutError:
            self._silent()
        await self._disconnect()

    async def _leave(self) -> None:
        async with self._one:
            if self._raw is not None and self.me is not None:
                await self._raw.fetch(LEAVE, self.me)
            if self._raw is not None and not self._pooled:
                # Told, and not left to the server to notice: a restart may be quicker.
                await self._raw.execute("SELECT pg_advisory_unlock_all()")

    def abandon(self) -> None:
        """Give this number up: nobody can tell what it leases. Another is taken at once."""
        if self.me is not None:
            self._abandoned.append(self.me)
        self._lose()
        self._wake.set()

    def notify(self, what: Any) -> None:
        """Tell the other nodes something soon. A hint: it may be lost."""
        if not self._pooled:
            self._notices[json.dumps(what)] = None
            self._said.set()

    def _lose(self) -> None:
        self.me = None
        self._changed()

    async def _run(self) -> None:
        while not self._leaving:
            held = self._holds or self._pooled or self._raw is None
            rests = held and not self._unburied
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tick if rests else min(self._tick, _SOON)):
                    await self._wake.wait()
            self._wake.clear()
            self._unburied = False
            try:
                await self._beat()
            except Exception as error:  # noqa: BLE001 - a heart goes on beating
                words = error if isinstance(error, StorageUnavailable) else in_words(error)
                self.error = str(words)
                await self._disconnect()

    async def _beat(self) -> None:
        """Say that this node lives, see who does not, and come back if it was taken for dead."""
        try:
            # Counted from before it has the connection, on which a notice may be stuck.
            async with asyncio.timeout(max(self._tick * 5, _ANSWER)), self._one:
                raw = await self._connect()
                if self.me is not None and not await self._lives(raw, self.me):
                    self._lose()
                    self.lost.set()
                    self.lost = asyncio.Event()
                anew = self.me is None
                if self.me is None:
                    self.me = await self._register(raw)
                dead = await self._bury(raw)
        except Exception as error:
            if isinstance(error, TimeoutError):
                # Nothing comes any more, and nobody said so: a line was cut, or the server's
                # machine is gone. A statement would wait a minute to find out, and so would the
                # next one on every other session.
                self._silent()
            if is_away(error):
                raise in_words(error) from error
            raise
        self.error = None
        if dead or anew:
            # What the old number held is free, too.
            self._freed()

    async def _lives(self, raw: "Raw[Any]", me: int) -> bool:
        if not self._holds and not self._pooled:
            # The server may still be busy ending the session that held it before.
            self._holds = await self._hold(raw, me)
        async with self._transaction(raw):
            return await self._timed(raw, HEARTBEAT, me, self._lease) is not None

    async def _register(self, raw: "Raw[Any]") -> int:
        async with self._transaction(raw):
            number = await self._timed(raw, NEXT_NODE)
            assert number is not None  # noqa: S101 - for the type checker
            if not self._pooled:
                # Held before the row can be seen: a survivor never finds it free.
                await raw.execute("SELECT pg_advisory_unlock_all()")
                self._holds = await self._hold(raw, number)
            await raw.execute(
                REGISTER,
                number,
                self._clock.now(),
                self._lease,
                socket.gethostname(),
                __version__,
                self._pooled,
            )
            if self._abandoned:
                await raw.execute(DECLARE_DEAD, self._abandoned)
                await self._free(raw, self._abandoned)
        reach("node.registered")
        return number

    async def _timed(self, raw: "Raw[Any]", statement: str, *arguments: Any) -> int | None:
        """Give the number that a statement gives, if any, and follow the time beside it."""
        asked = self._clock.monotonic()
        rows = await raw.fetch(statement, *arguments)
        if not rows:
            return None
        number: int
        ((number, moment),) = rows
        if isinstance(self._clock, FollowingClock):
            self._clock.follow(moment, asked)
        return number

    @asynccontextmanager
    async def _transaction(self, raw: "Raw[Any]") -> AsyncIterator[None]:
        await raw.execute(self._begin)
        try:
            yield
        except BaseException:
            await roll_back(raw)
            raise
        await raw.execute("COMMIT")

    @staticmethod
    async def _hold(raw: "Raw[Any]", number: int) -> bool:
        lock = "SELECT pg_try_advisory_lock($1, $2)"
        return bool(await raw.fetchval(lock, NODE_LOCK, number % _NUMBERS))

    async def _bury(self, raw: "Raw[Any]") -> bool:
        """Free what dead nodes leased, but for what others hold; say whether there were any.

        That is left to another tick, which comes soon.
        """
        try:
            async with self._transaction(raw):
                rows = await raw.fetch(DEAD, self.me, NODE_LOCK, self._lease, _GRACE)
                dead = [row[0] for row in rows]
                buried = set()
                if dead:
                    await raw.execute(self._patience)
                    await raw.execute(DECLARE_DEAD, dead)
                    await self._free(raw, dead)
                    buried = {row[0] for row in await raw.fetch(BURY, dead)}
                    reach("node.burying")
        except asyncpg.LockNotAvailableError:
            # Somebody has the whole table; at the next tick again.
            return False
        self._unburied = len(buried) < len(dead)
        self._abandoned = [number for number in self._abandoned if number not in buried]
        if dead:
            reach("node.buried")
        return bool(dead)

    async def _free(self, raw: "Raw[Any]", nodes: Sequence[int]) -> None:
        """Free what nobody holds of what nodes leased that were declared dead."""
        own = [number for number in nodes if number in self._abandoned]
        others = [number for number in nodes if number not in own]
        for crashes, numbers in ((0, own), (_SUSPECT, others)):
            if numbers:
                await raw.execute(FREE, numbers, crashes)

    def _on_loss(self, raw: Any) -> None:
        """Take the lock again at once: until then the others take this node for dead."""
        if raw is self._raw:
            self._wake.set()

    # --- hearing and telling

    def _on_notice(self, _: Any, __: int, ___: str, payload: Any) -> None:
        with suppress(ValueError):
            told = json.loads(payload)
            for what in told["told"] if told["by"] != self.me else ():
                self._heard(what)

    async def _tell(self) -> None:
        while not self._leaving:
            await self._said.wait()
            await asyncio.sleep(_COALESCE)
            self._said.clear()
            await self._send()

    async def _send(self) -> None:
        waiting, self._notices = list(self._notices), {}
        if not waiting:
            return
        # What only hints goes down with the connection.
        with suppress(Exception):
            async with self._one:
                raw = await self._connect()
                for chunk in _chunks(waiting):
                    payload = f'{{"by": {self.me or 0}, "told": [{", ".join(chunk)}]}}'
                    await raw.fetch("SELECT pg_notify($1, $2)", _CHANNEL, payload)

    # --- the connection

    async def _connect(self) -> "Raw[Any]":
        if self._raw is not None and self._raw.is_closed():
            await self._disconnect()
        if self._connection is None or self._raw is None:
            connection = await self._engine.connect()
            try:
                raw = await raw_of(connection)
                if not self._pooled:
                    self._holds = False
                    await raw.add_listener(_CHANNEL, self._on_notice)
            except BaseException:
                await connection.invalidate()
                raise
            self._connection, self._raw = connection, raw
            raw.add_termination_listener(self._on_loss)
            # Whatever was told while nobody listened.
            self._freed()
        return self._raw

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        raw, self._raw = self._raw, None
        if raw is not None and not raw.is_closed():
            with suppress(Exception):
                await raw.close(timeout=2.0)
        if connection is not None:
            with suppress(Exception):
                await connection.invalidate()


def _chunks(notices: Sequence[str]) -> list[list[str]]:
    """Give notices in groups that fit into one."""
    chunks: list[list[str]] = [[]]
    size = 0
    for notice in notices:
        if chunks[-1] and size + len(notice) > _NOTICE:
            chunks.append([])
            size = 0
        chunks[-1].append(notice)
        size += len(notice) + 2
    return chunks
