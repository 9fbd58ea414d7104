"""Where HTTP clients are made, and a lost connection is told from a refused one.

Import it late: it brings aiohttp and httpx with it.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from functools import cache, lru_cache
from itertools import chain
from time import perf_counter
from typing import Any, Final, cast

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from httpx_aiohttp import AiohttpTransport
from multidict import CIMultiDict

from router import __version__
from router.plugin.files import unpacks_within
from router.plugin.resolver import shared_resolver

#: Seconds after which an idle connection is closed. Shorter than any provider's we know (20 s and
#: more), so that a request seldom meets a connection which its server is just closing.
KEEP_ALIVE = 15.0

#: Requests of one client that are under way at once. The host has fewer calls under way at one
#: instance (router/pipeline/attempts/room.py); this bounds what a plugin begins by itself.
MAX_CONNECTIONS = 1024

#: At most so many seconds are spent on getting a connection.
MAX_CONNECT = 5.0

#: The most bytes of an answer that is read whole, as it comes and unpacked. A file is streamed, and
#: has its own limit; see :mod:`router.plugin.files`.
MAX_ANSWER = 8 * 1024 * 1024

_BREAK: Final = re.compile(rb"[\r\n\0]")
_CHUNK: Final = 16 * 1024
#: The extension of a request whose answer httpx itself reads to the end.
_WHOLE: Final = "router.whole"


def open_client(
    timeout: float = 30.0,
    *,
    verify: ssl.SSLContext | None = None,
    connections: int = MAX_CONNECTIONS,
    resolver: AbstractResolver | None = None,
) -> httpx.AsyncClient:
    """Make an HTTP client; close it with ``aclose()``.

    It follows no redirect, keeps no cookie, reads no proxy or password from the environment, and
    makes each request exactly once: httpx's own pool collapses above eight connections, so aiohttp
    carries the requests, and its habit of repeating a PUT on a lost connection is turned off.

    An answer that is not streamed may have :data:`MAX_ANSWER` bytes; a larger one is a
    ``RemoteProtocolError``, as it came after the request had left.

    :param timeout: seconds to wait for each piece of an answer. Connecting gets half of it, at
        most :data:`MAX_CONNECT`, so that it is over before the host's own limit on the whole call
        would make an unknown outcome out of it.
    :param verify: the certificates to trust; by default certifi's, or those of ``SSL_CERT_FILE``.
    :param connections: the most requests under way at once. Others wait as long as for connecting,
        and then are a ``PoolTimeout``: nothing has left, and the provider is not to blame.
    :param resolver: what finds a name's addresses; by default that of the whole process.
    """
    connect = min(timeout / 2, MAX_CONNECT)
    return _Client(
        transport=TruthfulTransport(
            verify or trusted_certificates(), resolver or shared_resolver(), connections
        ),
        timeout=httpx.Timeout(timeout, connect=connect, pool=connect),
        follow_redirects=False,
        # Whatever else is installed: of these we can tell how large they are unpacked.
        headers={
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": f"channel-router/{__version__}",
        },
    )


class _Cookies(httpx.Cookies):
    """A jar that takes nothing in."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leave them; httpx would read them all to find that none is wanted."""


class _Client(httpx.AsyncClient):
    """httpx's client, without what costs each message time and serves none."""

    def __init__(self, transport: "TruthfulTransport", **options: Any) -> None:
        super().__init__(transport=transport, **options)
        self._cookies = _Cookies()
        self._truthful = transport

    def build_request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Request:
        """Build a request; an address that was used before is not parsed again."""
        return super().build_request(method, _parsed(url) if type(url) is str else url, **options)

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request; where nothing but its answer is asked for, without any detour.

        httpx leads each request through three layers, for passwords, redirects and hooks, and each
        answer through five iterators. That is half of what a message costs that has none of them.
        """
        if not self._is_plain(request, options):
            if not options.get("stream"):
                request.extensions = {**request.extensions, _WHOLE: True}
            return await super().send(request, **options)
        began = perf_counter()
        response = await self._truthful.fetch(request)
        response.elapsed = timedelta(seconds=perf_counter() - began)
        response.default_encoding = self._default_encoding
        response.history = []
        if response.has_redirect_location:
            response.next_request = self._build_redirect_request(request, response)
        return response

    def _is_plain(self, request: httpx.Request, options: Mapping[str, Any]) -> bool:
        """Tell whether httpx has nothing to do for a request but to send it."""
        return not (
            options.get("stream")
            or options.get("auth", httpx.USE_CLIENT_DEFAULT) is not httpx.USE_CLIENT_DEFAULT
            or options.get("follow_redirects", httpx.USE_CLIENT_DEFAULT)
            is not httpx.USE_CLIENT_DEFAULT
            or self.is_closed
            or self.auth
            or self.follow_redirects
            or self._mounts
            or any(self.event_hooks.values())
            or request.url.userinfo
            or "timeout" not in request.extensions
            or not isinstance(request.stream, httpx.ByteStream)
        )


class TruthfulTransport(AiohttpTransport):
    """aiohttp under httpx, with each failure named for what happened.

    The base class calls a connection that was lost *after* the request left a failure to connect,
    which would be repeated, and a customer would get the message twice. Here the cause decides:

    ==============================  ========================  ==============
    aiohttp                         httpx                     means
    ==============================  ========================  ==============
    ``ClientConnectorError``        ``ConnectError``          Unavailable
    ``ConnectionTimeoutError``      ``ConnectTimeout``        Unavailable
    nothing: none of ours was free  ``PoolTimeout``           NoConnection
    ``SocketTimeoutError``          ``ReadTimeout``           OutcomeUnknown
    ``ClientResponseError``         ``RemoteProtocolError``   OutcomeUnknown
    any other ``ClientError``       ``ReadError``             OutcomeUnknown
    ==============================  ========================  ==============
    """

    def __init__(
        self,
        verify: ssl.SSLContext,
        resolver: AbstractResolver,
        connections: int = MAX_CONNECTIONS,
    ) -> None:
        super().__init__(verify=verify, client=self._open_session)
        self._resolver = resolver
        self._connections = connections
        # Ours, because aiohttp tells a wait for its own pool as a server that cannot be reached.
        self._free = asyncio.Semaphore(connections)

    def _open_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self.ssl_context,
            resolver=self._resolver,
            limit=0,
            keepalive_timeout=KEEP_ALIVE,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            trust_env=False,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make a request."""
        if _WHOLE in request.extensions:
            response, content = await self._read(request)
            return _answer(request, response, httpx.ByteStream(content))
        await self._wait_for_connection(request)
        try:
            response = await self._ask(request)
        except BaseException:
            self._free.release()
            raise
        return _answer(request, response, _TruthfulStream(request, response, self._free))

    async def fetch(self, request: httpx.Request) -> httpx.Response:
        """Make a request and read its answer to the end."""
        response, content = await self._read(request)
        answer = _answer(request, response, httpx.ByteStream(content))
        answer.read()
        return answer

    async def _read(self, request: httpx.Request) -> tuple[aiohttp.ClientResponse, bytes]:
        """Make a request and read its answer to the end, unless it is too large."""
        await self._wait_for_connection(request)
        try:
            response = await self._ask(request)
            try:
                return response, await _content(response, request)
            except aiohttp.ClientError as error:
                raise _true_error(error, request) from error
            finally:
                if not response.closed:  # it is, once all of it was read
                    await _close(response, request)
        finally:
            self._free.release()

    async def _wait_for_connection(self, request: httpx.Request) -> None:
        """Take a connection, to be given back when the answer is there."""
        if not self._free.locked():
            await self._free.acquire()  # which waits for nothing
            return
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("pool")):
                await self._free.acquire()
        except TimeoutError:
            message = f"all {self._connections} connections of this client are in use"
            raise httpx.PoolTimeout(message, request=request) from None

    async def _ask(self, request: httpx.Request) -> aiohttp.ClientResponse:
        """Send a request and wait for the answer to begin.

        What the base class does, for half of the time: every message that leaves passes here.
        """
        _check(request)
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self._open_session()
        extensions, url = request.extensions, request.url
        if url.userinfo:
            url = url.copy_with(userinfo=b"")  # httpx has made a header of it
        headers = _headers(request)
        data: bytes | httpx.AsyncByteStream | None
        try:
            data = request.content or None
        except httpx.RequestNotRead:
            data = cast("httpx.AsyncByteStream", request.stream)
            headers.popall("transfer-encoding", None)  # aiohttp writes it
        try:
            return await self.client.request(
                request.method,
                str(url),
                headers=headers,
                data=data,
                allow_redirects=False,
                auto_decompress=False,
                compress=False,
                timeout=_timeout(**extensions.get("timeout", {})),
                server_hostname=extensions.get("sni_hostname"),
                middlewares=_ONCE if request.method in _REPEATED else (),
            )
        except aiohttp.ClientError as error:
            raise _true_error(error, request) from error


def _answer(
    request: httpx.Request, response: aiohttp.ClientResponse, stream: httpx.AsyncByteStream
) -> httpx.Response:
    more = {"http_version": b"HTTP/1.1"}
    if response.reason:
        more["reason_phrase"] = response.reason.encode(errors="surrogateescape")
    return httpx.Response(
        response.status,
        headers=response.raw_headers,
        stream=stream,
        request=request,
        extensions=more,
    )


async def _content(response: aiohttp.ClientResponse, request: httpx.Request) -> bytes:
    """Read an answer as it comes.

    :raises httpx.RemoteProtocolError: if there is too much of it, packed or unpacked.
    """
    pieces, size = [], 0
    while size <= MAX_ANSWER and (piece := await response.content.readany()):
        pieces.append(piece)
        size += len(piece)
    if size > MAX_ANSWER:
        message = f"{request.url.host} answered with more than {MAX_ANSWER:,} bytes"
        raise httpx.RemoteProtocolError(message, request=request)
    content = b"".join(pieces)
    packing = ",".join(response.headers.getall("Content-Encoding", ()))
    if packing and not unpacks_within(content, packing, MAX_ANSWER):
        message = (
            f"{request.url.host} answered with more than {MAX_ANSWER:,} bytes unpacked, "
            "or packed in a way that is not understood"
        )
        raise httpx.RemoteProtocolError(message, request=request)
    return content


async def _close(response: aiohttp.ClientResponse, request: httpx.Request) -> None:
    try:
        await response.__aexit__(None, None, None)
    except aiohttp.ClientError as error:
        raise _true_error(error, request) from error


class _TruthfulStream(httpx.AsyncByteStream):
    def __init__(
        self,
        request: httpx.Request,
        response: aiohttp.ClientResponse,
        free: asyncio.Semaphore,
    ) -> None:
        self._request = request
        self._response = response
        self._free: asyncio.Semaphore | None = free

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_chunked(_CHUNK):
                yield chunk
        except aiohttp.ClientError as error:
            raise _true_error(error, self._request) from error

    async def aclose(self) -> None:
        try:
            await _close(self._response, self._request)
        finally:
            free, self._free = self._free, None
            if free is not None:  # it may be closed twice
                free.release()


class _ConnectionLostError(aiohttp.ClientError):
    """A connection that broke after the request left; aiohttp does not know it and leaves it be."""


async def _never_repeat(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    # aiohttp sends a PUT or DELETE again when a kept connection turns out to be lost. Whether a
    # request may be repeated is the outbox's decision.
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionLostError(str(error) or type(error).__name__) from error


#: aiohttp would send these a second time.
_REPEATED: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_ONCE: Final = (_never_repeat,)


def _true_error(cause: BaseException | None, request: httpx.Request) -> httpx.TransportError:
    match cause:
        case aiohttp.ClientConnectorError():
            kind: type[httpx.TransportError] = httpx.ConnectError
        case aiohttp.ConnectionTimeoutError():
            # The cause's own words hold the whole address, and some providers' addresses hold
            # a token.
            return httpx.ConnectTimeout(f"no connection to {request.url.host}", request=request)
        case aiohttp.SocketTimeoutError():
            kind = httpx.ReadTimeout
        case aiohttp.ClientResponseError():
            return httpx.RemoteProtocolError(
                f"{request.url.host} answered something that is not HTTP", request=request
            )
        case _:
            kind = httpx.ReadError
    return kind(str(cause) or type(cause).__name__, request=request)


def _check(request: httpx.Request) -> None:
    """Refuse, before anything leaves, what plain httpx refuses and aiohttp puts otherwise."""
    if request.url.scheme not in {"http", "https"} or not request.url.host:
        message = "the address must begin with http:// or https:// and name a host"
        raise httpx.UnsupportedProtocol(message, request=request)
    raw = request.headers.raw
    if not _BREAK.search(b"".join(chain.from_iterable(raw))):
        return
    name = next(name for name, value in raw if _BREAK.search(name) or _BREAK.search(value))
    message = f"the header {name!r} holds a line break"
    raise httpx.LocalProtocolError(message, request=request)


def _headers(request: httpx.Request) -> CIMultiDict[str]:
    """Give the headers as aiohttp takes them."""
    raw = request.headers.raw
    return CIMultiDict([(name.decode("ascii").lower(), _text(value)) for name, value in raw])


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


@lru_cache(maxsize=64)
def _timeout(
    connect: float | None = None,
    read: float | None = None,
    write: float | None = None,
    pool: float | None = None,
) -> aiohttp.ClientTimeout:
    """Give httpx's timeouts as aiohttp has them; it has none for writing."""
    return aiohttp.ClientTimeout(sock_connect=connect, sock_read=read, connect=pool)


@lru_cache(maxsize=256)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


@cache
def trusted_certificates() -> ssl.SSLContext:
    """Give certifi's certificates, or those of ``SSL_CERT_FILE``."""
    # Reading them takes 20 ms, and every client may share them.
    return httpx.create_ssl_context()
