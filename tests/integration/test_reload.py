"""Reloading in one process: what is kept, what is started, what refuses, and who is closed when."""

import os
import resource
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from pydantic import field_validator

from router import plugin
from router.daemon import Router, open_store
from router.errors import ActRefused
from router.logs import REDACTED, Redaction
from router.pipeline.reloading.load import Load
from router.pipeline.reloading.watching import Watcher, happenings
from router.plugin.registry import Registry
from router.plugin.testing import RecordingLog
from router.settings.inputs import Files
from router.settings.loading import load_settings
from router.settings.model import Settings
from router.storage.breakers import open_breakers
from router.storage.store import Store
from tests.blocking import Library, blocking
from tests.databases import empty_sqlite
from tests.wordless import Wordless

CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"
rules = ["rules.toml"]

[policy]
mode = "autopilot"
debounce = "0s"

[channels.phone]
type = "line"
number = 1

[channels.desk]
type = "line"
number = 2
"""
RULES = 'default.ticket = {}\n\n[[rule]]\nid = "echo"\nthen.reply = { text = "one {{ text }}" }\n'


class LineConfig(plugin.PluginConfig):
    """A telephone line."""

    number: int
    start: str = "well"
    check: str = "well"

    @field_validator("start")
    @classmethod
    def _breaks(cls, value: str) -> str:
        if value == "rudely":
            raise LookupError("a mistake of the plugin")
        if value == "mutely":
            raise Wordless
        return value


@dataclass
class Exchange:
    """What all lines have done.

    :ivar open: the numbers of those inside their lifespan.
    :ivar pause: what a send waits for.
    :ivar blocked: what a check waits for.
    :ivar dead: the numbers on which nothing can be sent.
    """

    entered: list[int] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    sent: list[tuple[int, str]] = field(default_factory=list)
    sending: list[int] = field(default_factory=list)
    pause: anyio.Event | None = None
    blocked: Library | None = None
    dead: set[int] = field(default_factory=set)


class Line(plugin.Channel[LineConfig]):
    capabilities = plugin.Capabilities(fetch=True)
    exchange: Exchange

    def __init__(self, config: LineConfig, context: plugin.PluginContext) -> None:
        super().__init__(config, context)
        if config.start == "made of glass":
            raise ValueError("it broke as it was made")
        if config.start == "made of nothing":
            raise Wordless

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        number = self.config.number
        self.exchange.entered.append(number)
        if self.config.start == "badly":
            raise plugin.Refused("the line is dead")
        self.exchange.open.append(number)
        try:
            yield
        finally:
            self.exchange.open.remove(number)

    async def check(self) -> None:
        if self.exchange.blocked is not None:
            await self.exchange.blocked.wait()
        if self.config.check != "well":
            raise plugin.Unavailable(f"no dial tone on {self.config.check}")

    def verify(self, request: plugin.WebhookRequest) -> None: ...

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        values = request.json()
        sender, text = plugin.Address.from_text(values["from"]), values["text"]
        files = (plugin.Attachment(kind="document", url=text),) if text.startswith("file:") else ()
        return [plugin.MessageReceived(values["id"], sender, text, attachments=files)]

    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        return plugin.File("text/plain", (attachment.url or "").encode())

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        number = self.config.number
        self.exchange.sending.append(number)
        if self.exchange.pause is not None:
            await self.exchange.pause.wait()
        assert number in self.exchange.open
        if number in self.exchange.dead:
            raise plugin.Unavailable("no connection")
        self.exchange.sent.append((number, message.text))
        return plugin.SendReceipt(message.id)


@dataclass
class World:
    """A running router, its files and its lines."""

    folder: Path
    router: Router
    exchange: Exchange
    log: RecordingLog

    def change(self, old: str, new: str) -> None:
        """Change router.toml or the rules."""
        for name in ("router.toml", "rules.toml"):
            path = self.folder / name
            path.write_text(path.read_text().replace(old, new))

    async def reload(self) -> Load:
        return await self.router.reloader.reload("command")

    def line(self, name: str) -> Any:
        return self.router.configuration.instances.channels["main", name]

    async def say(self, id: str, text: str, channel: str = "phone") -> int:
        """Send a webhook; give the status."""
        live = self.line(channel)
        body = f'{{"id": "{id}", "from": "tel:+57300{id}", "text": "{text}"}}'.encode()
        request = plugin.WebhookRequest(
            url="http://x/", headers={}, body=body, received_at=self.router.clock.now()
        )
        return (await self.router.intake.receive(live, request)).status


async def until(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not happened():  # noqa: ASYNC110 - what is waited for is a scripted line's doing
            await anyio.sleep(0.01)


async def kept_open(store: Store, number: int) -> None:
    """Wait until the database knows of so many open circuit breakers."""
    with anyio.fail_after(30):
        while len(await store.read(open_breakers)) != number:  # noqa: ASYNC110 - as above
            await anyio.sleep(0.01)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    exchange, registry = Exchange(), Registry()

    class OurLine(Line):
        pass

    OurLine.exchange = exchange
    registry.channel("line", OurLine, config=LineConfig)
    path = tmp_path / "router.toml"
    path.write_text(CONFIG)
    (tmp_path / "rules.toml").write_text(RULES)
    empty_sqlite(tmp_path / "router.db")

    def load() -> Settings:
        return load_settings(path, registry, run=True, environ={})

    settings, log = load(), RecordingLog()
    async with (
        open_store(settings) as store,
        Router(settings, store, log=log, load=load, redaction=Redaction({"glass"})) as router,
    ):
        yield World(tmp_path, router, exchange, log)


async def test_instances_whose_settings_are_the_same_are_kept(world: World) -> None:
    phone, desk = world.line("phone"), world.line("desk")
    world.change("one {{", "two {{")
    world.change("number = 2", "number = 3")

    load = await world.reload()

    assert load.applied
    assert load.changed == ("channels.desk: number changed", "rule.echo: changed")
    assert (load.started, load.ended, load.kept) == (("channels.desk",), ("channels.desk",), 1)
    assert world.line("phone") is phone
    assert world.line("desk") is not desk
    await until(lambda: sorted(world.exchange.open) == [1, 3])
    assert world.exchange.entered == [1, 2, 3]


async def test_keys_that_only_the_host_reads_take_effect_on_an_instance_that_is_kept(
    world: World,
) -> None:
    phone, breaker = world.line("phone"), world.line("phone").breaker
    world.change("number = 1", 'number = 1\nrequired = true\nbreaker_after = 9\nsettle = "5s"')

    load = await world.reload()

    assert load.kept == 2
    assert world.line("phone") is phone
    assert phone.settings.required
    assert phone.settings.settle == 5.0
    assert (phone.breaker, breaker.after) == (breaker, 9)


async def test_channels_come_and_go(world: World) -> None:
    world.change("[channels.desk]", "[channels.till]")

    load = await world.reload()

    assert load.changed == ("channels.till: added", "channels.desk: removed")
    assert world.router.channel("main", "desk") is None
    assert await world.say("1", "hola", channel="till") == 200
    await until(lambda: world.exchange.sent == [(2, "one hola")])
    await until(lambda: sorted(world.exchange.open) == [1, 2])


async def test_what_is_being_sent_ends_on_the_instance_that_is_replaced(world: World) -> None:
    world.exchange.pause = anyio.Event()
    await world.say("1", "hola")
    await until(lambda: world.exchange.sending == [1])
    world.change("number = 1", "number = 5")

    load = await world.reload()
    assert load.applied
    assert world.line("phone").plugin.config.number == 5
    assert sorted(world.exchange.open) == [1, 2, 5]

    world.exchange.pause.set()
    await until(lambda: sorted(world.exchange.open) == [2, 5])
    assert world.exchange.sent == [(1, "one hola")]
    await world.say("2", "adiós")
    await until(lambda: world.exchange.sent[1:] == [(5, "one adiós")])


async def test_an_instance_in_the_place_of_one_that_failed_begins_with_a_closed_breaker(
    world: World,
) -> None:
    store = world.router.store
    world.change("number = 1", "number = 1\nbreaker_after = 1")
    await world.reload()
    world.exchange.dead.add(1)
    await world.say("1", "hola")
    await until(lambda: world.router.held_back() == ["channels.phone"])
    await kept_open(store, 1)
    world.change("number = 1", "number = 5")

    await world.reload()

    assert world.router.held_back() == []
    await kept_open(store, 0)


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("number = 2", 'number = "two"', "router.toml:16:10: "),
        ("then.reply", "then.rpely", "rules.toml:5:"),
        ("[policy]", "[polizy]", 'there is no table "polizy"'),
        ('"rules.toml"', '"rulez.toml"', 'there is no rules file "rulez.toml"'),
        ("default.ticket", '[[example]]\nsay = "x"\nexpect.reply = "y"\n[default]\nticket', "y"),
        ("number = 2", 'number = 2\nstart = "rudely"', "cannot be read: LookupError: a mistake"),
        ("number = 2", 'number = 2\nstart = "badly"', "channels.desk does not start: the line is"),
        ("number = 2", 'number = 2\nstart = "mutely"', "cannot be read: Wordless"),
        (
            "number = 2",
            'number = 2\nstart = "made of nothing"',
            "channels.desk cannot be made: Wordless",
        ),
        (
            "number = 2",
            'number = 2\nstart = "made of glass"',
            "channels.desk cannot be made: Value",
        ),
        (
            "number = 2",
            'number = 2\ncheck = "2"\nrequired = true',
            "channels.desk: its check failed: no dial tone on 2",
        ),
    ],
)
async def test_a_bad_candidate_changes_nothing_and_says_why(
    world: World, old: str, new: str, told: str
) -> None:
    configuration, before = world.router.configuration, world.router.settings.hash
    live = configuration.instances.all()
    world.change(old, new)
    world.change("one {{", "two {{")

    load = await world.reload()

    assert not load.applied
    assert told in "\n".join(load.problems)
    assert load.hash == before
    assert world.router.configuration is configuration
    assert [it.up for it in live] == [True, True]
    assert sorted(world.exchange.open) == [1, 2]
    status = world.router.status()
    assert told in "\n".join(status["settings"]["last_load"]["problems"])
    assert "the last reload was refused: what runs is not what the files say" in status["trouble"]
    assert any("not reloaded" in str(entry) for entry in world.log.entries)
    assert await world.say("1", "hola") == 200
    await until(lambda: world.exchange.sent == [(1, "one hola")])

    world.change(new, old)
    assert (await world.reload()).changed == ("rule.echo: changed",)
    assert world.router.status()["trouble"] == []


async def test_a_probe_that_fails_is_told_and_stops_only_what_is_required(world: World) -> None:
    world.change("number = 2", 'number = 2\ncheck = "2"')

    load = await world.reload()

    assert load.applied
    assert load.doubts == ("channels.desk: its check failed: no dial tone on 2",)
    assert world.line("desk").up


async def test_a_probe_in_a_library_that_blocks_is_given_up(world: World) -> None:
    world.change("number = 2", 'number = 3\ntimeout = "200ms"')
    with blocking() as world.exchange.blocked:
        load = await world.reload()

        assert world.exchange.blocked.came_back == 0
    assert load.doubts == ("channels.desk: its check failed: TimeoutError",)


async def test_a_reload_needs_no_thread_that_others_may_hold(world: World) -> None:
    world.change("one", "two")
    with blocking() as library:
        async with anyio.create_task_group() as tasks:
            for _ in range(int(anyio.to_thread.current_default_thread_limiter().total_tokens)):
                tasks.start_soon(library.wait)
            await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(20) as late:
                load = await world.reload()

            assert library.came_back == 0
            library.let_go()
    assert not late.cancelled_caught
    assert load.applied


async def test_what_a_refused_reload_says_holds_no_secret(world: World) -> None:
    world.change("number = 2", 'number = 2\ncheck = "glass"\nrequired = true')

    load = await world.reload()

    assert load.problems == (f"channels.desk: its check failed: no dial tone on {REDACTED}",)


async def test_reloads_at_once_wait_for_each_other(world: World) -> None:
    loads: list[Load] = []

    async def reload() -> None:
        loads.append(await world.reload())

    world.change("number = 2", "number = 7")
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(reload)

    assert [bool(load.changed) for load in loads] == [True, False, False, False, False]
    await until(lambda: sorted(world.exchange.open) == [1, 7])
    assert world.exchange.entered == [1, 2, 7]


def kept(folder: Path) -> list[str]:
    """Give what the files in a folder say, but for one that is being written.

    That one has a name of its own, with a ``#``, until it is whole.
    """
    files = (path for path in folder.rglob("*") if path.is_file() and "#" not in path.name)
    return sorted(path.read_text() for path in files)


async def test_files_go_to_where_the_configuration_in_force_says(world: World) -> None:
    first, second = world.folder / "first", world.folder / "second"
    world.change("[policy]", '[media]\nstore = "first"\n\n[policy]')
    assert (await world.reload()).applied
    await world.say("1", "file:one")
    await until(lambda: kept(first) == ["file:one"])

    world.change('store = "first"', 'store = "second"')
    load = await world.reload()
    await world.say("2", "file:two")
    await until(lambda: kept(second) == ["file:two"])

    assert [words.partition(":")[0] for words in load.changed] == ["[media] store"]
    assert kept(first) == ["file:one"]

    world.change('store = "second"', 'store = "second"\nfetch = false')
    load = await world.reload()
    await world.say("3", "file:three")
    await until(lambda: len(world.exchange.sent) == 3)

    assert [words.partition(":")[0] for words in load.changed] == ["[media] fetch"]
    assert kept(second) == ["file:two"]


async def test_a_router_that_stops_is_not_reloaded(world: World) -> None:
    await world.router.drain()

    with pytest.raises(ActRefused, match="the router is stopping"):
        await world.reload()


class GoneFiles(Files):
    """Files in a folder of which the system tells nothing; they are always stale."""

    def folders(self) -> frozenset[Path]:
        return frozenset({Path("/nowhere/at/all")})

    def stale(self) -> bool:
        return True


async def test_files_of_which_the_system_tells_nothing_are_looked_at_now_and_then(
    world: World,
) -> None:
    router = world.router
    watcher = Watcher(
        GoneFiles(world.folder / "router.toml"), router.reloader, lambda: router.settings, world.log
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        await until(lambda: router.reloader.last.by == "file")
        first = router.reloader.last
        await until(lambda: router.reloader.last is not first)
        tasks.cancel_scope.cancel()


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


async def test_a_system_that_cannot_watch_any_more_folders_says_so(tmp_path: Path) -> None:
    told = happenings(frozenset({tmp_path}), anyio.Event())
    await anext(told)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # What is opened next gets the lowest number that is free.
    free = next(number for number in range(soft) if not _is_open(number))
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            await anext(told)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
