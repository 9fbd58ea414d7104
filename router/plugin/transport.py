"""Where HTTP clients are made, and a lost connection is told from a refused one.

Import it late: it brings aiohttp and httpx with it.
"""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import cast

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from router import __version__

#: Seconds after which an idle connection is closed. Shorter than any provider's we know (20 s and
#: more), so that a request seldom meets a connection which its server is just closing.
KEEP_ALIVE = 15.0

#: Open connections of one client. The outbox has fewer sends under way; this bounds a mistake.
MAX_CONNECTIONS = 100

#: At most so many seconds are spent on getting a connection.
MAX_CONNECT = 5.0


def open_client(
    timeout: float = 30.0,
    *,
    verify: ssl.SSLContext | None = None,
) -> httpx.AsyncClient:
    """Make an HTTP client; close it with ``aclose()``.

    It follows no redirect, keeps no cookie, reads no proxy or password from the environment, and
    makes each request exactly once: httpx's own pool collapses above eight connections, so aiohttp
    carries the requests, and its habit of repeating a PUT on a lost connection is turned off.

    :param timeout: seconds to wait for each piece of an answer. Connecting gets half of it, at
        most :data:`MAX_CONNECT`, so that it is over before the host's own limit on the whole call
        would make an unknown outcome out of it.
    :param verify: the certificates to trust; by default certifi's, or those of ``SSL_CERT_FILE``.
    """
    connect = min(timeout / 2, MAX_CONNECT)
    return httpx.AsyncClient(
        transport=TruthfulTransport(verify or _trusted_certificates()),
        timeout=httpx.Timeout(timeout, connect=connect, pool=connect),
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"User-Agent": f"channel-router/{__version__}"},
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
    ``SocketTimeoutError``          ``ReadTimeout``           OutcomeUnknown
    ``ClientResponseError``         ``RemoteProtocolError``   OutcomeUnknown
    any other ``ClientError``       ``ReadError``             OutcomeUnknown
    ==============================  ========================  ==============
    """

    def __init__(self, verify: ssl.SSLContext) -> None:
        super().__init__(verify=verify, client=self._open_session)

    def _open_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self.ssl_context,
            limit=MAX_CONNECTIONS,
            keepalive_timeout=KEEP_ALIVE,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_never_repeat,),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            trust_env=False,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        _check(request)
        with _truth(request):
            response = await super().handle_async_request(request)
        response.stream = _TruthfulStream(request, cast("httpx.AsyncByteStream", response.stream))
        return response


class _TruthfulStream(httpx.AsyncByteStream):
    def __init__(self, request: httpx.Request, stream: httpx.AsyncByteStream) -> None:
        self._request = request
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _truth(self._request):
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        with _truth(self._request):
            await self._stream.aclose()


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


@contextmanager
def _truth(request: httpx.Request) -> Iterator[None]:
    """Replace what the base class says with what its cause says."""
    try:
        yield
    except (aiohttp.ClientError, httpx.TransportError) as error:
        # The base class lets some of aiohttp's errors through, and wraps the others.
        cause = error.__cause__ if isinstance(error, httpx.TransportError) else error
        raise _true_error(cause, request) from cause


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
    for name, value in request.headers.raw:
        if any(character in name + value for character in b"\r\n\0"):
            message = f"the header {name!r} holds a line break"
            raise httpx.LocalProtocolError(message, request=request)


@cache
def _trusted_certificates() -> ssl.SSLContext:
    # Reading them takes 20 ms, and every client may share them.
    return httpx.create_ssl_context()
