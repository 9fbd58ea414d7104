"""How pollers are doing, in /api/v1/stats, through the API and in /metrics."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from router.pipeline.people.acts import perform
from router.storage.pollers import hold_all
from tests.integration.web.daemon import CONFIG, Daemon, running
from tests.integration.web.test_numbers import scrape, stats

PLUGIN = Path(__file__).parents[2] / "acceptance" / "plugins" / "mailbox.py"


def config(httpserver: HTTPServer, *tenants: str) -> str:
    """Give a configuration in which some tenants have a channel that polls."""
    text = CONFIG.replace("[router]", f'[router]\nplugins = ["{PLUGIN}"]')
    for tenant in tenants:
        where = "channels" if tenant == "main" else f"tenants.{tenant}.channels"
        text += f'\n[{where}.letters]\ntype = "mailbox"\nbase_url = "{httpserver.url_for("")}"\n'
    return text


class Office:
    """A server with no letters, which may be closed."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.closed = False
        httpserver.expect_request("/letters").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        if self.closed:
            return Response("closed", status=503)
        return Response('{"letters": [], "next": "0", "more": false}', mimetype="application/json")


async def until(daemon: Daemon, so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until the one poller is doing so; give what is said of it."""
    with anyio.fail_after(40):
        while True:
            found = (await stats(daemon))["pollers"]
            if len(found) == 1 and so(found[0]):
                poller: dict[str, Any] = found[0]
                return poller
            await anyio.sleep(0.02)


async def test_a_poller_tells_when_it_last_went_well_and_how_often_it_has_failed_since(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    office = Office(httpserver)
    began = datetime.now(UTC)
    async with running(tmp_path, config=config(httpserver, "main")) as daemon:
        well = await until(daemon, lambda it: it["last_success"] is not None)
        office.closed = True
        failing = await until(daemon, lambda it: it["failures"] >= 2)
        async with daemon.client() as client:
            found = await scrape(client)

    assert (well["tenant"], well["channel"], well["name"]) == ("main", "letters", "letters")
    assert (well["every"], well["failures"], well["error"], well["held"]) == (0.05, 0, None, None)
    moment = datetime.fromisoformat(failing["last_success"])
    assert began <= moment <= datetime.now(UTC)
    assert failing["failing_since"] > failing["last_success"]
    assert "503" in failing["error"]
    who = ("letters", "letters", "main")
    assert found["router_poller_last_success_timestamp_seconds", *who] == moment.timestamp()
    assert found["router_poller_failures", *who] >= 2
    assert found["router_poller_held", *who] == 0
    assert found["router_poller_interval_seconds", *who] == 0.05


async def test_a_poller_that_never_went_well_and_is_held_shows_as_such(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    Office(httpserver).closed = True
    async with running(tmp_path, config=config(httpserver, "main")) as daemon:
        await until(daemon, lambda it: it["failures"] >= 1)
        await daemon.router.store.write(lambda tx: hold_all(tx.connection, "restored"))
        held = await until(daemon, lambda it: it["held"] is not None)
        async with daemon.client() as client:
            found = await scrape(client)

    who = ("letters", "letters", "main")
    assert (held["held"], held["last_success"]) == ("restored", None)
    assert found["router_poller_last_success_timestamp_seconds", *who] == 0
    assert found["router_poller_held", *who] == 1


async def test_a_tenant_sees_its_own_pollers_and_nobody_those_that_are_no_more(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    Office(httpserver)
    first = config(httpserver, "main", "clinica")
    async with running(tmp_path, config=first) as daemon:
        with anyio.fail_after(40):
            while len((await stats(daemon))["pollers"]) < 2:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        given = {"name": "crm", "scopes": ["read"], "expires": 60.0, "by": "eva"}
        router = daemon.router
        token = await perform(
            router.store, "tokens.create", {**given, "tenant": "clinica"}, router.surroundings
        )
        async with daemon.client("203.0.113.7") as client:
            headers = {"Authorization": f"Bearer {token['text']}"}
            own = (await client.get("/api/v1/stats", headers=headers)).json()["pollers"]
    (tmp_path / "rest").mkdir()
    kept = f"sqlite+aiosqlite:///{tmp_path}/router.db"
    later = config(httpserver, "clinica").replace("sqlite+aiosqlite:///router.db", kept)
    async with running(tmp_path / "rest", config=later) as daemon:
        left = await until(daemon, lambda it: it["tenant"] == "clinica")

    assert [it["tenant"] for it in own] == ["clinica"]
    assert (left["channel"], left["failures"]) == ("letters", 0)
