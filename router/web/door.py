"""The door: which connections may stay before they are a request, and while nobody reads on.

Both servers wait for a request's headers without an end, or as long as for the next request, and
neither counts who waits. Both wait without an end for an answer to be read, too; in HTTP/2, for
whoever asked to say that some of it may be sent. A few hundred clients that send one byte now and
then, or read none, would take every descriptor of the process, those of the database among them.
"""

import asyncio
import fcntl
import logging
import resource
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias, cast

from router.web.asgi import ASGIApp, Message, Receive, Scope, Send

#: How long a request's headers may take, in seconds.
PATIENCE: Final = 10.0
#: How long somebody may take nothing of an answer that waits for them, in seconds.
UNREAD: Final = 30.0
#: How long a request's body may be awaited before its connection makes room for others where there
#: are too many, in seconds: those that come and go at once finish.
UNDISTURBED: Final = 1.0

#: More connections than these are of no use to one process.
_MOST: Final = 8192
#: Descriptors that are not for connections: the database, providers, logs.
_OTHERS: Final = 256
#: Who takes fewer bytes than these in that time takes nothing: one now and then is no reading.
_LEAST: Final = 1 << 12
#: Seconds between two warnings that the house is full.
_SAID: Final = 60.0

_LOG: Final = logging.getLogger("router.web")

_Client: TypeAlias = tuple[str, int]


def raise_descriptor_limit() -> None:
    """Allow this process as many open files as it may allow itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # some systems refuse what they call unlimited
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections() -> int:
    """Give how many connections this process can hold and still open its other files."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return _MOST
    return min(_MOST, max(limit // 2, limit - _OTHERS))


class Doors:
    """Counts connections, and closes those that keep us waiting.

    That is for a request's headers, or for somebody to read an answer that fills every buffer.

    Where there are too many, the one that has been idle for longest makes room for a new one; if
    none is idle, the one whose request has been awaited for longest; if none keeps us waiting, the
    new one is refused.

    :param most: how many connections there may be.
    :param patience: how long a request's headers may take, in seconds.
    :param unread: how long somebody may take nothing of an answer, in seconds.
    :param undisturbed: how long a body may be awaited before it makes room, in seconds.
    """

    def __init__(
        self,
        *,
        most: int | None = None,
        patience: float = PATIENCE,
        unread: float = UNREAD,
        undisturbed: float = UNDISTURBED,
    ) -> None:
        self._most = most_connections() if most is None else most
        self._patience = patience
        self._unread = unread
        self._undisturbed = undisturbed
        self._every = min(patience, unread) / 10
        self._open: dict[_Client, _Door] = {}
        self._count = 0
        #: Without a request under way, the longest idle first.
        self._idle: dict[_Door, None] = {}
        #: Waiting for the body of every request under way, and since when, the longest first.
        self._awaited: dict[_Door, float] = {}
        #: With more of an answer to be read than the buffers hold.
        self._full: dict[_Door, None] = {}
        #: With some of an answer that waits to be asked for.
        self._held: dict[_Door, None] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._said: float | None = None

    def behind(self, make: Callable[..., asyncio.Protocol]) -> "Callable[..., asyncio.Protocol]":
        """Give a factory of protocols that stand behind a door."""

        def door(*arguments: Any, **named: Any) -> asyncio.Protocol:
            return _Door(self, make(*arguments, **named))

        return door

    def watched(self, app: ASGIApp) -> ASGIApp:
        """Give the application with a look at which connection has a request under way.

        The server must give the socket's own address as the client.
        """

        async def watching(scope: Scope, receive: Receive, send: Send) -> None:
            client = scope.get("client")
            door = self._open.get(tuple(client)) if client else None
            if door is None:
                await app(scope, receive, send)
                return
            #: Whether its body is awaited; ``None`` until it is asked for.
            awaited: bool | None = None

            async def receiving() -> Message:
                nonlocal awaited
                if awaited is None:
                    awaited = True
                    self._await(door, 1)
                message = await receive()
                if awaited and not message.get("more_body"):
                    awaited = False
                    self._await(door, -1)
                return message

            self._begin(door)
            try:
                # Only HTTP/2 waits for anything but room in the buffers.
                bounded = self._bounded(door, send) if scope["http_version"] == "2" else send
                await app(scope, receiving, bounded)
            finally:
                if awaited:
                    self._await(door, -1)
                self._end(door)

        return watching

    def _begin(self, door: "_Door") -> None:
        door.requests += 1
        door.since = None
        self._idle.pop(door, None)
        self._awaited.pop(door, None)

    def _end(self, door: "_Door") -> None:
        door.requests -= 1
        if not door.requests and door.opened:
            self._idle[door] = None
        self._await(door, 0)

    def _await(self, door: "_Door", change: int) -> None:
        """Note that one body more is awaited, or one less."""
        door.bodies += change
        if door.opened and 0 < door.bodies == door.requests:
            self._awaited.setdefault(door, asyncio.get_running_loop().time())
        else:
            self._awaited.pop(door, None)

    def _bounded(self, door: "_Door", send: Send) -> Send:
        """Give ``send``, which ends when the connection does."""

        async def sending(message: Message) -> None:
            if not door.opened:
                return  # nobody is there to read it
            try:
                async with asyncio.timeout(None) as wait:
                    door.sends.add(wait)
                    self._held[door] = None
                    try:
                        await send(message)
                    finally:
                        door.sends.discard(wait)
                        if not door.sends:
                            self._held.pop(door, None)
                            door.taken = None
            except TimeoutError:
                if door.opened:
                    raise

        return sending

    def enter(self, door: "_Door") -> bool:
        """Let a connection in, if there is room or room can be made."""
        if self._count >= self._most:
            self._warn()
            longest = self._longest()
            if longest is None:
                return False
            longest.close()
        self._count += 1
        self._open[door.client] = door
        self._idle[door] = None
        if self._sweeping is None:
            self._sweep()
        return True

    def _longest(self) -> "_Door | None":
        """Give who has kept us waiting for longest, if anybody has for long enough."""
        for idle in self._idle:
            return idle
        late = asyncio.get_running_loop().time() - self._undisturbed
        for door, since in self._awaited.items():
            return door if since <= late else None
        return None

    def leave(self, door: "_Door") -> None:
        self._count -= 1
        for doors in (self._idle, self._awaited, self._full, self._held):
            doors.pop(door, None)
        if self._open.get(door.client) is door:
            del self._open[door.client]

    def fill(self, door: "_Door") -> None:
        """Note that the server waits until more of an answer is read."""
        self._full[door] = None

    def drain(self, door: "_Door") -> None:
        self._full.pop(door, None)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        late = now - self._patience
        for door in [it for it in self._idle if it.since is not None and it.since <= late]:
            door.close()
        for door in tuple(self._full):
            if not door.is_read(now, within=self._unread):
                door.close()
        for door in [it for it in self._held if it not in self._full]:
            if not door.is_taken(now, within=self._unread):
                door.close()
        again = self._count > 0
        self._sweeping = loop.call_later(self._every, self._sweep) if again else None

    def _warn(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._said is None or now - self._said >= _SAID:
            self._said = now
            _LOG.warning(
                "there are %d connections, and more come: those that keep us waiting make room, or "
                "new ones are refused. Raise the limit of open files, or let fewer in at the proxy",
                self._most,
            )


class _Door(asyncio.Protocol):
    """Stands between a connection and the server's protocol for it."""

    def __init__(self, doors: Doors, inside: asyncio.Protocol) -> None:
        self._doors = doors
        self._inside = inside
        self._transport: asyncio.Transport | None = None
        #: The server's protocol knows of the connection.
        self._entered = False
        #: The connection counts.
        self.opened = False
        self.client: _Client = ("", 0)
        self.requests = 0
        #: Of so many requests the body is awaited.
        self.bodies = 0
        #: Each ends the wait of a part of an answer that waits to be asked for.
        self.sends: set[asyncio.Timeout] = set()
        #: What was written when some of such an answer was last seen to be, and when that was.
        self.taken: tuple[int, float] | None = None
        #: Since when a request's headers have been on their way; ``None`` while none are.
        self.since: float | None = None
        #: What waits to be read, and since when that has been so.
        self._unread: tuple[int, float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        self.client = tuple((transport.get_extra_info("peername") or ("", 0))[:2])
        self.since = asyncio.get_running_loop().time()
        self.opened = self._entered = self._doors.enter(self)
        if self.opened:
            self._inside.connection_made(transport)
        else:
            self._abort()

    def data_received(self, data: bytes) -> None:
        if not self._entered:
            return
        if not self.requests and self.since is None:
            self.since = asyncio.get_running_loop().time()
        self._inside.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inside.eof_received() if self._entered else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        if self._entered:
            self._inside.connection_lost(exc)

    def pause_writing(self) -> None:
        if self.opened:
            self._doors.fill(self)
        self._inside.pause_writing()

    def resume_writing(self) -> None:
        self._unread = None
        self._doors.drain(self)
        self._inside.resume_writing()

    def is_read(self, now: float, *, within: float) -> bool:
        """Say whether something of what waits to be read was taken in time.

        :param within: how long that may take, in seconds.
        """
        waits = _waiting(self._transport)
        if self._unread is None or waits <= self._unread[0] - _LEAST:
            self._unread = waits, now
        most, since = self._unread
        self._unread = max(most, waits), since  # what was added to it since is no reading
        return now - since < within

    def is_taken(self, now: float, *, within: float) -> bool:
        """Say whether something of what waits to be asked for was written in time.

        :param within: how long that may take, in seconds.
        """
        written: int = getattr(self._inside, "written", 0)  # as our connection counts it
        if self.taken is None or written >= self.taken[0] + _LEAST:
            self.taken = written, now
        return now - self.taken[1] < within

    def close(self) -> None:
        """Hang up at once: what was not a request yet gets no answer."""
        self._leave()
        self._abort()

    def _leave(self) -> None:
        if self.opened:
            self.opened = False
            self._doors.leave(self)
            for wait in self.sends:
                wait.reschedule(asyncio.get_running_loop().time())

    def _abort(self) -> None:
        # Not close(): that waits until what was written is read, by whoever does not read.
        if self._transport is not None:
            self._transport.abort()


def _waiting(transport: asyncio.Transport | None) -> int:
    """Give how many bytes the other side has not taken: ours, and the system's where it tells.

    The system takes more of ours only when a good part of its own has gone, which takes a slow
    reader long.
    """
    if transport is None:
        return 0
    waits = transport.get_write_buffer_size()
    with suppress(OSError, ValueError, AttributeError):  # not every system tells
        descriptor = transport.get_extra_info("socket").fileno()
        told = fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0" * struct.calcsize("i"))
        waits += struct.unpack("i", told)[0]
    return waits
