"""One connection to hypercorn's protocols: what comes in, what goes out, and when it ends.

hypercorn's own connection makes and cancels two tasks and a timer each time it falls idle, which
costs a webhook more than being read and answered. Its protocols are used as they are, but for what
:mod:`router.web.plain` says; what is theirs to ask for (tasks, a place to send to) is given here
for less.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from time import time
from typing import TYPE_CHECKING, Any, Final, cast

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.task_group import _handle
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.typing import ConnectionState

from router.web.plain import PlainProtocol

if TYPE_CHECKING:
    from router.web.asgi import ASGIApp

#: Bytes that wait for the protocol before the client is made to wait.
_HIGH_WATER: Final = 1 << 17


class Answering(Config):
    """hypercorn's configuration, with what every answer carries made once a second."""

    accesslog = None
    include_server_header = False

    _second = 0
    _headers: list[tuple[bytes, bytes]]

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """Give the headers that an answer has besides its own."""
        now = int(time())
        if now != self._second:
            self._second, self._headers = now, super().response_headers(protocol)
        return self._headers.copy()


class Connections:
    """All connections of a server, and what they have in common.

    :param keep_alive: how long a connection may wait for its next request, in seconds.
    """

    def __init__(self, app: "ASGIApp", config: Config, *, keep_alive: float) -> None:
        self.app = ASGIWrapper(app)  # type: ignore[arg-type]
        self.config = config
        self.context = WorkerContext(None)
        self.keep_alive = keep_alive
        self.loop = asyncio.get_running_loop()
        self.open: set[Connection] = set()

    def make(self) -> "Connection":
        """Give the protocol of a new connection."""
        return Connection(self)

    async def close(self, patience: float) -> None:
        """End idle connections at once, the others with the answer they are at.

        :param patience: how long they may take, in seconds; then they are cut off.
        """
        await self.context.terminated.set()
        for connection in tuple(self.open):
            connection.end_if_idle()
        tasks = [connection.task for connection in self.open]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience)
            for task in late:
                task.cancel()


class Connection(asyncio.Protocol):
    """Stands between a transport and hypercorn's protocol for it."""

    task: "asyncio.Task[None]"

    def __init__(self, all_: Connections) -> None:
        self._all = all_
        self._loop = all_.loop
        self._transport: asyncio.Transport
        self._protocol: ProtocolWrapper
        self._received: list[bytes] = []
        self._size = 0
        #: Nothing more comes in.
        self._ended = False
        self._reading: asyncio.Future[None] | None = None
        self._writing: deque[asyncio.Future[None]] = deque()
        self._paused = False
        #: How many bytes were written.
        self.written = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        #: Since when no request has been under way; ``None`` while one is.
        self._idle_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        arguments: Any = (
            self._all.app,
            self._all.config,
            self._all.context,
            self,
            ConnectionState({}),
            False,
            _address(transport.get_extra_info("peername")),
            _address(transport.get_extra_info("sockname")),
            self.send,
        )
        self._protocol = ProtocolWrapper(*arguments)
        self._protocol.protocol = PlainProtocol(*arguments)
        self._idle_since = self._loop.time()
        self._timer = self._loop.call_later(self._all.keep_alive, self._look)
        self._all.open.add(self)
        self.task = self._loop.create_task(self._run())

    def data_received(self, data: bytes) -> None:
        self._received.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return True  # the answer may still be on its way

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        while self._writing:
            future = self._writing.popleft()
            if not future.done():
                future.set_result(None)

    # Reading

    def _wake(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)

    async def _read(self) -> bytes:
        """Give what came in, or nothing at the end."""
        while not self._received and not self._ended:
            self._reading = self._loop.create_future()
            await self._reading
        received = self._received
        if not received:
            return b""
        data = received[0] if len(received) == 1 else b"".join(received)
        received.clear()
        if self._size > _HIGH_WATER and not self._transport.is_closing():
            self._transport.resume_reading()
        self._size = 0
        return data

    async def _run(self) -> None:
        try:
            await self._protocol.initiate()
            while data := await self._read():
                await self._protocol.handle(RawData(data))
            await self._protocol.handle(Closed())
            if self._tasks:  # who has sent all of a request may still wait for its answer
                await asyncio.wait(tuple(self._tasks))
        except Exception:
            # Of HTTP/2 there is some that hypercorn breaks at: an address in another script, a
            # tunnel, what still comes of a request that was answered. Whoever sends it is hung
            # up on.
            if not isinstance(self._protocol.protocol, H2Protocol):
                raise
        finally:
            self._all.open.discard(self)
            if self._timer is not None:
                self._timer.cancel()
            for task in tuple(self._tasks):
                task.cancel()
            self._close()

    # What the protocol asks for

    async def send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Updated):
            self._idle_since = self._loop.time() if event.idle else None
            if event.idle and self._all.context.terminated.is_set():
                self._end()
        elif isinstance(event, Closed):
            self._close()

    async def _write(self, data: bytes) -> None:
        if not data:
            return
        transport = self._transport
        if not transport.is_closing():
            transport.write(data)
            self.written += len(data)
            while self._paused:
                future = self._loop.create_future()
                self._writing.append(future)
                await future
        if transport.is_closing():
            await self._protocol.handle(Closed())

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        """Run something beside reading."""
        task = self._loop.create_task(function(*arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def spawn_app(
        self, app: Any, config: Config, scope: Any, send: Any
    ) -> Callable[[Any], Awaitable[None]]:
        """Let the application answer a request; give where its messages go."""
        inbox = _Inbox(config.max_app_queue_size)
        self.spawn(_handle, app, config, scope, inbox.get, send, None, None)
        return inbox.put

    # The end

    def _look(self) -> None:
        """End it if it has been idle for long; else look again when it may have been."""
        now, since = self._loop.time(), self._idle_since
        due = (now if since is None else since) + self._all.keep_alive
        if due <= now:
            self._end()
        else:
            self._timer = self._loop.call_at(due, self._look)

    def end_if_idle(self) -> None:
        """End it, unless a request is under way."""
        if self._idle_since is not None:
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._received.clear()
        self._wake()
        self._close()

    def _close(self) -> None:
        transport = self._transport
        if not transport.is_closing():
            if transport.can_write_eof():
                transport.write_eof()
            transport.close()


class _Inbox:
    """What an application is still to be told of its request: a queue that one task reads.

    asyncio's has locks for what nobody does here, and is made anew for each request.
    """

    __slots__ = ("_messages", "_most", "_waiting")

    def __init__(self, most: int) -> None:
        self._messages: deque[Any] = deque()
        self._most = most
        #: Whoever waits for a message, or for room: never both, while there is some of each.
        self._waiting: list[asyncio.Future[None]] = []

    async def put(self, message: Any) -> None:
        while len(self._messages) >= self._most:
            await self._wait()
        self._messages.append(message)
        self._wake()

    async def get(self) -> Any:
        while not self._messages:
            await self._wait()
        message = self._messages.popleft()
        self._wake()
        return message

    async def _wait(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()


def _address(name: Any) -> tuple[str, int] | None:
    """Give a socket's address as ASGI has it."""
    return (name[0], name[1]) if isinstance(name, tuple) else None
