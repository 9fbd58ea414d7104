"""What a broken connection means is told the same by our transport and by plain httpx.

Every row is a real server on a real socket that misbehaves in one way. A failure to connect may be
repeated; whatever happened after the request left may not, or a customer gets a message twice.
"""

import asyncio
import base64
import contextlib
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import httpx
import pytest
import trustme

from router.errors import OutcomeUnknown, ProviderError, Refused, Unavailable
from router.plugin.http import classify
from router.plugin.transport import open_client

Behaviour: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OpenClient: TypeAlias = Callable[[ssl.SSLContext | None], httpx.AsyncClient]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def open_ours(trust: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    return open_client(0.5, verify=trust)


def open_plain(trust: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=httpx.Timeout(0.5, connect=0.25), verify=trust or True)


@pytest.fixture(params=[open_ours, open_plain], ids=["ours", "plain httpx"])
def open_either(request: pytest.FixtureRequest) -> OpenClient:
    opener: OpenClient = request.param
    return opener


@dataclass
class Server:
    """A server that behaves as its row says, and remembers the requests it read."""

    url: str
    requests: list[bytes] = field(default_factory=list)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


@asynccontextmanager
async def serving(behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    open_writers: list[asyncio.StreamWriter] = []
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.append(writer)
        original = reader.readuntil

        async def remember(separator: bytes = b"\n") -> bytes:
            head = await original(separator)
            seen.append(head.split(b"\r\n")[0])
            return head

        reader.readuntil = remember  # type: ignore[method-assign,assignment]
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await behave(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Server(f"{'https' if tls else 'http'}://127.0.0.1:{port}/messages", seen)
    finally:
        server.close()
        for writer in open_writers:
            writer.close()
        for writer in open_writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await server.wait_closed()


async def close_after_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.close()


async def reset_after_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    reset(writer)


async def reset_in_the_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await writer.drain()
    await asyncio.sleep(0.05)
    reset(writer)


async def half_a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()


async def half_a_chunk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf")
    await writer.drain()
    writer.close()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"220 mail.example ESMTP ready\r\n\r\n")
    await writer.drain()
    writer.close()


async def no_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await reader.read()


async def no_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    await writer.drain()
    await reader.read()


async def one_answer_then_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(OK)
    await read_request(reader)
    writer.close()


async def one_answer_then_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(OK)
    await read_request(reader)
    reset(writer)


async def one_answer_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(OK)
    await writer.drain()
    writer.close()


async def close_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection by RST, as a crashed machine or a full firewall does."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def post(
    open_it: OpenClient, url: str, *, trust: ssl.SSLContext | None = None, body: bytes = b"{}"
) -> ProviderError | httpx.Response:
    """Post once, as a plugin does, and give what the host would take the result for."""
    async with open_it(trust) as client:
        try:
            return await client.post(url, content=body)
        except Exception as error:  # noqa: BLE001 - whatever escapes a plugin is classified
            return classify(error)


@pytest.mark.parametrize(
    "behave",
    [
        close_after_reading,
        reset_after_reading,
        reset_in_the_head,
        half_a_body,
        half_a_chunk,
        garbage,
        no_answer,
        no_body,
    ],
    ids=lambda behave: behave.__name__,
)
async def test_what_breaks_after_the_request_left_is_unknown_and_was_asked_once(
    open_either: OpenClient, behave: Behaviour
) -> None:
    async with serving(behave) as server:
        result = await post(open_either, server.url)

    assert type(result) is OutcomeUnknown, result
    assert server.requests == [b"POST /messages HTTP/1.1"]


async def test_a_connection_lost_while_a_long_body_leaves_is_unknown(
    open_either: OpenClient,
) -> None:
    begun: list[bytes] = []

    async def reset_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.append(await reader.read(4))
        reset(writer)

    async with serving(reset_early) as server:
        result = await post(open_either, server.url, body=b"x" * 1_000_000)

    assert type(result) is OutcomeUnknown, result
    assert begun == [b"POST"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
@pytest.mark.parametrize("behave", [one_answer_then_close, one_answer_then_reset])
async def test_a_kept_connection_lost_under_a_request_is_unknown_and_is_not_repeated(
    open_either: OpenClient, behave: Behaviour, method: str
) -> None:
    async with serving(behave) as server, open_either(None) as client:
        assert (await client.post(server.url)).status_code == 200
        with pytest.raises(httpx.TransportError) as caught:
            await client.request(method, server.url)

    assert type(classify(caught.value)) is OutcomeUnknown
    assert server.requests == [b"POST /messages HTTP/1.1", f"{method} /messages HTTP/1.1".encode()]


async def test_a_connection_that_the_server_closed_while_idle_is_not_used_again(
    open_either: OpenClient,
) -> None:
    async with serving(one_answer_each) as server, open_either(None) as client:
        for _ in range(3):
            assert (await client.post(server.url)).text == "ok"
            await asyncio.sleep(0.2)  # until it has seen that it is closed

    assert len(server.requests) == 3


async def test_a_refused_connection_may_be_repeated(open_either: OpenClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    result = await post(open_either, f"http://127.0.0.1:{port}/")

    assert type(result) is Unavailable, result


async def test_an_unknown_host_may_be_repeated(open_either: OpenClient) -> None:
    result = await post(open_either, "http://no-such-host.invalid/")

    assert type(result) is Unavailable, result


@pytest.fixture
def full_server() -> Iterator[int]:
    """Give the port of a server whose queue is full, so that connecting to it never ends."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


async def test_a_connection_that_does_not_come_about_in_time_may_be_repeated(
    open_either: OpenClient, full_server: int
) -> None:
    result = await post(open_either, f"http://127.0.0.1:{full_server}/")

    assert type(result) is Unavailable, result
    assert isinstance(result.__cause__, httpx.ConnectTimeout)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_certificate_that_is_trusted_connects(
    open_either: OpenClient, tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    async with serving(one_answer_each, tls=tls) as server:
        result = await post(open_either, server.url, trust=trust)

    assert isinstance(result, httpx.Response)
    assert result.status_code == 200


async def test_a_certificate_that_nobody_signed_may_be_repeated(
    open_either: OpenClient, tls: ssl.SSLContext
) -> None:
    async with serving(one_answer_each, tls=tls) as server:
        result = await post(open_either, server.url)

    assert type(result) is Unavailable, result
    assert server.requests == []


async def test_a_certificate_of_another_host_may_be_repeated(
    open_either: OpenClient, authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(other)
    async with serving(one_answer_each, tls=other) as server:
        result = await post(open_either, server.url, trust=trust)

    assert type(result) is Unavailable, result


@pytest.mark.parametrize(
    "behave", [close_at_once, say_nothing, garbage], ids=lambda behave: behave.__name__
)
async def test_a_handshake_that_fails_may_be_repeated(
    open_either: OpenClient, behave: Behaviour, trust: ssl.SSLContext
) -> None:
    async with serving(behave) as server:
        url = server.url.replace("http://", "https://")
        result = await post(open_either, url, trust=trust)

    assert type(result) is Unavailable, result


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "127.0.0.1/x", "/x", "http:///x"])
async def test_an_address_that_cannot_be_called_is_refused(
    open_either: OpenClient, url: str
) -> None:
    result = await post(open_either, url)

    assert type(result) is Refused, result


async def test_a_header_with_a_line_break_is_refused_before_anything_leaves(
    open_either: OpenClient,
) -> None:
    async with serving(one_answer_each) as server, open_either(None) as client:
        request = client.build_request("POST", server.url, headers={"X-Name": "a\r\nX-Admin: yes"})
        with pytest.raises(httpx.LocalProtocolError) as caught:
            await client.send(request)

    assert type(classify(caught.value)) is Refused
    assert server.requests == []


async def test_a_streamed_answer_that_breaks_is_unknown(open_either: OpenClient) -> None:
    async with (
        serving(half_a_body) as server,
        open_either(None) as client,
        client.stream("POST", server.url) as response,
    ):
        assert response.status_code == 200
        with pytest.raises(httpx.TransportError) as caught:
            await response.aread()

    assert type(classify(caught.value)) is OutcomeUnknown


async def test_an_answer_that_is_left_unread_does_no_harm() -> None:
    async with serving(half_a_body) as server, open_ours() as client:
        async with client.stream("POST", server.url) as response:
            assert response.status_code == 200

        async with client.stream("POST", server.url) as response:
            assert response.status_code == 200

    assert len(server.requests) == 2


async def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    heads: list[bytes] = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await read_request(reader))
            writer.write(
                b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n"
                b"Set-Cookie: session=1; Path=/\r\nContent-Length: 0\r\n\r\n"
            )

    async with serving(redirect) as server, open_ours() as client:
        for _ in range(2):
            assert (await client.post(server.url, json={})).status_code == 302
        assert len(client.cookies.jar) == 0

    assert server.requests == [b"POST /messages HTTP/1.1"] * 2
    assert b"cookie" not in b"".join(heads).lower()
    assert b"user-agent: channel-router/" in heads[0].lower()
    assert b"content-type: application/json" in heads[0].lower()


async def test_an_error_names_the_host_and_never_the_path() -> None:
    async with serving(say_nothing) as server, serving(garbage) as talker, open_ours() as client:
        urls = [
            server.url.replace("http:", "https:") + "/bot12345:token",
            talker.url + "/bot12345:token",
            server.url + "/bot12345:token",
        ]
        for url in urls:
            with pytest.raises(httpx.TransportError) as caught:
                await client.post(url, content=b"{}")

            assert "token" not in str(classify(caught.value))


@pytest.fixture
async def keeping() -> AsyncIterator[tuple[Server, list[bytes]]]:
    """Give a server that answers everything alike, and the requests that it read, bodies too."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await read_request(reader))
            body, more = "¡hola!".encode(), b""
            if b"x-packed" in heads[-1].lower():
                body, more = gzip.compress(body), b"Content-Encoding: gzip\r\n"
            writer.write(
                b"HTTP/1.1 302 See There\r\nLocation: /elsewhere\r\nX-Two: a\r\nX-Two: b\r\n"
                b"Content-Type: text/plain\r\n%sContent-Length: %d\r\n\r\n%s"
                % (more, len(body), body)
            )

    async with serving(answer) as server:
        yield server, heads


@pytest.mark.parametrize("packed", [False, True], ids=["as it is", "packed"])
async def test_an_answer_says_what_it_says_in_plain_httpx(
    open_either: OpenClient, keeping: tuple[Server, list[bytes]], *, packed: bool
) -> None:
    server, _ = keeping
    async with open_either(None) as client:
        headers = {"X-Packed": "yes"} if packed else {}
        answer = await client.post(server.url, json={"a": 1}, headers=headers)

    assert (answer.status_code, answer.reason_phrase) == (302, "See There")
    assert (answer.http_version, answer.url) == ("HTTP/1.1", httpx.URL(server.url))
    assert (answer.text, answer.encoding) == ("¡hola!", "utf-8")
    assert answer.headers.get_list("x-two") == ["a", "b"]
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    assert answer.num_bytes_downloaded == int(answer.headers["content-length"])
    assert b"".join(answer.iter_bytes()) == answer.content
    assert answer.request.content == b'{"a":1}'
    assert answer.history == []
    assert answer.next_request is not None
    assert answer.next_request.url.path == "/elsewhere"
    assert answer.elapsed.total_seconds() > 0
    assert (answer.is_closed, answer.is_stream_consumed) == (True, True)
    assert await answer.aread() == answer.read() == "¡hola!".encode()


@pytest.mark.parametrize("size", [0, 1, 32 * 1024, 32 * 1024 + 1, 300_000])
@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
async def test_a_body_of_any_size_arrives_whole(
    keeping: tuple[Server, list[bytes]], method: str, size: int
) -> None:
    server, heads = keeping
    async with open_ours() as client:
        for _ in range(2):
            await client.request(method, server.url, content=b"x" * size)

    assert [head.partition(b"\r\n\r\n")[2] for head in heads] == [b"x" * size] * 2
    assert all(head.lower().count(b"content-length") <= 1 for head in heads)
    assert len({head.partition(b" ")[0] for head in heads}) == 1


async def test_a_small_request_leaves_in_one_piece() -> None:
    pieces: list[bytes] = []

    async def read_piece(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces.append(await reader.read(1_000_000))
        writer.write(OK)

    async with serving(read_piece) as server, open_ours() as client:
        assert (await client.post(server.url, content=b"x" * 1000)).text == "ok"

    assert pieces[0].endswith(b"\r\n\r\n" + b"x" * 1000)


async def test_a_body_that_is_announced_and_asked_for_waits_to_be_called() -> None:
    heads: list[bytes] = []

    async def call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.read(100_000))
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        heads.append(await reader.readexactly(2))
        writer.write(OK)

    async with serving(call) as server, open_ours() as client:
        answer = await client.post(server.url, content=b"{}", headers={"Expect": "100-continue"})

    assert answer.status_code == 200
    assert heads[0].endswith(b"\r\n\r\n")
    assert heads[1] == b"{}"


async def test_what_a_plugin_asks_httpx_for_besides_is_done(
    open_either: OpenClient, keeping: tuple[Server, list[bytes]]
) -> None:
    server, heads = keeping
    seen: list[str] = []

    async def note(response: httpx.Response) -> None:
        seen.append(response.reason_phrase)

    async with open_either(None) as client:
        await client.post(server.url, auth=("ana", "secret"))
        await client.post(server.url.replace("//", "//ana:secret@"))
        with pytest.raises(httpx.TooManyRedirects):
            await client.get(server.url, follow_redirects=True)
        before = len(heads)
        client.event_hooks = {"response": [note]}
        await client.post(server.url)

    allowed = b"authorization: basic " + base64.b64encode(b"ana:secret").lower()
    assert [head.lower().count(allowed) for head in heads[:2]] == [1, 1]
    assert before > 3
    assert seen == ["See There"]
    with pytest.raises(RuntimeError, match="closed"):
        await client.post(server.url)


async def test_a_call_that_is_cancelled_while_its_answer_comes_leaves_no_connection() -> None:
    closed = asyncio.Event()
    begun = asyncio.Event()

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        begun.set()
        assert await reader.read() == b""
        closed.set()

    async with serving(half) as server, open_client(30.0) as client:
        task = asyncio.create_task(client.post(server.url, content=b"{}"))
        await begun.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        async with asyncio.timeout(30):
            await closed.wait()
