"""The pipeline over an engine, by hand: real worker, deliverer and asker, scripted plugins."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import anyio
import sqlalchemy as sa

from router import plugin
from router.clock import Clock
from router.domain.event import InboundEvent
from router.metrics import Metrics
from router.pipeline.ai.ask import Asker
from router.pipeline.delivery.deliver import Deliverer
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.instances import Instances
from router.pipeline.intake.intake import Intake
from router.pipeline.intake.rush import Rush
from router.pipeline.media.media import Media
from router.pipeline.media.shelf import Shelf
from router.pipeline.outbound.approvals import Approvals
from router.pipeline.triage.triage import Triage
from router.pipeline.triage.worker import Worker
from router.plugin.registry import Registry
from router.plugin.testing import RecordingLog
from router.settings.loading import load_settings
from router.settings.model import Settings
from router.storage.store import IN, Item, LaneKind, Work
from router.storage.tables import lane
from tests.blocking import Library
from tests.integration.engine.harness import Engine, opened

SETTINGS = """
[router]
database = "sqlite+aiosqlite:///router.db"
rules = ["rules.toml"]
language = "es"
timezone = "UTC"

[policy]
mode = "autopilot"
debounce = "{debounce}"
debounce_cap = "10s"
apology = "Lo sentimos."
{policy}

[channels.phone]
type = "ledger"

[channels.patient]
type = "ledger"
on_unknown = "resend"

[ai.assistant]
type = "script"

[actions.pager]
type = "note"

[queues.legal]
title = "Legal"
notify = ["pager"]
"""

RULES = """
[default]
answer = "assistant"

[category.INFO]
risk = "low"

[category.OTHER]
risk = "low"

[[rule]]
id = "hours"
when.text.words = "horario"
then.reply = { text = "De 8 a 18." }

[[rule]]
id = "legal"
when.text.words = "abogado"
then.escalate = { to = "legal", because = "amenaza legal", say = "Ya le escribe una persona." }

[[rule]]
id = "sort"
when.text.words = "clasifica"
then.classify = "assistant"
"""


#: How long a claim is watched that may find nothing.
_GLANCE = 0.03


class Account(plugin.PluginConfig):
    """Whose account it is at the provider; nobody need say."""

    account: str = ""
    token: plugin.Secret | None = None


#: What is listed, found out when it is asked for.
Listing = Callable[[], Awaitable[Sequence[str]]]


@dataclass
class Provider:
    """Somebody else's server.

    :ivar sent: what customers have on their telephones: item ids and texts, in order.
    :ivar pause: what a question waits for before it is answered.
    :ivar script: how the next calls end, by what they do to whom; everything else succeeds.
    :ivar scripts: the same for one instance alone, by its name; they come first.
    :ivar listing: what it lists as sent, or why it does not, look by look; then nothing. A
        function is called for what it lists.
    :ivar raw: what looks give as it is, whatever it is; they come first.
    :ivar looked: what it was asked about, and since when.
    :ivar answers: what models that call tools answer, one after the other; then ``answer``.
    :ivar found: what is found by whoever looks something up.
    :ivar slow: what looking something up waits for.
    :ivar holding: what the calls of an instance wait for, by its name; each is counted.
    :ivar held: how many calls of an instance have begun to wait.
    :ivar ref: what it calls a message by begins so.
    """

    sent: list[tuple[str, str, str]] = field(default_factory=list)
    done: list[plugin.ActionCall] = field(default_factory=list)
    asked: list[plugin.Prompt] = field(default_factory=list)
    script: list[BaseException | None] = field(default_factory=list)
    scripts: dict[str, list[BaseException | None]] = field(default_factory=dict)
    listing: list[Sequence[str] | Exception | Listing] = field(default_factory=list)
    raw: list[Any] = field(default_factory=list)
    looked: list[tuple[str, datetime]] = field(default_factory=list)
    answers: list[plugin.Completion] = field(default_factory=list)
    found: plugin.ActionResult | None = None
    slow: anyio.Event | Library | None = None
    pause: anyio.Event | Library | None = None
    holding: dict[str, anyio.Event] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)
    ref: str = "ref-"
    answer: plugin.Completion = field(
        default_factory=lambda: plugin.Completion("Cuesta 5.", confidence=0.9, category="INFO")
    )

    def take(self, item: Item) -> None:
        """Put a message on a customer's telephone."""
        body = json.loads(item.body)
        self.sent.append((item.id, body["recipient"], body["text"]))

    async def hold(self, name: str) -> None:
        """Let a call of an instance wait, where its calls do."""
        if name in self.holding:
            self.held[name] += 1
            await self.holding[name].wait()

    def text_of(self, item: str) -> str:
        """Give what an item said."""
        return next(text for name, _, text in self.sent if name == item)

    def outcome(self, name: str) -> BaseException | None:
        """Give how the next call of an instance ends."""
        script = self.scripts.get(name) or self.script
        return script.pop(0) if script else None

    def next(self, name: str) -> None:
        outcome = self.outcome(name)
        if outcome is not None:
            raise outcome


class Ledger(plugin.Channel[Account]):
    """A channel that keeps what it sent."""

    provider: Provider

    def verify(self, request: plugin.WebhookRequest) -> None:
        if request.header("x-signature") != "ok":
            message = "not signed"
            raise plugin.InvalidSignature(message)

    def parse(self, request: plugin.WebhookRequest) -> Sequence[InboundEvent]:
        values = request.json()
        return [
            plugin.MessageReceived(
                values["id"], plugin.Address.from_text(values["from"]), values["text"]
            )
        ]

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        await self.provider.hold(self.context.name)
        outcome = self.provider.outcome(self.context.name)
        if outcome is None or isinstance(outcome, plugin.OutcomeUnknown | OSError):
            self.provider.sent.append((message.id, str(message.recipient), message.text))
        if outcome is not None:
            raise outcome
        return plugin.SendReceipt(f"{self.provider.ref}{message.id}")

    async def find_sent(
        self, message: plugin.OutboundMessage, since: datetime
    ) -> Sequence[plugin.SentMessage]:
        self.provider.looked.append((message.id, since))
        if self.provider.raw:
            raw: Sequence[plugin.SentMessage] = self.provider.raw.pop(0)
            return raw
        found = self.provider.listing.pop(0) if self.provider.listing else ()
        if isinstance(found, Exception):
            raise found
        if callable(found):
            found = await found()
        return [plugin.SentMessage(name) for name in found]


class Script(plugin.AIBackend[Account]):
    """A backend that answers what it is told to."""

    provider: Provider

    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        self.provider.asked.append(prompt)
        if self.provider.pause is not None:
            await self.provider.pause.wait()
        await self.provider.hold(self.context.name)
        self.provider.next(self.context.name)
        return self.provider.answer


class Caller(Script):
    """A backend that calls tools when it is told to."""

    calls_tools = True

    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        answer = await super().complete(prompt)
        return self.provider.answers.pop(0) if self.provider.answers else answer


class Sought(plugin.ActionParams):
    """What is looked up."""

    query: str


class Look(plugin.Action[Account]):
    """An action that only reads."""

    provider: Provider
    reads_only = True
    repeat_is_harmless = True

    async def run(self, call: plugin.ActionCall) -> plugin.ActionResult | None:
        self.provider.done.append(call)
        if self.provider.slow is not None:
            await self.provider.slow.wait()
        self.provider.next(self.context.name)
        return self.provider.found


class Note(plugin.Action[Account]):
    """An action that is kept."""

    provider: Provider

    async def run(self, call: plugin.ActionCall) -> None:
        self.provider.done.append(call)
        await self.provider.hold(self.context.name)
        self.provider.next(self.context.name)


def registry() -> Registry:
    """Give the kinds of plugins that these tests have."""
    kinds = Registry()
    kinds.channel("ledger", Ledger, config=Account)
    kinds.ai_backend("script", Script, config=Account)
    kinds.ai_backend("caller", Caller, config=Account)
    kinds.action("note", Note, config=Account)
    kinds.action("look", Look, config=Account, params=Sought)
    return kinds


def instances_of(
    settings: Settings, clock: Clock, log: RecordingLog, provider: Provider
) -> Configuration:
    """Build the instances that the settings name, up, at one provider."""
    instances = Instances(settings, clock, log)
    for live in instances.all():
        live.up, live.error = True, None
        live.plugin.provider = provider
    return Configuration(settings, instances)


@dataclass
class Pipeline:
    """Everything between the lanes, each step when the test says so."""

    engine: Engine
    configuration: Configuration
    provider: Provider
    log: RecordingLog
    poison: Callable[[Work], None] = lambda _work: None
    unread: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.approvals = Approvals(self.engine.clock.now())
        self.build()

    def build(self) -> None:
        """Build what holds the store, as a start does."""
        engine, store, clock = self.engine, self.engine.store, self.engine.clock

        def ids() -> str:
            return engine.name("id")

        real = Triage(self.configuration, clock, ids, store.aliases, ages=store.ages)
        pipeline = self

        class Watched:
            """The triage, unless the test makes it fail."""

            def decide(self, work: Work) -> Any:
                pipeline.poison(work)
                return real.decide(work)

            def missing(self, work: Work) -> str | None:
                return real.missing(work)

            def give_up(self, work: Work, error: str) -> Any:
                return real.give_up(work, error)

        self.triage = real
        configuration = lambda: self.configuration  # noqa: E731
        metrics = Metrics()
        shared = (clock, self.log, metrics)
        shelf = Shelf(configuration)
        self.asker = Asker(store, configuration, self.knows, *shared, shelf=shelf)
        rush = Rush()
        self.worker = Worker(store, lambda: cast("Triage", Watched()), *shared, rush)
        media = Media(store, configuration, shelf, *shared, flights=self.asker.flights)
        self.deliverer = Deliverer(
            store,
            configuration,
            self.asker,
            *shared,
            rush=rush,
            media=media,
            ids=ids,
            approvals=self.approvals,
        )
        self.intake = Intake(store, self.log, metrics, rush)

    async def knows(self, tenant: str) -> bool:
        """Say whether a tenant's articles are in the index."""
        return tenant not in self.unread

    def reload(
        self, before: str, after: str, provider: Provider | None = None, **capabilities: Any
    ) -> None:
        """Put something else in the settings in force.

        :param before: what is written in router.toml.
        :param after: what is to stand there.
        :param provider: what the instances reach then, if it is not the same as before.
        :param capabilities: of the channel ``phone``, as for :meth:`can`.
        """
        path = self.configuration.settings.path
        path.write_text(path.read_text().replace(before, after, 1))
        settings = load_settings(path, registry(), run=True)
        provider = provider or self.provider
        self.configuration = instances_of(settings, self.engine.clock, self.log, provider)
        self.build()
        self.can("phone", **capabilities)

    async def crash(self) -> None:
        await self.engine.crash()
        self.build()

    def can(self, channel: str, **capabilities: Any) -> None:
        """Let a channel be able to do more."""
        live = self.configuration.instances.channels["main", channel]
        live.plugin.capabilities = replace(live.plugin.capabilities, **capabilities)

    # --- steps

    async def work(self, *works: Work) -> None:
        await self.worker._work(list(works))

    async def do(self, item: Item) -> None:
        await self.deliverer._do(item)

    async def turn(self, item: Item) -> None:
        """Do an item as the deliverer's own loop does: a mistake of ours stops it alone."""
        await self.deliverer._one(item, anyio.Semaphore(0))

    async def waits(self, kind: str) -> bool:
        """Tell whether anything of a kind can be claimed; nothing may be in the test's hands."""
        now = self.engine.clock.now()
        statement = sa.select(sa.func.count()).where(
            lane.c.kind == kind, lane.c.ready_at <= now, sa.not_(lane.c.parked)
        )
        return await self.engine.store.read(lambda it: bool(it.execute(statement).scalar_one()))

    async def think(self) -> None:
        """Work every event that can be worked now."""
        while await self.waits(IN):
            works: list[Work] = []
            with anyio.move_on_after(_GLANCE):
                works = await self.engine.store.claim(100)
            await self.work(*works)

    async def act(self, kind: LaneKind) -> None:
        """Do every item that can be done now."""
        while await self.waits(kind):
            items: list[Item] = []
            # A lane that was woken may turn out to have nothing left; then there is none to claim.
            with anyio.move_on_after(_GLANCE):
                items = await self.engine.store.claim_items(kind, 100)
            for item in items:
                await self.do(item)

    async def settle(self) -> None:
        """Do everything that can be done without the clock moving on."""
        while True:
            await self.think()
            await self.act("job")
            await self.act("out")
            if not await self.waits(IN) and not await self.waits("job"):
                return

    async def pass_time(self, seconds: float) -> None:
        """Let time pass and do what then is due."""
        self.engine.clock.advance(timedelta(seconds=seconds))
        while await self.engine.store.fire_timers():
            pass
        await self.settle()

    def texts(self) -> list[str]:
        """Give what customers have read, in order."""
        return [text for _, _, text in self.provider.sent]


@asynccontextmanager
async def running(
    name: str,
    folder: Path,
    *,
    debounce: str = "2s",
    policy: str = "",
    tables: str = "",
    rules: str = "",
    language: str = "es",
) -> AsyncIterator[Pipeline]:
    """Open a pipeline on an empty database; more tables and rules come behind the usual ones."""
    written = SETTINGS.format(debounce=debounce, policy=policy) + tables
    written = written.replace('language = "es"', f'language = "{language}"')
    (folder / "router.toml").write_text(written)
    (folder / "rules.toml").write_text(RULES + rules)
    settings = load_settings(folder / "router.toml", registry(), run=True)
    async with opened(name, folder) as engine:
        log = RecordingLog()
        provider = Provider()
        configuration = instances_of(settings, engine.clock, log, provider)
        yield Pipeline(engine, configuration, provider, log)
