"""What the host hands to an instance."""

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from router.clock import SystemClock
from router.errors import SocketClosed
from router.plugin.host import HostContext
from router.plugin.testing import Dialogue, FakeClock, RecordingLog, Says, SocketServer

if TYPE_CHECKING:
    from router import plugin


def context(tenant: str = "main", name: str = "whatsapp") -> HostContext:
    return HostContext(
        name=name, tenant=tenant, log=RecordingLog(), public_url="https://desk.example/"
    )


@pytest.mark.parametrize(
    "tenant, name, endpoint, query, url",
    [
        ("main", "whatsapp", "", {}, "https://desk.example/hooks/whatsapp"),
        ("main", "whatsapp", "status", {}, "https://desk.example/hooks/whatsapp/status"),
        ("clinica", "whatsapp", "", {}, "https://desk.example/hooks/clinica/whatsapp"),
        (
            "clinica",
            "whatsapp",
            "status",
            {"item": "a b&c"},
            "https://desk.example/hooks/clinica/whatsapp/status?item=a+b%26c",
        ),
        ("main", "línea 1", "", {}, "https://desk.example/hooks/l%C3%ADnea%201"),
    ],
)
def test_a_webhook_url_is_built_from_the_public_url(
    tenant: str, name: str, endpoint: str, query: dict[str, str], url: str
) -> None:
    assert context(tenant, name).webhook_url(endpoint, **query) == url


async def test_the_client_is_made_once_with_the_tables_timeout_and_closed_by_the_host() -> None:
    host: plugin.PluginContext = HostContext(
        name="x", log=RecordingLog(), public_url="https://desk.example", timeout=12
    )

    client = host.http

    assert client is host.http
    assert client.timeout.read == 12
    assert client.timeout.connect == 5
    assert isinstance(host, HostContext)
    await host.aclose()
    assert client.is_closed
    with pytest.raises(RuntimeError, match="the HTTP client of 'x' is closed"):
        _ = host.http


async def test_closing_a_context_that_made_no_client_makes_none() -> None:
    host = context()

    await host.aclose()

    assert host._http is None


def test_the_clock_is_the_machines_unless_another_is_given() -> None:
    clock = FakeClock()

    assert isinstance(context().clock, SystemClock)
    other = HostContext(name="x", log=RecordingLog(), public_url="https://x", clock=clock)
    assert other.clock is clock


def test_nothing_of_the_plugin_api_imports_an_http_client_before_it_is_used() -> None:
    code = (
        "import sys, router.plugin, router.plugin.host, router.plugin.loading;"
        "router.plugin.loading.load_plugins();"
        "print(sorted({'httpx', 'aiohttp', 'apprise', 'hypothesis'} & set(sys.modules)))"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


async def test_a_websocket_is_opened_with_what_the_instance_asks_for() -> None:
    talk = Dialogue(Says("hola"), headers={"X-Key": "k"})
    async with SocketServer(talk) as server:
        host = context()
        async with host.websocket(f"{server.url}/a", headers={"X-Key": "k"}) as socket:
            assert await socket.receive() == "hola"
        await host.aclose()

        with pytest.raises(RuntimeError, match="'whatsapp' is closed"):
            host.websocket(server.url)

    assert [each.target for each in server.connections] == ["/a"]
    assert server.problems == []


@pytest.mark.parametrize(
    "error, words",
    [
        (SocketClosed(1006), "the server lost the connection"),
        (SocketClosed(1008, "no"), "the server closed with 1008: no"),
        (SocketClosed(1000, who="agent.example"), "agent.example closed with 1000"),
    ],
)
def test_a_websocket_that_ended_says_so_in_words(error: SocketClosed, words: str) -> None:
    assert (str(error), error.reason) == (words, words)
