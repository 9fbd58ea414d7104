"""The server on real sockets."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest

from router.web.server import ServerError, listen
from tests.integration.web.daemon import Daemon, running

MEBIBYTE = 1 << 20


@pytest.fixture(params=["hypercorn", "uvicorn"])
async def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Daemon]:
    async with running(tmp_path, engine=request.param) as daemon:
        yield daemon


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("size, status", [(MEBIBYTE, 200), (MEBIBYTE + 1, 413), (5_000_000, 413)])
async def test_sender_of_too_much_is_told_so(
    daemon: Daemon, size: int, status: int, announced: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, 65536):
            yield b"x" * min(65536, size - start)

    async with httpx.AsyncClient(base_url=daemon.url, timeout=30) as client:
        body = b"x" * size if announced else chunks()
        response = await client.post("/hooks/phone", content=body)

    assert response.status_code == status


async def test_health_is_told_over_a_socket(daemon: Daemon) -> None:
    async with httpx.AsyncClient(base_url=daemon.url, timeout=30) as client:
        ready = await client.get("/health/ready")
        head = await client.head("/health/live")
        daemon.router.draining = True
        draining = await client.get("/health/ready")

    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "because": []})
    assert (head.status_code, head.content) == (200, b"")
    assert (draining.status_code, draining.json()["because"]) == (503, ["draining"])


@pytest.mark.parametrize("engine", ["hypercorn", "uvicorn"])
async def test_server_stops_though_a_page_is_open(tmp_path: Path, engine: str) -> None:
    with anyio.fail_after(40):
        async with (
            running(tmp_path, engine=engine) as daemon,
            httpx.AsyncClient(base_url=daemon.url, timeout=40) as client,
            client.stream("GET", "/simulator/live") as stream,
        ):
            chunks = stream.aiter_bytes()
            first = await anext(chunks)
            daemon.router.draining = True
            rest = [chunk async for chunk in chunks]

    assert first.startswith(b"data: ")
    assert rest == []


def test_port_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ServerError) as caught:
            listen("127.0.0.1", port)

    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1 port {port}: Address already in use. "
        "Stop what uses it, or choose another with --port or [server] port"
    )


@pytest.mark.parametrize("host", ["no..such", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_is_named(host: str) -> None:
    with pytest.raises(ServerError) as caught:
        listen(host, 0)

    assert str(caught.value).startswith(f"cannot listen on {host} port 0: ")
    assert str(caught.value).endswith(
        ". Name an address of this machine with --host or [server] host; 0.0.0.0 is every one"
    )


def test_webhooks_are_served_without_what_only_pages_need() -> None:
    heavy = {"alembic", "jinja2", "sqlalchemy", "sse_starlette", "starlette"}
    program = f"import sys, router.web.app; print(sorted({heavy!r} & set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert found.stdout == "[]\n"
