"""A plugin context for tests: scripted replies, a recorded log, a fake clock."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

import httpx

from router.domain.identity import MAIN_TENANT
from router.logs import OWN
from router.plugin.host import webhook_url
from router.plugin.sockets import Socket
from router.plugin.testing.clock import FakeClock
from router.plugin.testing.sockets import Dialogue, SocketServer
from router.plugin.threads import InstanceThreads

_T = TypeVar("_T")

#: What a provider does with one request: answers, breaks the connection, or computes an answer.
Reply: TypeAlias = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]

#: Where the tests' router is reached.
PUBLIC_URL = "https://router.example"

#: A table's, unless it says otherwise.
_TIMEOUT = 30.0
_FRAMING = {"content-encoding", "content-length", "transfer-encoding"}


class UnexpectedRequestError(AssertionError):
    """A plugin made a request for which no reply was scripted."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One call of the log."""

    level: str
    event: str
    values: dict[str, Any] = field(default_factory=dict)


class RecordingLog:
    """A :class:`router.plugin.Log` that keeps what it is told in :attr:`entries`.

    It raises ``TypeError`` for a value by a name that a line has of its own.
    """

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []

    def debug(self, event: str, /, **values: Any) -> None:
        self._keep("debug", event, values)

    def info(self, event: str, /, **values: Any) -> None:
        self._keep("info", event, values)

    def warning(self, event: str, /, **values: Any) -> None:
        self._keep("warning", event, values)

    def error(self, event: str, /, **values: Any) -> None:
        self._keep("error", event, values)

    def _keep(self, level: str, event: str, values: dict[str, Any]) -> None:
        if own := sorted(OWN & values.keys()):
            message = f"a line of the log has of its own: {', '.join(own)}"
            raise TypeError(message)
        self.entries.append(LogEntry(level, event, values))


class FakeContext:
    """A :class:`router.plugin.PluginContext` whose provider is a script.

    Each request takes the next reply. One request too many raises
    :class:`UnexpectedRequestError` and stays visible in :attr:`unexpected`; a reply that nobody
    asked for stays in :attr:`unused`. Use it as an async context manager, or call ``aclose()``.

    A WebSocket is a real one, to a server on this machine, :attr:`server`, whatever its address;
    each takes the next dialogue. :attr:`opened` has the addresses that were asked for. A thread is
    a real one, too, and there are as many as the host gives.

    :param sockets: the dialogues; since 1.1.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        *replies: Reply,
        name: str = "test",
        tenant: str = MAIN_TENANT,
        clock: FakeClock | None = None,
        sockets: Sequence[Dialogue] = (),
    ) -> None:
        self.name = name
        self.tenant = tenant
        self.clock = clock or FakeClock()
        self.log = RecordingLog()
        self.requests: list[httpx.Request] = []
        self.unexpected: list[httpx.Request] = []
        self.opened: list[str] = []
        self.server = SocketServer(*sockets)
        self._replies = deque(replies)
        self._threads = InstanceThreads(_TIMEOUT / 2)
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    @property
    def unused(self) -> tuple[Reply, ...]:
        """The replies that no request has taken yet."""
        return tuple(self._replies)

    def script(self, replies: Iterable[Reply]) -> None:
        """Add replies at the end of the script."""
        self._replies.extend(replies)

    async def in_thread(self, function: Callable[[], _T]) -> _T:
        return await self._threads.run(function)

    def webhook_url(self, endpoint: str = "", **query: str) -> str:
        return webhook_url(PUBLIC_URL, self.tenant, self.name, endpoint, query)

    @asynccontextmanager
    async def websocket(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        max_size: int = 1024 * 1024,
        public: bool = False,
    ) -> AsyncIterator[Socket]:
        from router.plugin.websockets import check_address, open_socket

        check_address(url, public=public)
        self.opened.append(url)
        await self.server.start()
        dialogue = next(iter(self.server.unused), None)
        if dialogue is not None and dialogue.url not in (None, url):
            self.server.problems.append(f"URL: expected {dialogue.url!r}, got {url!r}")
        parts = urlsplit(url)
        here = f"{self.server.url}{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        opening = open_socket(here, headers=headers, subprotocols=subprotocols, max_size=max_size)
        async with opening as socket:
            yield socket

    async def aclose(self) -> None:
        await self.server.aclose()
        await self.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if not self._replies:
            self.unexpected.append(request)
            message = f"no reply is scripted for {request.method} {request.url}"
            raise UnexpectedRequestError(message)
        reply = self._replies.popleft()
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, httpx.Response):
            return _copy(reply)
        return reply(request)


def _copy(response: httpx.Response) -> httpx.Response:
    """Give a fresh response: one object cannot be the answer of two requests."""
    headers = [(name, value) for name, value in response.headers.items() if name not in _FRAMING]
    return httpx.Response(response.status_code, headers=headers, content=response.content)
