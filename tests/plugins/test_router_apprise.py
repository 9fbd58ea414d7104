"""The apprise action keeps the contract, tells people, and keeps its addresses to itself."""

import asyncio
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr, ValidationError
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

import router_apprise
from router import plugin
from router.errors import ConfigError
from router.plugin.loading import load_plugins
from router.plugin.testing import FakeContext, conformance
from router.plugin.threads import MOST
from router.settings.loading import load_settings
from router.toml import Problem
from router_apprise import Apprise, AppriseConfig, router_register
from router_apprise.conformance import AppriseConformance

TOKEN = "token-never-shown-0001"

CALL = plugin.ActionCall(
    id="c1",
    action="pager",
    tenant="main",
    params=plugin.NoticeParams(
        title="Ana: legal\nthreat", text="Nos vemos en juicio.", url="https://desk.example/c/7"
    ),
    conversation="01k7conversation",
    contact={"name": "Ana", "address": "tel:+573001234567", "channel": "whatsapp"},
    because="legal threat of a customer",
)


class TestApprise(AppriseConformance):
    pass


def test_ships_what_router_plugins_check_runs() -> None:
    registry = plugin.Registry()
    router_register(registry)

    results = conformance(registry.actions["apprise"])

    assert {result.outcome for result in results} == {"passed", "exempt"}


def address(server: HTTPServer, path: str = TOKEN, tags: str = "") -> str:
    return f"{tags}json://{server.host}:{server.port}/{path}"


def config(*urls: str, **keys: Any) -> AppriseConfig:
    return AppriseConfig(urls=tuple(map(SecretStr, urls)), **keys)


@pytest.fixture
def ears() -> Iterator[list[str]]:
    """Everything that any library logs, but for the service's own server."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name != "werkzeug":
                heard.append(record.getMessage())

    root, ear = logging.getLogger(), Ear()
    level = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    yield heard
    root.setLevel(level)
    root.removeHandler(ear)


async def test_a_notice_says_what_happened_to_whom_and_where_to_look(
    httpserver: HTTPServer,
) -> None:
    httpserver.expect_ordered_request(f"/{TOKEN}", method="POST").respond_with_data("")
    async with FakeContext() as context:
        action = Apprise(config(address(httpserver)), context)
        async with action.lifespan():
            result = await action.run(CALL)

    ((request, _),) = httpserver.log
    sent = request.get_json()
    assert sent["title"] == "Ana: legal threat"
    assert sent["message"] == (
        "Nos vemos en juicio.\n\n"
        "legal threat of a customer\n"
        "Ana · tel:+573001234567 · whatsapp\n"
        "conversation 01k7conversation\n"
        "https://desk.example/c/7"
    )
    assert sent["type"] == "warning"
    assert result == plugin.ActionResult("told through JSON", {"services": ["JSON"]})


async def test_a_notice_without_words_still_says_who_calls(httpserver: HTTPServer) -> None:
    httpserver.expect_request(f"/{TOKEN}").respond_with_data("")
    call = plugin.ActionCall(id="c", action="p", tenant="main", params=plugin.NoticeParams())
    async with FakeContext(name="pager") as context:
        await Apprise(config(address(httpserver)), context).run(call)

    sent = httpserver.log[0][0].get_json()
    assert (sent["title"], sent["message"]) == ("pager", "pager")


async def test_all_addresses_of_all_secrets_are_told_and_a_tag_chooses(
    httpserver: HTTPServer,
) -> None:
    httpserver.expect_request(re.compile("/.*")).respond_with_data("")
    urls = (
        f"{address(httpserver, 'a')} \n {address(httpserver, 'b', 'night=')},",
        address(httpserver, "c", "day,night="),
    )
    async with FakeContext() as context:
        await Apprise(config(*urls), context).run(CALL)
        everybody = sorted(request.path for request, _ in httpserver.log)
        httpserver.clear_log()
        await Apprise(config(*urls, tag="night"), context).run(CALL)
        tonight = sorted(request.path for request, _ in httpserver.log)

    assert everybody == ["/a", "/b", "/c"]
    assert tonight == ["/b", "/c"]


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
async def test_a_no_is_an_unknown_outcome_with_the_services_name_and_no_secret(
    httpserver: HTTPServer, ears: list[str], status: int
) -> None:
    httpserver.expect_request(f"/{TOKEN}").respond_with_data(
        TOKEN, status=status, headers={"Location": f"/elsewhere/{TOKEN}"}
    )
    async with FakeContext() as context:
        action = Apprise(config(address(httpserver)), context)
        with pytest.raises(plugin.OutcomeUnknown) as caught:
            await action.run(CALL)

    assert caught.value.reason == f"not told through JSON ({status})"
    assert len(httpserver.log) == 1
    said = [*ears, repr(context.log.entries), repr(action.config), repr(action)]
    assert [text for text in said if TOKEN in text] == []


async def test_one_address_of_two_that_fails_is_an_unknown_outcome_which_names_both(
    httpserver: HTTPServer,
) -> None:
    httpserver.expect_request("/good").respond_with_data("")
    httpserver.expect_request("/bad").respond_with_data("", status=500)
    urls = (address(httpserver, "good"), address(httpserver, "bad"))
    async with FakeContext() as context:
        with pytest.raises(plugin.OutcomeUnknown) as caught:
            await Apprise(config(*urls), context).run(CALL)

    assert caught.value.reason == "not told through JSON (500), but through JSON"


async def test_a_service_that_is_not_there_is_a_no(ears: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with FakeContext() as context:
        action = Apprise(config(f"json://127.0.0.1:{port}/{TOKEN}"), context)
        with pytest.raises(plugin.OutcomeUnknown, match=r"^not told through JSON$"):
            await action.run(CALL)

    assert [text for text in ears if TOKEN in text] == []


async def test_a_slow_service_neither_blocks_the_router_nor_outlives_a_cancellation(
    httpserver: HTTPServer,
) -> None:
    answered = threading.Event()

    def slowly(_: Request) -> Response:
        answered.wait(30)
        return Response("")

    httpserver.expect_request(f"/{TOKEN}").respond_with_handler(slowly)
    gaps: list[float] = []

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - before)

    async with FakeContext() as context, anyio.create_task_group() as tasks:
        action = Apprise(config(address(httpserver)), context)
        await action.check()
        tasks.start_soon(watch)
        began = time.monotonic()
        with pytest.raises(TimeoutError), anyio.fail_after(0.5):
            await action.run(CALL)
        took = time.monotonic() - began
        answered.set()
        tasks.cancel_scope.cancel()

    assert took < 20
    assert len(gaps) > 1
    assert max(gaps) < 20


@contextmanager
def dripping() -> Iterator[tuple[str, list[socket.socket]]]:
    """Run a service that answers a byte now and then; give its address, and who has come.

    At the end its connections are closed, and whoever waits for an answer learns that.
    """
    came: list[socket.socket] = []
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.2):
            for connection in came:
                connection.sendall(b"a")
        for connection in came:
            connection.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
                came.append(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threads = [threading.Thread(target=each, daemon=True) for each in (drip, accept)]
        for thread in threads:
            thread.start()
        try:
            yield f"json://127.0.0.1:{server.getsockname()[1]}/{TOKEN}", came
        finally:
            over.set()
            threads[0].join()
            server.shutdown(socket.SHUT_RDWR)
            threads[1].join()


async def hang(action: Apprise, times: int) -> None:
    """Let notices run into the action's timeout, as the host does it."""

    async def one() -> None:
        with suppress(TimeoutError, plugin.Unavailable):
            async with asyncio.timeout(1.0):
                await action.run(CALL)

    async with anyio.create_task_group() as tasks:
        for _ in range(times):
            tasks.start_soon(one)


async def all_came(came: list[socket.socket]) -> list[socket.socket]:
    with anyio.fail_after(30):
        while len(came) < MOST:  # noqa: ASYNC110 - a connection is no event
            await anyio.sleep(0.05)
    return came


async def test_a_service_that_hangs_keeps_no_other_action_waiting(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/good").respond_with_data("")
    async with FakeContext() as context, FakeContext() as another:
        with dripping() as (url, came):
            bad = Apprise(config(url), context)
            good = Apprise(config(address(httpserver, "good")), another)
            await bad.check()
            await hang(bad, MOST + (os.cpu_count() or 1) + 8)  # more than apprise has threads

            with anyio.fail_after(30):
                await good.run(CALL)

            assert len(await all_came(came)) == MOST


async def test_an_action_whose_notices_all_hang_says_so_until_one_of_them_ends() -> None:
    async with FakeContext() as context:
        with dripping() as (url, came):
            action = Apprise(config(url), context)
            await action.check()
            await hang(action, MOST)

            with pytest.raises(plugin.Unavailable, match=f"{MOST} earlier calls hang"):
                await action.run(CALL)
            assert len(await all_came(came)) == MOST

        with anyio.fail_after(30):
            while True:
                try:
                    await action.run(CALL)
                except plugin.Unavailable:
                    await anyio.sleep(0.05)
                except plugin.OutcomeUnknown:
                    break  # begun again; by now nobody is there


@pytest.mark.parametrize(
    "urls, reason",
    [
        ((f"slak://{TOKEN}/x",), "the address in urls (slak://)"),
        (("json://127.0.0.1/a", f"slack://{TOKEN}"), "address 2 of 2 in urls (slack://)"),
        ((f"https://example.org/{TOKEN}",), "the address in urls (https://)"),
    ],
)
async def test_an_address_that_apprise_cannot_use_is_named_without_contacting_anybody(
    ears: list[str], urls: tuple[str, ...], reason: str
) -> None:
    async with FakeContext() as context:
        action = Apprise(config(*urls), context)
        with pytest.raises(plugin.Refused) as checked:
            await action.check()
        with pytest.raises(plugin.Refused) as run:
            await action.run(CALL)

    assert checked.value.reason == run.value.reason
    assert checked.value.reason == (
        f"apprise cannot use {reason}: the service is not known, a part of the address is "
        "missing, or a library that the service needs is not installed. Correct it, and start again"
    )
    assert [text for text in ears if TOKEN in text] == []


async def test_a_bad_address_is_in_the_log_soon_after_the_start() -> None:
    async with FakeContext() as context:
        action = Apprise(config(f"slak://{TOKEN}"), context)
        async with AsyncExitStack() as alive:
            with anyio.fail_after(15):  # as the host does it
                await alive.enter_async_context(action.lifespan())
            with anyio.fail_after(20):
                while not context.log.entries:  # noqa: ASYNC110 - a log is no event
                    await anyio.sleep(0.05)

    (entry,) = context.log.entries
    assert (entry.level, entry.event) == ("error", "an address cannot be used")
    assert entry.values["reason"].startswith("apprise cannot use the address in urls (slak://)")


def test_apprise_is_not_read_before_it_is_needed() -> None:
    code = "import router_apprise, sys; sys.exit('apprise' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "table, problem",
    [
        (
            'urls = { env = "NO_SCHEME" }',
            (
                "urls: the address does not begin with a service, such as slack:// or mailto://; "
                "put spaces or line ends between addresses, and none inside one"
            ),
        ),
        (
            'urls = [{ env = "GOOD" }, { env = "NO_SCHEME" }]',
            (
                "urls[1]: the address does not begin with a service, such as slack:// or "
                "mailto://; put spaces or line ends between addresses, and none inside one"
            ),
        ),
        (
            'urls = { env = "GOOD" }\ntag = "night"',
            '[actions.pager]: no address carries the tag "night": write night= before it',
        ),
        (f'urls = "json://{TOKEN}"', "urls is a secret, and must not stand here itself"),
        ("urls = []", "[actions.pager]: urls holds no address"),
        ('tag = "a"', "[actions.pager] lacks urls"),
    ],
)
def test_a_mistake_in_the_table_is_found_at_load_and_shows_no_secret(
    tmp_path: Path, table: str, problem: str
) -> None:
    environ = {"GOOD": f"json://127.0.0.1/{TOKEN}", "NO_SCHEME": TOKEN}

    with pytest.raises(ConfigError) as caught:
        load(tmp_path, table, environ)

    (found,) = caught.value.problems
    assert isinstance(found, Problem)
    assert found.message == problem
    assert TOKEN not in str(found)


def load(folder: Path, table: str, environ: dict[str, str]) -> Any:
    file = folder / "router.toml"
    file.write_text(
        f'[router]\npublic_url = "https://a.example"\n[actions.pager]\ntype = "apprise"\n{table}\n'
    )
    return load_settings(file, load_plugins(()), run=True, environ=environ)


@pytest.mark.parametrize("text", ["", " \n "])
def test_a_secret_without_an_address_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="there is no address in it"):
        config(text)


README = Path(router_apprise.__file__).with_name("README.md").read_text(encoding="utf-8")


def test_the_readme_names_every_setting_and_its_examples_are_valid(tmp_path: Path) -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    examples = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    boss = tmp_path / "boss"
    boss.write_text("night=json://127.0.0.1/boss\n")

    assert listed == {*AppriseConfig.model_fields}
    assert f"up to {MOST} at a time" in README
    assert len(examples) == 2
    for example in examples:
        ((name, _),) = tomllib.loads(example)["actions"].items()
        table = example.partition('type = "apprise"\n')[2]
        settings = load(
            tmp_path,
            table.replace("/run/secrets/boss", str(boss)),
            {"PAGER_URLS": "tgram://123:abc/456 mailtos://user:password@example.org"},
        )
        told = settings.actions["pager"].config.chosen()
        assert [one.scheme for one in told] == (
            ["json"] if name == "night" else ["tgram", "mailtos"]
        )
