"""Whatever comes twice, late, at once or after a crash: the state is what the accepted facts imply.

Each example is a list of steps, drawn by hypothesis and done one after the other over the real
triage, worker and store; claims, decisions, starts and results are steps of their own, so that any
interleaving of them with incoming facts, crashes and time can come about.

``ROUTER_PROPERTY_EXAMPLES=2000`` looks further, with other seeds each time.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.domain.identity import Address, lane_key
from router.domain.message import Author
from router.domain.outbox import ItemKind, ItemState
from router.errors import OutcomeUnknown, ProviderError, Refused, Unavailable
from router.pipeline.attempts.judging import Patience, judge
from router.plugin.testing import FakeClock, RecordingLog
from router.settings.loading import load_settings
from router.settings.model import Settings
from router.storage.database.migrating import ensure
from router.storage.fence import OWN_ECHO_WINDOW
from router.storage.store import IN, AttemptResult, Item, NewEvent, Work
from router.storage.tables import (
    conversation,
    decision,
    draft,
    escalation,
    inbox_event,
    lane,
    message,
    outbox,
    ticket,
)
from tests.integration.engine.harness import (
    DATABASES,
    Engine,
    PostgresDatabase,
    SQLiteDatabase,
)
from tests.integration.engine.pipeline import (
    RULES,
    SETTINGS,
    Pipeline,
    Provider,
    instances_of,
    registry,
)

_LONG = int(os.environ.get("ROUTER_PROPERTY_EXAMPLES", "0"))
_PROFILE = settings(
    max_examples=_LONG or 15,
    derandomize=not _LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

_PEOPLE = [Address("tel", f"+57300000000{number}") for number in range(2)]
_TEXTS = ["horario", "¿cuánto cuesta?", "llamo a mi abogado", "hola"]
_RESULTS: list[ProviderError | None] = [
    None,
    None,
    None,
    Unavailable("busy"),
    Unavailable("busy", retry_after=30),
    Refused("no such number"),
    OutcomeUnknown("lost before it was taken"),
    OutcomeUnknown("lost after it was taken"),
]


@dataclass
class Begun:
    """An attempt that has left, its result still on the way."""

    item: Item
    result: AttemptResult


@dataclass
class World:
    """A pipeline, what the test holds of it, and what it has seen."""

    pipeline: Pipeline
    eyes: sa.Connection
    facts: list[NewEvent] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)
    step: int = 0
    decided_at: dict[str, int] = field(default_factory=dict)
    echoed_at: dict[str, int] = field(default_factory=dict)
    sent: list[Item] = field(default_factory=list)
    proved: set[str] = field(default_factory=set)
    stale: list[Work] = field(default_factory=list)
    stale_items: list[Item] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.pipeline.engine

    def rows(self, table: sa.Table, **where: Any) -> list[Any]:
        statement = sa.select(table).order_by(*table.primary_key)
        for name, value in where.items():
            statement = statement.where(table.c[name] == value)
        return list(self.eyes.execute(statement))

    # --- facts

    async def say(self, who: int, text: int, twice: bool) -> None:
        event = self.engine.said(_TEXTS[text], who=_PEOPLE[who])
        await self.accept(event, twice)

    async def echo(self, who: int, twice: bool) -> None:
        event = self.engine.echoed(f"Soy Eva, {len(self.facts)}", who=_PEOPLE[who])
        self.echoed_at[event.lane] = self.step
        await self.accept(event, twice)
        (row,) = self.rows(inbox_event, external_id=event.external_id)
        assert row.type == "echo", "a person was taken for the router itself"

    async def own_echo(self, which: int, *, by_id: bool) -> None:
        """Let the provider echo what the router sent, while it can be known for that."""
        item = self.sent[which % len(self.sent)]
        (row,) = self.rows(outbox, id=item.id)
        fresh = self.engine.clock.now() - row.started_at <= OWN_ECHO_WINDOW
        if row.echo is not None or not fresh:
            return
        ids = {"id": f"ref-{item.id}"} if by_id else {}
        text = self.pipeline.provider.text_of(item.id)
        event = self.engine.echoed(text, who=_recipient(item), **ids)
        await self.accept(event, False)
        (row,) = self.rows(inbox_event, external_id=event.external_id)
        assert row.type == "own_echo", "the router was taken for a person"

    async def report(self, which: int, status: int) -> None:
        item = self.sent[which % len(self.sent)]
        words = ["sent", "delivered", "read", "failed"]
        event = self.engine.reported(f"ref-{item.id}", words[status], item=item.id)
        await self.accept(replace(event, lane=lane_key("main", _recipient(item))), False)
        self.proved.add(item.id)

    async def again(self, which: int) -> None:
        accepted = await self.engine.accept(self.facts[which % len(self.facts)])
        assert [it.new for it in accepted] == [False]

    async def accept(self, event: NewEvent, twice: bool) -> None:
        await self.engine.accept(*([event, event] if twice else [event]))
        self.facts.append(event)

    # --- working

    async def claim(self) -> None:
        self.works += await self.engine.claim(1)

    async def work(self, which: int) -> None:
        if self.works:
            await self.pipeline.work(self.works.pop(which % len(self.works)))
            await self._note()

    async def work_all(self) -> None:
        async with anyio.create_task_group() as tasks:
            for work in self.works:
                tasks.start_soon(self.pipeline.work, work)
        self.works.clear()
        await self._note()

    async def zombie(self, which: int) -> None:
        """Let a worker come late with what it took over a lease that is gone."""
        if self.stale and (which % 2 or not self.stale_items):
            await self.pipeline.work(self.stale.pop(which % len(self.stale)))
            await self._note()
        elif self.stale_items:
            item = self.stale_items.pop(which % len(self.stale_items))
            if item.kind is ItemKind.MESSAGE:
                self.items.append(item)
                await self.begin(len(self.items) - 1, None)

    async def give_back(self) -> None:
        await self.engine.store.release([*self.works, *self.items])
        self.stale += self.works
        self.stale_items += [it for it in self.items if it.state is ItemState.WAITING]
        self.works.clear()
        self.items.clear()

    async def take(self, kind: str) -> None:
        self.items += await self.engine.claim_items(kind, 1)  # type: ignore[arg-type]

    async def begin(self, which: int, result: ProviderError | None) -> None:
        """Do an item that is no message; of a message, only let it leave."""
        if not self.items:
            return
        item = self.items.pop(which % len(self.items))
        if item.kind is not ItemKind.MESSAGE:
            await self.pipeline.do(item)
            return
        if item.state is ItemState.STARTED:
            error = OutcomeUnknown("stopped")
            ended = judge(item, error, Patience(), self.engine.clock.now())
            await self.engine.store.finish_attempt(item, ended)
            return
        if await self.engine.store.start_attempt(item):
            self._check_fence(item)
            self.begun.append(Begun(item, self._send(item, result)))

    def _send(self, item: Item, error: ProviderError | None) -> AttemptResult:
        if error is None or "after" in error.reason:
            self.pipeline.provider.take(item)
            self.sent.append(item)
        if error is None:
            return AttemptResult(state=ItemState.DONE, provider_ref=f"ref-{item.id}")
        return judge(item, error, Patience(), self.engine.clock.now())

    async def end(self, which: int) -> None:
        if self.begun:
            begun = self.begun.pop(which % len(self.begun))
            await self.engine.store.finish_attempt(begun.item, begun.result)

    # --- time and crashes

    async def wait(self, seconds: int) -> None:
        self.engine.clock.advance(seconds)
        await self.engine.store.fire_timers()

    async def crash(self) -> None:
        self.stale += self.works
        self.works, self.items, self.begun = [], [], []
        await self.pipeline.crash()

    async def stop(self) -> None:
        """Stop in order: what has left is waited for."""
        while self.begun:
            await self.end(0)
        self.works, self.items = [], []
        await self.engine.restart()
        self.pipeline.build()

    async def rest(self) -> None:
        """Let everything that is left be done, and every timer and retry fall due."""
        await self.work_all()
        while self.begun:
            await self.end(0)
        await self.give_back()
        for _ in range(12):
            await self.drain()
            self.engine.clock.advance(90)
            await self.engine.store.fire_timers()
        await self.drain()

    async def drain(self) -> None:
        """Do everything that can be done without the clock moving on."""
        busy = True
        while busy:
            busy = False
            await self.think()
            for kind in ("job", "out"):
                while self._waits(kind):
                    busy = True
                    with anyio.move_on_after(0.02):
                        await self.take_any(kind)
                    while self.items:
                        await self.begin(0, None)
                    while self.begun:
                        await self.end(0)

    async def think(self) -> None:
        while self._waits(IN):
            works: list[Work] = []
            with anyio.move_on_after(0.02):
                works = await self.engine.store.claim(100)
            await self.pipeline.work(*works)
            await self._note()

    def _waits(self, kind: str) -> bool:
        now = self.engine.clock.now()
        return any(
            row.ready_at and row.ready_at <= now and not row.parked
            for row in self.rows(lane, kind=kind)
        )

    async def take_any(self, kind: str) -> None:
        self.items += await self.engine.store.claim_items(kind, 10)  # type: ignore[arg-type]

    # --- looking

    def free(self, kind: str) -> bool:
        """Tell whether a lane can be claimed that the test does not hold."""
        now = self.engine.clock.now()
        held = {work.ref.lane for work in self.works if kind == IN}
        held |= {item.lane for item in self.items if item.lane_kind == kind}
        held |= {it.item.lane for it in self.begun if it.item.lane_kind == kind}
        rows = self.rows(lane, kind=kind)
        ready = {it.key for it in rows if it.ready_at and it.ready_at <= now and not it.parked}
        open_items = {
            row.lane
            for row in (self.rows(outbox) if kind != IN else ())
            if row.state in ("waiting", "started")
        }
        return bool((ready if kind == IN else ready & open_items) - held)

    async def _note(self) -> None:
        epochs = {row.id: row.epoch for row in self.rows(conversation)}
        for row in self.rows(outbox):
            if row.id not in self.decided_at:
                self.decided_at[row.id] = self.step
                assert row.epoch == epochs[row.conversation], "decided on a thread that moved on"

    def _check_fence(self, item: Item) -> None:
        if item.author is not Author.PERSON:
            echoed = self.echoed_at.get(lane_key("main", _recipient(item)), -1)
            assert echoed < self.decided_at[item.id], "the bot spoke after a person"
            before = [it for it in self.rows(outbox, lane=item.lane) if it.seq < item.seq]
            ended = {"done", "refused", "withdrawn", "dead"}
            assert {it.state for it in before} <= ended, "the bot spoke out of its turn"

    async def check(self) -> None:
        """Everything before a lane's cursor is done, and nothing behind it."""
        cursors = {row.key: row.done_seq for row in self.rows(lane, kind=IN)}
        for row in self.rows(inbox_event):
            assert (row.outcome is not None) == (row.seq <= cursors[row.lane]), row

    async def check_end(self) -> None:
        await self.check()
        events = self.rows(inbox_event)
        brought = {(row.source, row.external_id) for row in events}
        assert {(it.source, it.external_id) for it in self.facts} <= brought
        assert len(brought) == len(events)
        unfinished = [row for row in events if row.outcome in (None, "waiting", "asking")]
        assert unfinished == []
        for row in self.rows(conversation):
            assert (row.turn_from, row.pending_ask) == (None, None)
        lines = Counter(row.provider_id for row in self.rows(message) if row.direction == "in")
        said = [it.event.id for it in self.facts if it.event.kind == "message"]  # type: ignore[union-attr]
        assert lines == Counter(said)
        decided = Counter((row.lane, row.seq) for row in self.rows(decision))
        assert set(decided.values()) <= {1}
        doubled = Counter(item for item, _, _ in self.pipeline.provider.sent)
        assert set(doubled.values()) <= {1}
        for item in self.rows(outbox):
            assert item.id not in self.proved or item.state == "done", "proved, and doubted after"
            assert item.state not in ("waiting", "started") or await self._behind_unknown(item)

    async def _behind_unknown(self, item: Any) -> bool:
        rows = self.rows(outbox, lane=item.lane)
        return any(row.state == "unknown" and row.seq < item.seq for row in rows)


def _recipient(item: Item) -> Address:
    return Address.from_text(item.lane.partition("/phone/")[2])


#: What a step is drawn from: two bytes each. Only what can be done is chosen from, so that few
#: steps are lost, and the same tape is the same run.
_tape = st.binary(min_size=60, max_size=200)


class _Tape:
    """Bytes as choices."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        return self._at + 4 <= len(self._data)

    def pick(self, choices: Sequence[Any]) -> Any:
        number = int.from_bytes(self._data[self._at : self._at + 2], "big")
        self._at += 2
        return choices[number % len(choices)]

    def number(self) -> int:
        return int(self.pick(range(1 << 16)))


async def _facts_step(world: World, tape: _Tape) -> None:
    """Let something come in."""
    names = ["say"] * 6 + ["echo"] + (["again"] if world.facts else [])
    names += ["own_echo", "report", "report"] if world.sent else []
    number = tape.number()
    who, twice = number % len(_PEOPLE), number // 16 % 4 == 0
    match tape.pick(names):
        case "say":
            await world.say(who, number // 64 % len(_TEXTS), twice)
        case "echo":
            await world.echo(who, twice)
        case "again":
            await world.again(number)
        case "own_echo":
            await world.own_echo(number // 2, by_id=bool(number % 2))
        case "report":
            await world.report(number // 4, number % 4)


async def _work_step(world: World, tape: _Tape, results: Sequence[ProviderError | None]) -> None:
    """Let a worker do something."""
    choices = ["claim"] * 4 if world.free(IN) else []
    choices += ["work"] * 4 if world.works else []
    choices += ["work_all"] if len(world.works) > 1 else []
    choices += ["out"] * 4 if world.free("out") else []
    choices += ["job"] * 3 if world.free("job") else []
    choices += ["begin"] * 5 if world.items else []
    choices += ["end"] * 4 if world.begun else []
    choices += ["zombie"] * 2 if world.stale or world.stale_items else []
    choices += ["give_back"] if world.works or world.items else []
    if not choices:
        return
    match tape.pick(choices):
        case "claim":
            await world.claim()
        case "work":
            await world.work(tape.number())
        case "work_all":
            await world.work_all()
        case "out":
            await world.take("out")
        case "job":
            await world.take("job")
        case "begin":
            await world.begin(tape.number(), tape.pick(results))
        case "end":
            await world.end(tape.number())
        case "zombie":
            await world.zombie(tape.number())
        case "give_back":
            await world.give_back()


async def _chaos(world: World, data: bytes) -> None:
    tape = _Tape(data)
    while tape.left:
        world.step += 1
        match tape.number() % 24:
            case 0 | 1 | 2 | 3 | 4 | 5:
                await _facts_step(world, tape)
            case 6:
                await world.wait(tape.pick([1, 2, 5, 60]))
            case 7:
                await world.crash()
            case 8:
                await world.stop()
            case _:
                await _work_step(world, tape, _RESULTS)
        await world.check()


@pytest.mark.timeout(3600 if _LONG else 240)
@settings(_PROFILE, max_examples=_LONG or 60)
@given(data=_tape)
def test_any_interleaving_leaves_every_fact_worked_once_in_order_and_nothing_sent_twice(
    data: bytes,
) -> None:
    async def run() -> None:
        async with _world() as world:
            await _chaos(world, data)
            world.step += 1
            await world.rest()
            await world.check_end()

    with TemporaryDirectory() as folder:
        _Template.use(Path(folder))
        anyio.run(run)


# --- the same facts, in another way

_facts = st.lists(
    st.tuples(st.integers(0, len(_PEOPLE) - 1), st.integers(0, len(_TEXTS) - 1)),
    min_size=1,
    max_size=8,
)


async def _orderly(world: World, data: bytes) -> None:
    """Work in any order, be tried again, be lost; but never while a message is under way."""
    tape = _Tape(data)
    while tape.left:
        world.step += 1
        match tape.number() % 16:
            case 0 | 1:
                await world.again(tape.number())
            case 2:
                while world.begun:
                    await world.end(0)
                await world.crash()
            case 3:
                await world.stop()
            case _:
                await _work_step(world, tape, [None, None, Unavailable("busy", retry_after=0)])
        await world.check()


@pytest.mark.timeout(3600 if _LONG else 240)
@_PROFILE
@given(facts=_facts, between=_tape, after=_tape)
def test_duplicates_crashes_and_retries_leave_the_state_that_the_facts_imply(
    facts: list[tuple[int, int]], between: bytes, after: bytes
) -> None:
    """Compare with the same facts, each worked at once, nothing repeated and nothing lost.

    Time stands still until every fact is worked, so that both runs see the same turns; no message
    is under way when the process is lost, because then its outcome is unknown and a person is
    asked, as the other property has it. Compared are: each message's outcome; what stands in each
    conversation; what each customer read, in order; tickets, drafts and calls for a person, and
    what those who were called were told.
    """
    share = len(between) // len(facts)

    async def run(chaos: bool) -> Any:
        async with _world() as world:
            for number, (who, text) in enumerate(facts):
                event = world.engine.said(_TEXTS[text], who=_PEOPLE[who], id=f"A{number}")
                await world.accept(event, chaos)
                if chaos:
                    await _orderly(world, between[share * number : share * (number + 1)])
                else:
                    await world.drain()
            await world.work_all()
            await world.give_back()
            await world.think()
            await world.wait(2)
            if chaos:
                await _orderly(world, after)
            await world.work_all()
            while world.begun:
                await world.end(0)
            await world.give_back()
            await world.drain()
            await world.rest()
            await world.check_end()
            return await _state(world)

    with TemporaryDirectory() as folder:
        _Template.use(Path(folder))
        expected = anyio.run(run, False)
    with TemporaryDirectory() as folder:
        _Template.use(Path(folder))
        assert anyio.run(run, True) == expected


async def _state(world: World) -> dict[str, Any]:
    events = world.rows(inbox_event, type="message")
    threads = world.rows(conversation)
    names = {row.id: row.address for row in threads}
    return {
        "outcomes": sorted((row.external_id, row.outcome) for row in events),
        "conversations": sorted(
            (it.address, it.owner, it.status, it.category, it.bot_turns, it.epoch) for it in threads
        ),
        "read": {
            str(who): [text for _, to, text in world.pipeline.provider.sent if to == str(who)]
            for who in _PEOPLE
        },
        "tickets": sorted((names[row.conversation], row.title) for row in world.rows(ticket)),
        "drafts": sorted((names[row.conversation], row.text) for row in world.rows(draft)),
        "calls": sorted((names[row.conversation], row.because) for row in world.rows(escalation)),
        "told": sorted(
            call.params.model_dump_json(include={"title", "text"})
            for call in world.pipeline.provider.done
        ),
    }


# --- an empty database costs a copy


class _Template:
    """A database with the schema in it and the settings, made once."""

    store: str
    folder: Path
    postgres: PostgresDatabase
    settings: Settings | None = None
    database: bytes

    @classmethod
    def use(cls, folder: Path) -> None:
        cls.folder = folder
        if cls.settings is None:
            (folder / "router.toml").write_text(SETTINGS.format(debounce="2s", policy=""))
            (folder / "rules.toml").write_text(RULES)
            cls.settings = load_settings(folder / "router.toml", registry(), run=True)
            ensure(folder / "router.db")
            cls.database = (folder / "router.db").read_bytes()
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / "router.db").write_bytes(cls.database)

    @classmethod
    def empty(cls) -> SQLiteDatabase | PostgresDatabase:
        """Give the database, with nothing in it."""
        if cls.store == "sqlite":
            return SQLiteDatabase(cls.folder)
        cls.postgres.clear()
        return cls.postgres


@pytest.fixture(autouse=True, params=list(DATABASES))
def store(request: pytest.FixtureRequest, server: None, tmp_path: Path) -> Iterator[None]:
    """Let the examples of a test run on one of the stores."""
    _Template.store = request.param
    if request.param == "sqlite":
        yield
        return
    _Template.postgres = PostgresDatabase(tmp_path)
    yield
    _Template.postgres.close()


class _world:  # noqa: N801 - used as a function is
    async def __aenter__(self) -> World:
        assert _Template.settings is not None
        clock = FakeClock()
        database = _Template.empty()
        self._engine = Engine(database, clock, await database.open(clock))
        log = RecordingLog()
        provider = Provider()
        configuration = instances_of(_Template.settings, clock, log, provider)
        self._looker = database.looker()
        eyes = self._looker.connect().execution_options(isolation_level="AUTOCOMMIT")
        return World(Pipeline(self._engine, configuration, provider, log), eyes)

    async def __aexit__(self, *error: object) -> None:
        self._looker.dispose()
        await self._engine.store.close()
