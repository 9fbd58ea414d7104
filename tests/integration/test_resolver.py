"""Requests and WebSockets to names, some of whose name servers say nothing, on real sockets."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from pytest_httpserver import HTTPServer

from router.errors import ProviderError, Refused, Unavailable
from router.plugin.http import classify
from router.plugin.resolver import Resolver
from router.plugin.testing import Dialogue, SocketServer
from router.plugin.transport import open_client
from router.plugin.websockets import open_socket
from tests.names import Names


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def names() -> Iterator[Names]:
    names = Names({"good.example": "127.0.0.1"})
    yield names
    names.speak.set()


@pytest.fixture
def port(httpserver: HTTPServer) -> int:
    httpserver.expect_request("/").respond_with_data("ok")
    return httpserver.port


async def post(client: httpx.AsyncClient, url: str) -> httpx.Response | ProviderError:
    try:
        return await client.post(url, content=b"{}")
    except Exception as error:  # noqa: BLE001 - whatever escapes a plugin is classified
        return classify(error)


async def test_receivers_whose_names_are_not_found_stop_nobody_else(
    names: Names, port: int
) -> None:
    resolver = Resolver(names)
    async with open_client(60, resolver=resolver) as others, open_client(1, resolver=resolver) as c:
        slow = [asyncio.create_task(post(c, f"http://slow{n}.example/")) for n in range(20)]
        good = await post(others, f"http://good.example:{port}/")
        ended = await asyncio.gather(*slow)
        after = await post(others, f"http://good.example:{port}/")

    assert [getattr(each, "text", each) for each in (good, after)] == ["ok", "ok"]
    assert {type(each) for each in ended} == {Unavailable}
    assert {type(each.__cause__) for each in ended if isinstance(each, Unavailable)} == {
        httpx.ConnectTimeout
    }


async def test_a_name_that_was_found_is_not_looked_up_for_each_request(
    names: Names, port: int
) -> None:
    async with open_client(60, resolver=Resolver(names)) as client:
        url = f"http://good.example:{port}/"
        close = {"Connection": "close"}
        statuses = [(await client.post(url, headers=close)).status_code for _ in range(5)]

    assert statuses == [200] * 5
    assert names.asked == ["good.example"]


async def test_numbers_are_not_looked_up(names: Names, port: int) -> None:
    async with open_client(60, resolver=Resolver(names)) as client:
        assert (await client.post(f"http://127.0.0.1:{port}/")).text == "ok"

    assert names.asked == []


async def test_a_name_that_fails_for_the_moment_is_reached_where_it_was_last(
    names: Names, port: int
) -> None:
    resolver = Resolver(names)
    for said in ("127.0.0.1", socket.EAI_AGAIN):
        names.says["good.example"] = said
        async with open_client(60, resolver=resolver) as client:
            assert (await client.post(f"http://good.example:{port}/")).text == "ok"

    assert names.asked == ["good.example"] * 2


@pytest.mark.parametrize(
    "host, words",
    [
        ("nobody.example", "said the name server"),
        ("later.example", "said the name server"),
        ("new.example", "1 other look-ups are under way"),
    ],
)
async def test_a_name_that_is_not_found_is_no_connection(
    names: Names, host: str, words: str
) -> None:
    names.says["later.example"] = socket.EAI_AGAIN
    resolver = Resolver(names, most=1)
    stuck = asyncio.create_task(resolver.resolve("slow.example")) if host[:3] == "new" else None
    await asyncio.sleep(0)
    async with open_client(60, resolver=resolver) as client:
        error = await post(client, f"http://{host}/")
    with pytest.raises(Unavailable, match=f"no connection to {host}: {words}"):
        async with open_socket(f"wss://{host}/", resolver=resolver, timeout=60):
            pass

    assert type(error) is Unavailable
    assert isinstance(error.__cause__, httpx.ConnectError)
    assert words in str(error)
    if stuck is not None:
        stuck.cancel()


async def test_a_name_that_is_too_long_for_one_is_no_connection() -> None:
    async with open_client(60) as client:
        assert type(await post(client, f"http://{'a' * 64}.example/")) is Unavailable


async def test_a_websocket_is_opened_to_what_was_looked_at(names: Names) -> None:
    async with SocketServer(Dialogue()) as server:
        url = server.url.replace("127.0.0.1", "good.example")
        async with open_socket(url, resolver=Resolver(names)):
            pass

    assert len(server.connections) == 1


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "::ffff:192.168.0.1", "64:ff9b::a9fe:a9fe", "fe80::1"]
)
async def test_where_a_name_led_last_is_looked_at_like_any_address(
    names: Names, address: str
) -> None:
    resolver = Resolver(names)
    for said in (address, socket.EAI_AGAIN):
        names.says["good.example"] = said
        with pytest.raises(Refused, match="leads into a private network"):
            async with open_socket("wss://good.example/", public=True, resolver=resolver):
                pass

    assert names.asked == ["good.example"] * 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_threads_that_an_event_loop_has_are_not_needed(port: int) -> None:
    # asyncio's own loop only: what it looks up in can be taken up.
    let_go = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    loop.run_in_executor(None, let_go.wait, 120)
    try:
        async with open_client(10) as client:
            answer = await post(client, f"http://localhost:{port}/")
        async with (
            SocketServer(Dialogue()) as server,
            open_socket(server.url.replace("127.0.0.1", "localhost"), timeout=10),
        ):
            pass
    finally:
        let_go.set()

    assert isinstance(answer, httpx.Response), answer
