"""What is for this machine only, as ``router doctor`` finds it behind proxies of every sort."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.plugin.testing import FakeClock
from router.web.app import build_app
from router.web.doctor.diagnosis import Diagnosis, Level, Lines
from router.web.doctor.site import Site
from tests.integration.web.daemon import CONFIG, running

PUBLIC = "https://desk.example.org"
HERE = "http://127.0.0.1:8000"
OWN_NAME = {"Host": "127.0.0.1:8000"}
PHONE = ("/hooks/phone/test",)
CONFIGURED = CONFIG.replace("language", f'public_url = "{PUBLIC}"\nlanguage', 1)
TRUSTING = CONFIGURED.replace("language", 'trusted_proxies = ["127.0.0.1"]\nlanguage', 1)

TALK = "Everybody can speak as any customer"
FIGURES = "Everybody can read the figures"


async def found_by_the_doctor(
    folder: Path,
    headers: Mapping[str, str],
    *,
    config: str = CONFIGURED,
    passes: tuple[str, ...] = ("/",),
    local: tuple[str, ...] = PHONE,
    otherwise: httpx.Response | None = None,
) -> list[Diagnosis]:
    """Let the doctor ask through a proxy on the same machine.

    :param headers: what the proxy sets.
    :param passes: the beginnings of paths that it passes on.
    :param otherwise: what it answers to all the others.
    """
    async with running(folder, config=config) as daemon:
        app: Any = build_app(daemon.router)
        router = httpx.ASGITransport(app=app, client=("127.0.0.1", 5000))

        async def answer(request: httpx.Request) -> httpx.Response:
            if request.url.host == "desk.example.org":
                if not request.url.path.startswith(passes):
                    return otherwise or httpx.Response(404)
                request.headers.update(headers)
            return await router.handle_async_request(request)

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            settings, lines = daemon.router.settings, Lines(folder / "router.toml")
            site = Site(settings, lines, client, FakeClock(), base=HERE)
            found = await site.examined((), local)
    return [each for each in found if each.check == "local_only"]


@pytest.mark.parametrize(
    "more, expected",
    [
        pytest.param(
            {}, {TALK: "/simulator", FIGURES: "/api/v1/stats"}, id="everything is passed on"
        ),
        pytest.param(
            {"passes": ("/hooks/",)}, {TALK: "/hooks/phone/test"}, id="webhooks are passed on"
        ),
        pytest.param(
            {"passes": ("/health/", "/metrics")}, {FIGURES: "/metrics"}, id="figures are passed on"
        ),
        pytest.param(
            {"config": TRUSTING},
            {TALK: "/simulator", FIGURES: "/api/v1/stats"},
            id="the proxy is trusted",
        ),
        pytest.param({"local": ()}, {FIGURES: "/api/v1/stats"}, id="no channel for this machine"),
    ],
)
async def test_a_proxy_that_says_nothing_gives_strangers_what_is_for_this_machine(
    tmp_path: Path, more: dict[str, Any], expected: dict[str, str]
) -> None:
    found = await found_by_the_doctor(tmp_path, OWN_NAME, **more)

    assert {each.level for each in found} == {Level.WRONG}
    assert len(found) == len(expected)
    for each, (means, path) in zip(found, expected.items(), strict=True):
        assert each.says.startswith(means)
        assert f": {PUBLIC}{path} is answered" in each.says
        assert "Let the proxy send X-Forwarded-For; " in each.says
        assert each.place == f"{tmp_path / 'router.toml'}:5"


@pytest.mark.parametrize(
    "headers, more",
    [
        pytest.param({}, {}, id="under its public name"),
        pytest.param(OWN_NAME | {"X-Forwarded-For": "203.0.113.9"}, {}, id="for a stranger"),
        pytest.param(
            OWN_NAME | {"X-Forwarded-For": "203.0.113.9"},
            {"config": TRUSTING},
            id="for a stranger, trusted",
        ),
        pytest.param(
            OWN_NAME | {"X-Forwarded-For": "127.0.0.1"},
            {"config": TRUSTING},
            id="for this machine, where the doctor is",
        ),
        pytest.param(
            OWN_NAME,
            {"passes": ("/health/",), "otherwise": httpx.Response(200, text="a shop's front")},
            id="beside another site",
        ),
        pytest.param(
            OWN_NAME, {"config": CONFIGURED.replace(PUBLIC, HERE)}, id="without a public address"
        ),
    ],
)
async def test_a_proxy_that_keeps_strangers_out_is_fine(
    tmp_path: Path, headers: dict[str, str], more: dict[str, Any]
) -> None:
    assert await found_by_the_doctor(tmp_path, headers, **more) == []
