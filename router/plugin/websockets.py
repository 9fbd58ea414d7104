"""Where WebSockets are opened, and each way in which that fails is told for what it is.

Import it late, like :mod:`router.plugin.transport`, whose certificates it shares: it brings aiohttp
with it.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import anyio
from aiohttp import ClientWSTimeout, WSMsgType
from aiohttp.abc import AbstractResolver, ResolveResult

from router import __version__
from router.errors import ProviderError, Refused, SocketClosed, Unavailable
from router.plugin.addresses import is_private, is_public
from router.plugin.http import seconds_to_wait
from router.plugin.resolver import shared_resolver
from router.plugin.transport import trusted_certificates

#: At most so many seconds are spent until a socket is open.
MAX_OPEN: Final = 10.0
#: Seconds between two pings of ours; without a sign of life for half as long after one, the
#: connection is given up.
PING: Final = 20.0
#: Seconds that the other side has to say goodbye, too.
GOODBYE: Final = 2.0

_LOST: Final = 1006
_UNSUPPORTED: Final = 1003


class AiohttpSocket:
    """A :class:`~router.plugin.Socket` on a real connection."""

    def __init__(self, connection: "aiohttp.ClientWebSocketResponse[bool]", host: str) -> None:
        self._connection = connection
        self._host = host
        self._ended: SocketClosed | None = None

    async def send(self, text: str) -> None:
        if self._ended is not None:
            raise self._ended
        try:
            await self._connection.send_str(text)
        except (aiohttp.ClientError, OSError):
            raise self._end(self._connection.close_code or _LOST) from None

    async def receive(self) -> str:
        if self._ended is not None:
            raise self._ended
        message = await self._connection.receive()
        match message.type:
            case WSMsgType.TEXT:
                return str(message.data)
            case WSMsgType.CLOSE:
                raise self._end(message.data or 1005, str(message.extra or ""))
            case WSMsgType.BINARY:
                await self._connection.close(code=_UNSUPPORTED)
                raise self._end(_UNSUPPORTED, "it sent bytes where text was expected")
            case WSMsgType.ERROR:
                wrong = message.data
                code = getattr(wrong, "code", None)
                raise self._end(code or _LOST, str(wrong) if code else "")
            case _:
                raise self._end(_LOST)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        with anyio.move_on_after(GOODBYE * 2, shield=True):
            await self._connection.close(code=code, message=reason.encode()[:120])
        if self._ended is None:
            self._ended = SocketClosed(code, "we closed it", who=self._host)

    def _end(self, code: int, said: str = "") -> SocketClosed:
        if self._ended is None:
            self._ended = SocketClosed(code, " ".join(said.split()), who=self._host)
        return self._ended


@asynccontextmanager
async def open_socket(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] = (),
    max_size: int = 1024 * 1024,
    public: bool = False,
    timeout: float = 30.0,
    ping: float = PING,
    verify: ssl.SSLContext | None = None,
    resolver: AbstractResolver | None = None,
) -> AsyncIterator[AiohttpSocket]:
    """Open a WebSocket; see :meth:`router.plugin.PluginContext.websocket`.

    :param timeout: that of the instance's table, in seconds.
    :param ping: seconds between two pings of ours.
    :param verify: the certificates to trust; by default those of :mod:`router.plugin.transport`.
    :param resolver: what finds a name's addresses; by default that of the whole process.
    """
    host = check_address(url, public=public)
    plain = urlsplit(url).scheme == "ws"
    guard = _Guard(resolver or shared_resolver(), plain=plain, public=public)
    connector = aiohttp.TCPConnector(
        ssl=verify or trusted_certificates(), resolver=guard, use_dns_cache=False, limit=1
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_never_follow,),
        trust_env=False,
        headers={"User-Agent": f"channel-router/{__version__}"},
        # Not the whole socket's: how long its parts may take is said below.
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        try:
            with anyio.fail_after(min(timeout / 2, MAX_OPEN)):
                connection = await session.ws_connect(
                    url,
                    headers=dict(headers or {}),
                    protocols=subprotocols,
                    max_msg_size=max_size,
                    heartbeat=ping,
                    timeout=ClientWSTimeout(ws_close=GOODBYE),
                )
        except (TimeoutError, OSError, ValueError, aiohttp.ClientError) as error:
            # Without its cause, whose words may hold the whole address, and that a token.
            raise _why(error, host) from None
        opened = AiohttpSocket(connection, host)
        try:
            yield opened
        finally:
            await opened.close()


def check_address(url: str, *, public: bool) -> str:
    """Refuse an address that is none, or whose numbers are not allowed; else give its host.

    :raises Refused: saying what is wrong with it.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in {"ws", "wss"} or not host:
        raise Refused("the address must begin with wss:// or ws:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise Refused("the address holds a user or a password; send them as a header")
    try:
        ip_address(host)
    except ValueError:
        return host  # it is looked at when it is resolved; numbers are not
    _check(host, [host], plain=parts.scheme == "ws", public=public)
    return host


def _check(host: str, addresses: Sequence[str], *, plain: bool, public: bool) -> None:
    """Look at everything that a name may mean.

    :raises Refused: if one of the addresses is not allowed.
    """
    if public and not all(is_public(each) for each in addresses):
        raise Refused(f"{host} leads into a private network, where it must not")
    if plain and not all(is_private(each) for each in addresses):
        raise Refused(f"{host} is reached through the internet: use wss://, not ws://")


class _Guard(AbstractResolver):
    """Resolves names, and refuses what they lead to where it is not allowed.

    What was looked at is what is connected to, so that a name cannot mean another address later.
    """

    def __init__(self, resolver: AbstractResolver, *, plain: bool, public: bool) -> None:
        self._resolver = resolver
        self._plain = plain
        self._public = public

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        addresses = [each["host"] for each in found]
        _check(host, addresses, plain=self._plain, public=self._public)
        return found

    async def close(self) -> None:
        """Leave the resolver open, for it is everybody's."""


class _RedirectedError(aiohttp.ClientError):
    """The server sent us elsewhere. Whoever was asked was checked; who is named was not."""

    def __init__(self, status: int) -> None:
        super().__init__(f"a redirect, {status}")
        self.status = status


async def _never_follow(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise _RedirectedError(response.status)
    return response


def _why(error: Exception, host: str) -> ProviderError:
    """Say why a socket could not be opened. Whatever it was: nothing was taken."""
    match error:
        case _RedirectedError():
            reason = (
                f"{host} answered {error.status}, a redirect, which is not followed. "
                "Correct the address"
            )
            return Refused(reason, code=str(error.status))
        case aiohttp.WSServerHandshakeError(status=status) if status != 101:
            return _answered(status, error.headers, host)
        case aiohttp.ClientResponseError():
            return Refused(f"{host} answered something that is no WebSocket")
        case aiohttp.ClientConnectorError() | OSError() if not isinstance(error, TimeoutError):
            return Unavailable(f"no connection to {host}: {_words(error)}")
        case TimeoutError():
            return Unavailable(f"{host} did not open a WebSocket in time")
        case aiohttp.InvalidURL() | ValueError():
            return Refused("the address or a header of the WebSocket cannot be sent")
        case _:
            return Unavailable(f"{host} hung up before the WebSocket was open")


def _answered(status: int, headers: Any, host: str) -> ProviderError:
    reason, code = f"{host} answered {status} instead of opening a WebSocket", str(status)
    if status == 429 or status >= 500:
        return Unavailable(reason, code=code, retry_after=seconds_to_wait(headers))
    return Refused(reason, code=code)


def _words(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    if isinstance(cause, ssl.SSLError):
        return f"its certificate or encryption is not accepted ({cause.reason or 'TLS'})"
    return cause.strerror or type(cause).__name__ if isinstance(cause, OSError) else "lost"
