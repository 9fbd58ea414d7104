"""The parts of the kit that authors use by themselves."""

import contextlib
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from router.plugin.loading import load_plugins
from router.plugin.testing import FakeClock, FakeContext, LogEntry, conformance, no_network
from router.plugin.testing.context import UnexpectedRequestError
from router.plugin.testing.network import NetworkUsedError

if TYPE_CHECKING:
    from router import plugin
    from router.clock import Clock

URL = "https://api.example/messages"


def test_a_clock_moves_only_when_it_is_told() -> None:
    fake = FakeClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    clock: Clock = fake
    before = clock.monotonic()

    fake.advance(90)
    fake.advance(timedelta(minutes=1))
    fake.set(datetime(2026, 3, 1, tzinfo=UTC))

    assert clock.now() == datetime(2026, 3, 1, tzinfo=UTC)
    assert clock.monotonic() == before + 150
    with pytest.raises(ValueError, match="time only goes forward"):
        fake.advance(-1)


async def test_replies_come_in_order_and_what_is_left_or_missing_shows() -> None:
    def reflect(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=request.content)

    context: plugin.PluginContext = FakeContext(
        httpx.Response(201, json={"n": 1}, headers={"X-A": "1"}), httpx.ReadTimeout("slow"), reflect
    )
    assert isinstance(context, FakeContext)

    first = await context.http.post(URL)
    assert (first.status_code, first.json(), first.headers["X-A"]) == (201, {"n": 1}, "1")
    with pytest.raises(httpx.ReadTimeout):
        await context.http.post(URL)
    assert context.unused == (reflect,)
    assert (await context.http.post(URL, content=b"3")).content == b"3"
    with pytest.raises(UnexpectedRequestError, match=f"no reply is scripted for GET {URL}"):
        await context.http.get(URL)

    assert len(context.requests) == 4
    assert context.unexpected == context.requests[3:]
    await context.aclose()
    assert context.http.is_closed


async def test_one_reply_object_can_answer_several_requests() -> None:
    reply = httpx.Response(200, json={"id": 1})
    async with FakeContext(reply, reply) as context:
        answers = [(await context.http.get(URL)).json() for _ in range(2)]

    assert answers == [{"id": 1}, {"id": 1}]


def test_a_log_keeps_levels_events_and_values() -> None:
    log = FakeContext().log

    log.debug("a")
    log.info("b", to=1)
    log.warning("c")
    log.error("d", code="x")

    assert log.entries == [
        LogEntry("debug", "a"),
        LogEntry("info", "b", {"to": 1}),
        LogEntry("warning", "c"),
        LogEntry("error", "d", {"code": "x"}),
    ]


async def test_the_fixture_gives_a_context_with_the_fake_clock(
    plugin_context: FakeContext, fake_clock: FakeClock
) -> None:
    plugin_context.script([httpx.Response(204)])

    assert (await plugin_context.http.post(URL)).status_code == 204
    assert plugin_context.clock is fake_clock
    assert plugin_context.webhook_url("status", item="1") == (
        "https://router.example/hooks/test/status?item=1"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "example.com"])
async def test_reaching_beyond_this_machine_fails_even_where_the_error_is_swallowed(
    host: str,
) -> None:
    async def swallow() -> None:
        with contextlib.suppress(Exception):  # as a careless plugin does
            await anyio.connect_tcp(host, 80)

    with pytest.raises(NetworkUsedError, match=f"it tried to reach {host}"), no_network():
        await swallow()


async def test_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, no_network():
        stream = await anyio.connect_tcp("localhost", server.getsockname()[1])
        await stream.aclose()
        with socket.socket() as client:
            assert client.connect_ex(server.getsockname()) == 0


PLUGIN = """
from router import plugin

router_api = (1, 0)

class Bell(plugin.Action[plugin.NoConfig]):
    async def run(self, call): pass

@plugin.hookimpl
def router_register(registry):
    registry.action("bell", Bell, config=plugin.NoConfig)
"""


@pytest.mark.parametrize(
    "shipped, outcome, reason",
    [
        (None, "missing", "no suite for 'bell'; write one in {folder}/bell_conformance.py"),
        ("", "missing", "no suite for 'bell'; write one in {folder}/bell_conformance.py"),
        ("1 / 0", "failed", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_single_file_without_a_good_suite_says_so(
    tmp_path: Path, shipped: str | None, outcome: str, reason: str
) -> None:
    (tmp_path / "bell.py").write_text(PLUGIN, encoding="utf-8")
    if shipped is not None:
        (tmp_path / "bell_conformance.py").write_text(shipped, encoding="utf-8")
    registry = load_plugins([tmp_path / "bell.py"])

    (result,) = conformance(registry.actions["bell"])

    assert (result.outcome, result.reason) == (outcome, reason.format(folder=tmp_path))
