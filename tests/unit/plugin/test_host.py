"""What the host hands to an instance."""

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from router.clock import SystemClock
from router.plugin.host import HostContext
from router.plugin.testing import FakeClock, RecordingLog

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
