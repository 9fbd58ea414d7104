"""GET /hooks/{channel}/test of a whole router, with a provider on a real socket."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_httpserver import HTTPServer

from tests.integration.web.daemon import Daemon, running

SECRET = "s3cret-of-acme"
OUTSIDE = "https://desk.example.org"
ACME = '''
"""A channel whose provider can be probed."""

from router import plugin

router_api = (1, 0)


class AcmeConfig(plugin.PluginConfig):
    token: plugin.Secret
    spare: plugin.Secret | None = None
    base_url: str


class Acme(plugin.Channel[AcmeConfig]):
    def verify(self, request):
        plugin.verify_hmac_sha256(request, header="X-Signature", key=self.config.token)

    def parse(self, request):
        return []

    async def send(self, message):
        raise plugin.Refused("never")

    async def check(self):
        token = self.config.token.get_secret_value()
        response = await self.context.http.get(f"{self.config.base_url}/account")
        if response.status_code == 401:
            raise plugin.Refused(f"the provider does not know the token {token}")
        plugin.raise_for_status(response)


@plugin.hookimpl
def router_register(registry):
    registry.channel("acme", Acme, config=AcmeConfig)
'''

CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"
rules = ["rules.toml"]
plugins = ["acme.py"]
{public_url}

[channels.phone]
type = "simulator"

[channels.acme]
type = "acme"
token = {{ env = "ACME_TOKEN" }}
base_url = "{provider}"

[tenants.clinica.channels.acme]
type = "acme"
token = {{ env = "ACME_TOKEN" }}
base_url = "{provider}"

[ai.assistant]
type = "answers"
"""


@asynccontextmanager
async def world(
    folder: Path, provider: str, public_url: str | None = OUTSIDE
) -> AsyncIterator[Daemon]:
    (folder / "acme.py").write_text(ACME)
    line = "" if public_url is None else f'public_url = "{public_url}"'
    config = CONFIG.format(provider=provider, public_url=line)
    async with running(folder, config=config) as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_TOKEN", SECRET)


async def findings(
    client: httpx.AsyncClient, path: str = "acme", **headers: str
) -> dict[str, dict[str, Any]]:
    """Give what each check found."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await client.get(f"/hooks/{path}/test", headers=named)
    assert response.status_code == 200, response.text
    assert SECRET not in response.text
    return {check.pop("check"): check for check in response.json()["checks"]}


async def test_channel_that_is_set_up_says_so(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/account").respond_with_data("{}")
    async with (
        world(tmp_path, httpserver.url_for("")) as daemon,
        daemon.client("203.0.113.7") as stranger,
    ):
        headers = {"host": "desk.example.org", "x-forwarded-proto": "https"}
        response = await stranger.get("/hooks/acme/test", headers=headers)
        clinic = await stranger.get("/hooks/clinica/acme/test/", headers=headers)

    told = response.json()
    assert len(told.pop("instance")) == 16
    assert told == {
        "channel": "acme",
        "tenant": "main",
        "ok": True,
        "checks": [
            {
                "check": "public_url",
                "ok": True,
                "says": "[router] public_url is set, and is https.",
            },
            {
                "check": "address",
                "ok": True,
                "says": "This was asked at [router] public_url, so the way in works.",
            },
            {"check": "secrets", "ok": True, "says": "token is set."},
            {"check": "instance", "ok": True, "says": "The channel is up."},
            {
                "check": "provider",
                "ok": True,
                "says": "The provider answers, and knows this account.",
            },
            {"check": "clock", "ok": True, "says": "The clock agrees with the provider's."},
            {"check": "webhooks", "ok": None, "says": "No webhook came since the start."},
        ],
    }
    assert (clinic.json()["tenant"], clinic.json()["ok"]) == ("clinica", True)


@pytest.mark.parametrize(
    "public_url, ok, word",
    [
        (None, False, "not set"),
        ("http://127.0.0.1:8000", False, "not set"),
        ("http://desk.example.org", False, "not https"),
        (OUTSIDE, True, "is https"),
    ],
)
async def test_public_url_is_looked_at(
    tmp_path: Path, httpserver: HTTPServer, public_url: str | None, ok: bool, word: str
) -> None:
    httpserver.expect_request("/account").respond_with_data("{}")
    async with (
        world(tmp_path, httpserver.url_for(""), public_url) as daemon,
        daemon.client() as client,
    ):
        found = await findings(client)

    assert found["public_url"]["ok"] is ok
    assert word in found["public_url"]["says"]


@pytest.mark.parametrize(
    "headers, ok",
    [
        ({"host": "desk.example.org", "x_forwarded_proto": "https"}, True),
        ({"host": "desk.example.org"}, True),
        ({"host": "DESK.example.org:443"}, True),
        ({"host": "10.0.0.5", "x_forwarded_host": "desk.example.org"}, True),
        ({"host": "desk.example.org", "x_forwarded_proto": "http"}, False),
        ({"host": "old.example.org"}, False),
        ({"host": "desk.example.org:8443"}, False),
        ({"host": "localhost:8000"}, None),
    ],
)
async def test_address_that_was_opened_is_compared(
    tmp_path: Path, httpserver: HTTPServer, headers: dict[str, str], ok: bool | None
) -> None:
    httpserver.expect_request("/account").respond_with_data("{}")
    async with (
        world(tmp_path, httpserver.url_for("")) as daemon,
        daemon.client("203.0.113.7") as client,
    ):
        found = await findings(client, **headers)

    assert found["address"]["ok"] is ok


async def test_what_the_provider_said_is_told_to_this_machine_only(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/account").respond_with_data("no", status=401)
    async with (
        world(tmp_path, httpserver.url_for("")) as daemon,
        daemon.client() as here,
        daemon.client("203.0.113.7") as stranger,
    ):
        local, remote = await findings(here), await findings(stranger)

    assert local["provider"]["ok"] is remote["provider"]["ok"] is False
    assert local["provider"]["details"] == "the provider does not know the token [secret]"
    assert "details" not in remote["provider"]
    assert local["provider"]["says"] == remote["provider"]["says"]


async def test_provider_is_asked_once_in_ten_seconds(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/account").respond_with_data("{}")
    async with world(tmp_path, httpserver.url_for("")) as daemon, daemon.client() as client:
        for _ in range(5):
            await findings(client)

    assert len(httpserver.log) == 1


async def test_provider_that_is_away_is_said(tmp_path: Path) -> None:
    async with world(tmp_path, "http://127.0.0.1:1") as daemon, daemon.client() as client:
        found = await findings(client)

    assert found["provider"]["ok"] is False
    assert found["clock"]["ok"] is None


@asynccontextmanager
async def provider_at(moment: datetime) -> AsyncIterator[str]:
    """Serve a provider whose clock says what it is told."""
    date = format_datetime(moment, usegmt=True)
    answer = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 2\r\n\r\n{{}}".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "hours, ok, details",
    [
        (0, True, None),
        (1, False, "s behind the provider's"),
        (-1, False, "s ahead of the provider's"),
    ],
)
async def test_clock_is_compared_with_the_providers(
    tmp_path: Path, hours: int, ok: bool, details: str | None
) -> None:
    async with (
        provider_at(datetime.now(UTC) + timedelta(hours=hours)) as provider,
        world(tmp_path, provider) as daemon,
        daemon.client() as client,
    ):
        found = await findings(client)

    assert found["clock"]["ok"] is ok
    assert (found["clock"].get("details") or "").endswith(details or "")


async def test_webhooks_that_nobody_signed_are_named(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/account").respond_with_data("{}")
    body = b"{}"
    signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
    async with world(tmp_path, httpserver.url_for("")) as daemon, daemon.client() as client:
        strangers = await client.post("/hooks/acme", content=body)
        unsigned = await findings(client)
        refused = await client.post("/hooks/acme", content=body, headers={"X-Signature": "00"})
        before = await findings(client)
        accepted = await client.post(
            "/hooks/acme", content=body, headers={"X-Signature": signature}
        )
        after = await findings(client)

    assert [it.status_code for it in (strangers, refused, accepted)] == [403, 403, 200]
    assert unsigned["webhooks"]["ok"] is None
    assert "none carried a signature" in unsigned["webhooks"]["says"]
    assert before["webhooks"]["ok"] is False
    assert after["webhooks"]["ok"] is True


async def test_channel_for_this_machine_is_tested_on_this_machine(tmp_path: Path) -> None:
    async with (
        world(tmp_path, "http://127.0.0.1:1", None) as daemon,
        daemon.client() as here,
        daemon.client("203.0.113.7") as stranger,
    ):
        found = await findings(here, "phone")
        refused = await stranger.get("/hooks/phone/test")

    assert refused.status_code == 403
    assert found["public_url"]["ok"] is True
    assert [found[name]["ok"] for name in ("secrets", "provider", "clock")] == [None] * 3


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "nobody/test", 404),
        ("GET", "test", 404),
        ("GET", "acme/status/test", 404),
        ("GET", "nobody/acme/test", 404),
        ("GET", "clinica/test", 404),
        ("POST", "acme/test", 405),
        ("HEAD", "acme/test", 200),
    ],
)
async def test_other_paths_and_methods(
    tmp_path: Path, httpserver: HTTPServer, method: str, path: str, status: int
) -> None:
    httpserver.expect_request("/account").respond_with_data("{}")
    async with world(tmp_path, httpserver.url_for("")) as daemon, daemon.client() as client:
        response = await client.request(method, f"/hooks/{path}")

    assert response.status_code == status
