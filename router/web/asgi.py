"""Requests and answers as plain ASGI, for the paths that must stay short."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any, Final, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeader: TypeAlias = tuple[bytes, bytes]

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

#: How much more than is taken a client may send and still be told that it was too much.
EXCESS: Final = 8

#: How long a client may take to send its request, in seconds.
PATIENCE: Final = 30.0

# Nothing that a provider or a probe is answered may be read as a page.
_ALWAYS: Final[tuple[RawHeader, ...]] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class BodyTooLarge(Exception):
    """More was sent than ``[server] max_body`` allows.

    :param more: whether the client is still sending.
    """

    def __init__(self, *, more: bool) -> None:
        super().__init__()
        self.more = more


class BodyTooSlow(Exception):
    """The client did not finish its request in time."""


class ClientGone(Exception):
    """The client hung up before its request was complete."""


def headers_of(scope: Scope) -> dict[str, str]:
    """Give the headers, names lower case, repeated ones joined with ``", "``."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").lower()
        value = raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def path_as_sent(scope: Scope) -> str:
    """Give the path and query exactly as the client wrote them."""
    raw: bytes = scope.get("raw_path") or b""
    path = raw.partition(b"?")[0].decode("latin-1")
    query: bytes = scope.get("query_string") or b""
    return f"{path}?{query.decode('latin-1')}" if query else path


async def read_body(
    receive: Receive, *, announced: str | None, limit: int, patience: float = PATIENCE
) -> bytes:
    """Read a request's body, counting as it comes in: a length may be missing, or a lie.

    :param announced: the ``Content-Length`` header.
    :param limit: the most that is taken, in bytes.
    :param patience: how long it may take, in seconds.
    :raises BodyTooLarge: as soon as it is certain.
    :raises BodyTooSlow: if it is not all there in time.
    :raises ClientGone: if the client hangs up.
    """
    if announced is not None and announced.isdecimal() and int(announced) > limit:
        raise BodyTooLarge(more=True)
    try:
        async with asyncio.timeout(patience):  # a third of the cost of anyio's, on every webhook
            return await _collect(receive, limit)
    except TimeoutError:
        raise BodyTooSlow from None


async def _collect(receive: Receive, limit: int, *, keep: bool = True) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if chunk := message.get("body"):
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge(more=message.get("more_body", False))
            if keep:
                chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def discard(receive: Receive, *, limit: int, patience: float = PATIENCE) -> None:
    """Let a client that sends too much finish, within reason.

    One that is cut off while it sends sees a broken connection, and not the answer that says why.
    """
    with suppress(BodyTooLarge, ClientGone, TimeoutError):
        async with asyncio.timeout(patience):
            await _collect(receive, limit, keep=False)


async def answer(
    send: Send,
    status: int,
    body: bytes = b"",
    *,
    content_type: str | None = None,
    headers: Iterable[RawHeader] = (),
    without_body: bool = False,
) -> None:
    """Send a whole answer.

    :param content_type: of the body; plain text if there is a body and no word about it.
    :param without_body: the request was a HEAD.
    """
    lines: list[RawHeader] = [
        (b"content-length", str(len(body)).encode()),
        *_ALWAYS,
        *headers,
    ]
    if body or content_type:
        lines.append((b"content-type", (content_type or TEXT).encode("latin-1")))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": b"" if without_body else body})


async def sentence(
    send: Send, status: int, text: str, *, headers: Iterable[RawHeader] = ()
) -> None:
    """Send a plain sentence that says what is wrong."""
    await answer(send, status, f"{text}\n".encode(), headers=headers)
