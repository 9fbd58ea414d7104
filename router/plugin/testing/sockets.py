"""A WebSocket server on this machine that follows a script."""

import asyncio
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from router.errors import OutcomeUnknown, ProviderError, Refused, Unavailable

if TYPE_CHECKING:
    from aiohttp import web


@dataclass(frozen=True, slots=True)
class Says:
    """The server sends a message.

    :param message: a text, sent as it is, or anything else, sent as JSON.

    .. versionadded:: 1.1
    """

    message: Any


@dataclass(frozen=True, slots=True)
class Hears:
    """The server waits for a message.

    :param message: what it has to be: a text, or JSON. Any message will do if it is left out.

    .. versionadded:: 1.1
    """

    message: Any = ...

    def difference(self, text: str) -> str | None:
        """Say how a message differs, or ``None``."""
        if self.message is ...:
            return None
        heard: Any = text
        if not isinstance(self.message, str):
            with suppress(ValueError):
                heard = json.loads(text)
        if heard == self.message:
            return None
        return f"the server expected to hear {self.message!r}, and heard {heard!r}"


@dataclass(frozen=True, slots=True)
class Closes:
    """The server says goodbye.

    .. versionadded:: 1.1
    """

    code: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Drops:
    """The server is gone, without a word.

    .. versionadded:: 1.1
    """


@dataclass(frozen=True, slots=True)
class Refuses:
    """The server opens no WebSocket and answers by HTTP; the first step of a dialogue, or none.

    .. versionadded:: 1.1
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


#: Failures after which the host may ask again.
_PASSING = (Unavailable, OutcomeUnknown)

Step: TypeAlias = Says | Hears | Closes | Drops | Refuses


@dataclass(frozen=True, init=False)
class Dialogue:
    """What the server does with one connection, step by step; then it waits for the client to go.

    :param url: the whole address that has to be asked for; looked at only if given.
    :param headers: these have to be there, with these values.

    .. versionadded:: 1.1
    """

    steps: tuple[Step, ...]
    url: str | None
    headers: Mapping[str, str]

    def __init__(
        self, *steps: Step, url: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "url", url)
        object.__setattr__(self, "headers", headers or {})


@dataclass(slots=True)
class Connection:
    """One connection that a client made or tried to make.

    :param target: the path and query that it asked for.
    :param headers: names lower case.
    :param heard: the texts that it sent.
    """

    target: str
    headers: Mapping[str, str]
    heard: list[str] = field(default_factory=list)


class SocketServer:
    """A WebSocket server on a real socket of this machine; each connection takes a dialogue.

    Use it as an async context manager; :attr:`url` is its address. A connection too many is closed
    with 1013 and stays in :attr:`unexpected`; what a client said otherwise than the script has it
    stands in :attr:`problems`.

    :param patience: how long the server waits for what it expects to hear, in seconds.

    .. versionadded:: 1.1
    """

    def __init__(self, *dialogues: Dialogue, patience: float = 10.0) -> None:
        self._patience = patience
        self.connections: list[Connection] = []
        self.unexpected: list[Connection] = []
        self.problems: list[str] = []
        self.url = ""
        self._dialogues = deque(dialogues)
        self._runner: web.AppRunner | None = None
        self._open: set[web.WebSocketResponse] = set()

    @property
    def unused(self) -> tuple[Dialogue, ...]:
        """The dialogues that no connection has taken yet."""
        return tuple(self._dialogues)

    def script(self, dialogues: Sequence[Dialogue]) -> None:
        """Add dialogues at the end of the script."""
        self._dialogues.extend(dialogues)

    async def start(self) -> None:
        """Begin to listen; harmless where it does."""
        if self._runner is not None:
            return
        from aiohttp import web

        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"ws://127.0.0.1:{self._runner.addresses[0][1]}"

    async def aclose(self) -> None:
        """Hang up and listen no more."""
        for each in tuple(self._open):
            _drop(each)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def _serve(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        headers = {name.lower(): value for name, value in request.headers.items()}
        connection = Connection(request.raw_path, headers)
        if not self._dialogues:
            self.unexpected.append(connection)
            return web.Response(status=503)
        self.connections.append(connection)
        dialogue = self._dialogues.popleft()
        for name, value in dialogue.headers.items():
            if headers.get(name.lower()) != value:
                got = headers.get(name.lower())
                self.problems.append(f"header {name}: expected {value!r}, got {got!r}")
        steps = dialogue.steps
        if steps and isinstance(steps[0], Refuses):
            return web.Response(status=steps[0].status, headers=dict(steps[0].headers))
        offered = [it.strip() for it in headers.get("sec-websocket-protocol", "").split(",")]
        socket = web.WebSocketResponse(protocols=[it for it in offered if it], timeout=1.0)
        await socket.prepare(request)
        self._open.add(socket)
        try:
            for step in steps:
                if not await self._take(step, socket, connection):
                    return socket
            await self._listen(socket, connection)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            self._open.discard(socket)
        return socket

    async def _take(
        self, step: Step, socket: "web.WebSocketResponse", connection: Connection
    ) -> bool:
        """Take one step; give whether there may be another one."""
        from aiohttp import WSMsgType

        match step:
            case Says(message):
                text = message if isinstance(message, str) else json.dumps(message)
                await socket.send_str(text)
            case Hears():
                try:
                    got = await socket.receive(timeout=self._patience)
                except TimeoutError:
                    waited = f"the server waited {self._patience:g} s to hear {step.message!r}"
                    self.problems.append(waited)
                    return False
                if got.type is not WSMsgType.TEXT:
                    if step.message is not ...:
                        self.problems.append(f"the client went before it said {step.message!r}")
                    return False
                connection.heard.append(got.data)
                difference = step.difference(got.data)
                if difference is not None:
                    self.problems.append(difference)
            case Closes(code, reason):
                await socket.close(code=code, message=reason.encode())
                return False
            case Drops():
                _drop(socket)
                return False
            case Refuses():
                self.problems.append("Refuses has to be the first step of a dialogue")
                return False
        return True

    @staticmethod
    async def _listen(socket: "web.WebSocketResponse", connection: Connection) -> None:
        from aiohttp import WSMsgType

        async for message in socket:
            if message.type is WSMsgType.TEXT:
                connection.heard.append(message.data)


def socket_failures() -> Iterator[tuple[str, Dialogue, tuple[type[ProviderError], ...]]]:
    """Give each way in which a WebSocket fails, with a label and what it may be told as.

    A WebSocket that did not open took nothing. One that ended may have been heard; an AI backend,
    which has no side effects, may also say that it is of no use to ask again, where the server's
    code says so.
    """
    for status in (301, 400, 401, 403, 404):
        yield f"handshake {status}", Dialogue(Refuses(status)), (Refused,)
    for status in (429, 500, 502, 503):
        yield f"handshake {status}", Dialogue(Refuses(status)), (Unavailable,)
    for code in (1000, 1002, 1008, 1011):
        kinds = (Unavailable, OutcomeUnknown, Refused) if code == 1008 else _PASSING
        yield f"closed with {code}", Dialogue(Closes(code, "for a test")), kinds
        yield f"closed with {code} when asked", Dialogue(Hears(), Closes(code)), kinds
    yield "lost", Dialogue(Drops()), _PASSING
    yield "lost when asked", Dialogue(Hears(), Drops()), _PASSING
    yield "not JSON", Dialogue(Says("<html>"), Closes(1011)), _PASSING
    yield "another shape", Dialogue(Says([1, None]), Says({"type": 7}), Closes(1011)), _PASSING


def _drop(socket: "web.WebSocketResponse") -> None:
    request = socket._req  # noqa: SLF001 - there is no other way to its connection
    if request is not None and request.transport is not None:
        request.transport.abort()
