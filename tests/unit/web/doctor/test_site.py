"""The way that webhooks take, as the doctor sees it: through proxies of every sort."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import httpx
import pytest

from router.plugin.testing import FakeClock
from router.web.doctor.diagnosis import Diagnosis, Level, Lines
from router.web.doctor.site import Site
from tests.unit.web.world import FakeHost

if TYPE_CHECKING:
    from router.settings.model import Settings

PUBLIC = "https://desk.example.org"
HERE = "http://127.0.0.1:8000"
TEST = ("/hooks/acme/test",)

Answer = Callable[[httpx.Request], httpx.Response]


class World:
    """A router on this machine, and whatever answers at its public URL.

    :param headers: what the proxy adds.
    :param peer: the proxy's address, as the router sees it.
    :param public: answers at the public URL in the proxy's place.
    """

    def __init__(
        self,
        folder: Path,
        *,
        public_url: str = PUBLIC,
        trusted: tuple[str, ...] = (),
        peer: str = "10.0.0.7",
        headers: Mapping[str, str] | None = None,
        public: Answer | None = None,
        runs: bool = True,
        several: bool = False,
    ) -> None:
        self.host = FakeHost()
        self.host.settings.router.trusted_proxies = trusted
        app: Any = self.host.app()
        here = httpx.ASGITransport(app=app, client=("127.0.0.1", 5000))
        proxy = httpx.ASGITransport(app=app, client=(peer, 5000))
        more = headers or {}
        self.public_url = public_url
        self.trusted = trusted
        self.several = several
        (folder / "router.toml").write_text(
            f'[router]\ntrusted_proxies = []\npublic_url = "{public_url}"\n'
        )
        self.file = folder / "router.toml"

        async def answer(request: httpx.Request) -> httpx.Response:
            if request.url.host == "127.0.0.1":
                if not runs:
                    raise httpx.ConnectError("nobody listens", request=request)
                return await here.handle_async_request(request)
            if public is not None:
                return public(request)
            request.headers.update(more)
            return await proxy.handle_async_request(request)

        self.transport = httpx.MockTransport(answer)

    @asynccontextmanager
    async def site(self) -> AsyncIterator[Site]:
        router = SimpleNamespace(public_url=self.public_url, trusted_proxies=self.trusted)
        server = SimpleNamespace(metrics="local")
        settings = cast("Settings", SimpleNamespace(router=router, server=server))
        async with httpx.AsyncClient(transport=self.transport) as client:
            lines = Lines(self.file)
            yield Site(settings, lines, client, FakeClock(), base=HERE, several=self.several)

    async def examined(self, paths: tuple[str, ...] = TEST) -> dict[str, Diagnosis]:
        async with self.site() as site:
            return {each.check: each for each in await site.examined(paths)}


async def test_a_proxy_that_is_set_up_is_fine(tmp_path: Path) -> None:
    world = World(tmp_path, trusted=("10.0.0.0/8",), headers={"X-Forwarded-For": "203.0.113.9"})

    found = await world.examined()

    assert {each.level for each in found.values()} == {Level.OK}
    assert found["public_url"].says.endswith(f": {PUBLIC}")
    assert found["reachable"].says == f"{PUBLIC} leads to this router."
    assert "10.0.0.7 is trusted" in found["trusted_proxies"].says


@pytest.mark.parametrize(
    "trusted, headers, peer, level, words, change",
    [
        (
            (),
            {"X-Forwarded-For": "203.0.113.9"},
            "10.0.0.7",
            Level.WARNING,
            "which trusted_proxies does not name",
            'trusted_proxies = ["10.0.0.7"]',
        ),
        (
            ("10.0.0.8",),
            {"Via": "1.1 x"},
            "10.0.0.7",
            Level.WARNING,
            "which trusted_proxies does not name",
            'trusted_proxies = ["10.0.0.8", "10.0.0.7"]',
        ),
        (("10.0.0.7",), {}, "10.0.0.7", Level.WARNING, "does not say for whom it asks", None),
        (("10.0.0.7",), {}, "127.0.0.1", Level.WARNING, "names others", None),
        (
            ("10.0.0.7",),
            {"X-Forwarded-For": "203.0.113.9"},
            "::ffff:10.0.0.7",
            Level.OK,
            "10.0.0.7 is trusted",
            None,
        ),
        ((), {}, "127.0.0.1", Level.OK, "without a trace of a proxy", None),
    ],
)
async def test_trusted_proxies_is_compared_with_what_the_proxy_sends(
    tmp_path: Path,
    trusted: tuple[str, ...],
    headers: dict[str, str],
    peer: str,
    level: Level,
    words: str,
    change: str | None,
) -> None:
    world = World(tmp_path, trusted=trusted, headers=headers, peer=peer)

    found = (await world.examined())["trusted_proxies"]

    assert (found.level, found.change) == (level, change)
    assert words in found.says
    assert found.place == (None if level is Level.OK else f"{world.file}:2")


async def test_believing_everybody_is_wrong(tmp_path: Path) -> None:
    async with World(tmp_path, trusted=("0.0.0.0/0",)).site() as site:
        found = [each for each in await site.examined(()) if each.check == "trusted_proxies"]

    assert [each.level for each in found] == [Level.WRONG]


@pytest.mark.parametrize(
    "public_url, change",
    [
        ("http://127.0.0.1:8000", 'public_url = "https://YOUR-ADDRESS"'),
        ("http://desk.example.org/router", 'public_url = "https://desk.example.org/router"'),
    ],
)
async def test_a_public_url_that_no_provider_calls_is_wrong(
    tmp_path: Path, public_url: str, change: str
) -> None:
    world = World(tmp_path, public_url=public_url)

    found = (await world.examined())["public_url"]

    assert (found.level, found.change) == (Level.WRONG, change)
    assert found.place == f"{world.file}:3"


async def test_without_a_provider_no_public_url_is_needed(tmp_path: Path) -> None:
    found = await World(tmp_path, public_url="http://127.0.0.1:8000").examined(())

    assert set(found) == {"public_url", "running"}
    assert found["public_url"].level is Level.OK


def failing(error: Exception) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        failure = httpx.ConnectError(str(error), request=request)
        raise failure from error

    return answer


def answering(status: int, **more: Any) -> Answer:
    return lambda _request: httpx.Response(status, **more)


#: What aiohttp raises for a certificate that it does not trust.
DISTRUST = aiohttp.ClientConnectorCertificateError(
    cast("Any", SimpleNamespace(host="desk.example.org", port=443, is_ssl=True)),
    ValueError("self-signed certificate"),
)


@pytest.mark.parametrize(
    "public, runs, level, words, change",
    [
        (failing(OSError("timed out")), True, Level.WARNING, "That may be fine", None),
        (failing(DISTRUST), True, Level.WRONG, "no certificate that can be trusted", None),
        (answering(502), True, Level.WRONG, "Let it lead to port 8000", None),
        (answering(502), False, Level.WARNING, "none runs here", None),
        (
            lambda asked: httpx.Response(
                301, headers={"Location": f"https://www.example.org{asked.url.path}"}
            ),
            True,
            Level.WRONG,
            "providers follow none",
            'public_url = "https://www.example.org"',
        ),
        *(
            (answering(302, headers={"Location": location}), True, Level.WRONG, "log in", None)
            for location in (
                "https://login.example.com/sso?next=/health/live",
                "https://login.example.com/",
                "http://www.example.org/hooks/acme/test",
                "https://who:what@www.example.org/hooks/acme/test",
                "https://[oops/hooks/acme/test",
                "https://desk.example.org/hooks/acme/test",
                "/login",
            )
        ),
        (answering(200, text="<h1>Welcome</h1>"), True, Level.WRONG, "no router", None),
        (answering(200, json=[1]), True, Level.WRONG, "no router", None),
        (answering(200, json={"instance": "x"}), True, Level.WRONG, "Another router", None),
        (answering(200, json={"instance": "x"}), False, Level.WARNING, "cannot be told", None),
    ],
)
async def test_what_is_at_the_public_url_is_told(
    tmp_path: Path, public: Answer, runs: bool, level: Level, words: str, change: str | None
) -> None:
    world = World(tmp_path, public=public, runs=runs)

    found = await world.examined()

    assert (found["reachable"].level, found["reachable"].change) == (level, change)
    assert words in found["reachable"].says
    assert found["reachable"].place == f"{world.file}:3"
    assert found["running"].level is (Level.OK if runs else Level.WARNING)


async def test_of_an_answer_without_an_end_the_beginning_is_read(tmp_path: Path) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 10_000

    world = World(tmp_path, public=answering(200, content=endless()))

    found = (await world.examined(paths=TEST))["reachable"]

    assert "no router" in found.says
    assert read < 100


async def test_another_node_may_answer_at_the_public_url(tmp_path: Path) -> None:
    world = World(tmp_path, public=answering(200, json={"instance": "x"}), several=True)

    found = await world.examined()

    assert found["reachable"].level is Level.WARNING
    assert "another node" in found["reachable"].says


async def test_a_proxy_that_lets_only_webhooks_through_is_no_obstacle(tmp_path: Path) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path.startswith("/hooks/"):
            return httpx.Response(200, json={"instance": "x"})
        return httpx.Response(404)

    found = await World(tmp_path, public=answer, several=True).examined()

    assert asked[:2] == ["/health/live", *TEST]
    assert "another node" in found["reachable"].says


async def test_the_clock_is_compared_with_the_public_urls(tmp_path: Path) -> None:
    behind = FakeClock().now() - timedelta(hours=1)
    date = behind.strftime("%a, %d %b %Y %H:%M:%S GMT")
    public = answering(200, json={"instance": "x"}, headers={"Date": date})

    async with World(tmp_path, public=public).site() as site:
        await site.examined(TEST)

    assert site.skew == pytest.approx(3600, abs=2)


async def test_how_a_request_arrived_is_told_to_this_machine_only() -> None:
    app: Any = FakeHost().app()
    word = "0123456789abcdef" * 2

    def client(peer: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app, client=(peer, 5000))
        return httpx.AsyncClient(transport=transport, base_url=HERE)

    async with client("10.0.0.7") as stranger, client("127.0.0.1") as here:
        await stranger.get("/health/live", headers={"X-Router-Doctor": word, "Via": "x" * 900})
        outside = await stranger.get("/health/live", headers={"X-Router-Doctor-Asks": word})
        inside = await here.get("/health/live", headers={"X-Router-Doctor-Asks": word})
        other = await here.get("/health/live", headers={"X-Router-Doctor-Asks": "0" * 32})
        for number in range(16):
            await stranger.get("/health/live", headers={"X-Router-Doctor": f"{number:032x}"})
        forgotten = await here.get("/health/live", headers={"X-Router-Doctor-Asks": word})

    assert inside.json()["arrived"]["peer"] == "10.0.0.7"
    assert len(inside.json()["arrived"]["via"]) == 300
    for answer in (outside, other, forgotten):
        assert "arrived" not in answer.json()
