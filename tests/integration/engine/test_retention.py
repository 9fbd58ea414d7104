"""What is older than ``[policy] keep`` goes, and nothing that is left misses it."""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.domain.event import ContactOptedOut
from router.domain.identity import Address
from router.errors import ActRefused, OutcomeUnknown
from router.pipeline.people.acts import perform
from router.pipeline.people.surroundings import Configured
from router.schedule.retention import Retention
from router.storage.database.health import damage
from router.storage.retention.deletion import TIMERS
from router.storage.store import IN
from router.storage.tables import (
    call,
    contact,
    conversation,
    decision,
    draft,
    escalation,
    inbox_event,
    lane,
    message,
    metadata,
    outbox,
    ticket,
    timer,
    usage,
)
from tests.integration.engine.harness import ANA, DATABASES, LUIS
from tests.integration.engine.pipeline import Pipeline, running

KEEP = 'keep = "30d"\n'
DAY = 86400.0


def retention(pipeline: Pipeline, **more: Any) -> Retention:
    settings, engine = pipeline.configuration.settings, pipeline.engine
    return Retention(engine.store, lambda: settings, pipeline.log, **more)


async def say(pipeline: Pipeline, text: str = "horario", who: Address = ANA) -> None:
    await pipeline.engine.accept(pipeline.engine.said(text, who=who))
    await pipeline.settle()


async def act(pipeline: Pipeline, name: str, **given: Any) -> None:
    around = Configured(lambda: pipeline.configuration)
    await perform(pipeline.engine.store, name, {"by": "eva", **given}, around)
    await pipeline.settle()


async def later(pipeline: Pipeline, days: float) -> None:
    """Let days pass; conversations are closed after the first ones."""
    await pipeline.pass_time(2 * DAY)
    await pipeline.pass_time((days - 2) * DAY)


async def count(pipeline: Pipeline) -> dict[str, int]:
    """Count the rows of every table that has any."""
    rows = {name: len(await pipeline.engine.rows(table)) for name, table in metadata.tables.items()}
    return {name: number for name, number in rows.items() if number and name != "node"}


@pytest.fixture(params=list(DATABASES))
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.mark.parametrize("policy, left", [("", 1), ('keep = "never"\n', 1), (KEEP, 0)])
async def test_nothing_goes_unless_it_is_asked_for(
    name: str, tmp_path: Path, policy: str, left: int
) -> None:
    async with running(name, tmp_path, policy=policy) as pipeline:
        await say(pipeline)
        await later(pipeline, 365)
        assert [row.status for row in await pipeline.engine.rows(conversation)] == ["closed"]

        deleted = await retention(pipeline).sweep()

        assert deleted["conversation"] == 1 - left
        assert len(await pipeline.engine.rows(conversation)) == left
        assert bool(await pipeline.engine.rows(inbox_event)) is bool(left)


async def test_a_tenants_own_policy_counts(name: str, tmp_path: Path) -> None:
    tables = '[tenants.clinica.policy]\nkeep = "never"\n'
    async with running(name, tmp_path, policy=KEEP, tables=tables) as pipeline:
        for tenant in ("main", "clinica"):
            await pipeline.engine.accept(pipeline.engine.said("horario", tenant=tenant))
        await pipeline.settle()
        await later(pipeline, 60)

        await retention(pipeline).sweep()

        for table in (conversation, contact, inbox_event):
            assert {row.tenant for row in await pipeline.engine.rows(table)} == {"clinica"}


async def test_nothing_but_numbers_is_left_and_who_writes_again_starts_afresh(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path, policy=KEEP) as pipeline:
        await say(pipeline)
        await say(pipeline, "¿cuánto cuesta?")
        await pipeline.pass_time(3)
        (before,) = await pipeline.engine.rows(conversation)
        await later(pipeline, 40)

        await retention(pipeline).sweep()

        assert set(await count(pipeline)) == {"lane"}
        lanes = {(it.kind, it.key): it.last_seq for it in await pipeline.engine.rows(lane)}
        assert {kind for kind, _ in lanes} == {"in", "out"}

        texts = pipeline.texts()
        await say(pipeline)

        (after,) = await pipeline.engine.rows(conversation)
        assert after.id != before.id
        assert pipeline.texts() == [*texts, "De 8 a 18."]
        (event,) = await pipeline.engine.rows(inbox_event)
        assert event.seq == lanes[IN, event.lane] + 1
        (item,) = await pipeline.engine.rows(outbox)
        assert item.seq == lanes["out", item.lane] + 1


async def test_what_providers_repeat_is_known_for_as_long_as_it_is_kept(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path, policy='keep = "7d"\n') as pipeline:
        said = pipeline.engine.said("horario")
        await pipeline.engine.accept(said)
        await pipeline.settle()
        await pipeline.pass_time(6.9 * DAY)

        await retention(pipeline).sweep()
        (again,) = await pipeline.engine.accept(said)

        assert not again.new
        await pipeline.settle()
        assert pipeline.texts() == ["De 8 a 18."]


async def test_what_is_open_stays_and_goes_once_it_is_not(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, policy=KEEP) as pipeline:
        engine = pipeline.engine
        await say(pipeline, "llamo a mi abogado")
        (called,) = await engine.rows(escalation)
        await later(pipeline, 60)
        # It waits for a person, and is not even closed.
        assert not await retention(pipeline).sweep()

        await act(pipeline, "conversations.close", id=called.conversation)
        await later(pipeline, 60)
        await retention(pipeline).sweep()
        assert await engine.rows(escalation) == [called]
        assert await engine.rows(message)

        await act(pipeline, "escalations.ack", id=called.id)
        await pipeline.pass_time(29 * DAY)
        await retention(pipeline).sweep()
        assert await engine.rows(escalation)

        await pipeline.pass_time(2 * DAY)
        await retention(pipeline).sweep()
        assert set(await count(pipeline)) == {"lane"}


async def test_an_opt_out_is_never_forgotten(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, policy=KEEP) as pipeline:
        engine = pipeline.engine
        await say(pipeline)
        await engine.accept(engine.event(ContactOptedOut("stop-1", ANA)))
        await pipeline.settle()
        await say(pipeline, who=LUIS)
        await later(pipeline, 60)

        await retention(pipeline).sweep()

        (known,) = await engine.rows(contact)
        assert (known.key, known.opted_out) == (str(ANA), True)
        assert set(await count(pipeline)) == {"lane", "contact"}

        # Nor is that they were let back in, and by whom.
        await act(pipeline, "conversations.opt_in", id=str(ANA), because="asked for it")
        await say(pipeline)
        await later(pipeline, 60)
        await retention(pipeline).sweep()
        assert set(await count(pipeline)) == {"lane", "contact", "opt_in"}


async def test_sweeping_beside_load_stops_nobody(name: str, tmp_path: Path) -> None:
    """Customers whose old conversations are just going write all the time."""
    people = [Address("tel", f"+5730000000{number:02}") for number in range(24)]
    async with running(name, tmp_path, policy=KEEP) as pipeline:
        for who in people:
            await say(pipeline, who=who)
        await later(pipeline, 40)
        sweeper, total = retention(pipeline), Counter[str]()

        async def sweep() -> None:
            while total["conversation"] < len(people):
                total.update(await sweeper.sweep())

        with anyio.fail_after(120):
            async with anyio.create_task_group() as group:
                group.start_soon(sweep)
                for _ in range(3):
                    for who in people:
                        await say(pipeline, who=who)

        texts = pipeline.texts()
        assert len(texts) == 4 * len(people)
        assert not [row for row in await pipeline.engine.rows(inbox_event) if row.dead_at]
        assert {row.state for row in await pipeline.engine.rows(outbox)} == {"done"}
        assert await pipeline.engine.store.read(damage) == []


@pytest.mark.parametrize("name", ["postgres"])
async def test_one_node_sweeps_at_a_time(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, policy=KEEP) as pipeline:
        await say(pipeline)
        await later(pipeline, 60)
        other = await pipeline.engine.database.open(pipeline.engine.clock)
        try:
            async with other.alone("retention") as mine:
                assert mine
                assert not await retention(pipeline).sweep()
        finally:
            await other.close()

        assert await retention(pipeline).sweep()


async def test_it_sweeps_again_and_again_and_says_what_went(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, policy=KEEP) as pipeline:
        await say(pipeline)
        await later(pipeline, 60)

        with anyio.fail_after(120):
            async with anyio.create_task_group() as group:
                group.start_soon(retention(pipeline, every=0.01).run)
                for number in range(1, 4):
                    while told(pipeline) < number:  # noqa: ASYNC110 - nobody says when
                        await anyio.sleep(0.02)
                    await say(pipeline)
                    await later(pipeline, 60)
                group.cancel_scope.cancel()

        entries = [it for it in pipeline.log.entries if it.event == "old rows deleted"]
        assert {it.values["tenant"] for it in entries} == {"main"}
        assert str(ANA) not in str(entries)


def told(pipeline: Pipeline) -> int:
    """Give how many conversations were said to be deleted."""
    said = [it for it in pipeline.log.entries if it.event == "old rows deleted"]
    return sum(it.values.get("conversation", 0) for it in said)


@pytest.mark.parametrize("name", ["sqlite"])
async def test_a_database_that_is_away_is_told_and_tried_again(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, policy=KEEP) as pipeline:
        await say(pipeline)
        await later(pipeline, 60)
        sweeper = retention(pipeline)
        await pipeline.engine.store.close()

        assert not await sweeper.sweep()

        assert [it.event for it in pipeline.log.entries if it.level == "warning"] == [
            "old rows not deleted"
        ]


# --- whatever happened before

#: Columns that name rows of other tables, beside the foreign keys.
_NAMES = [
    (inbox_event, "conversation", conversation, "id"),
    (decision, "conversation", conversation, "id"),
    (outbox, "conversation", conversation, "id"),
    (usage, "conversation", conversation, "id"),
    (timer, "key", conversation, "id"),
    (conversation, "open_ticket", ticket, "id"),
]
_EVENTS = [
    (message, "event_lane", "event_seq"),
    (call, "event_lane", "event_seq"),
    (draft, "event_lane", "event_seq"),
    (ticket, "event_lane", "event_seq"),
    (escalation, "event_lane", "event_seq"),
    (usage, "event_lane", "event_seq"),
    (outbox, "decided_lane", "decided_seq"),
    (inbox_event, "lane", "settled_seq"),
    (decision, "lane", "seq"),
]


async def dangling(pipeline: Pipeline) -> list[str]:
    """Name every column that names a row which there is not."""
    rows = {it: await pipeline.engine.rows(it) for it in metadata.tables.values()}
    keys = [
        (key.parent.table, key.parent.name, key.column.table, key.column.name)
        for table in rows
        for key in table.foreign_keys
    ]
    found = [
        f"{table.name}.{name}: {value}"
        for table, name, other, column in [*_NAMES, *keys]
        for value in {row._mapping[name] for row in rows[table]} - {None}
        if value not in {row._mapping[column] for row in rows[other]}
    ]
    events = {(row.lane, row.seq) for row in rows[inbox_event]}
    for table, first, second in _EVENTS:
        named = {(getattr(row, first), getattr(row, second)) for row in rows[table]}
        found += [f"{table.name}: {it}" for it in named - events if None not in it]
    items = {row.id for row in rows[outbox]}
    found += [
        f"message {row.id}"
        for row in rows[message]
        if row.direction == "out" and row.author in ("bot", "rule") and row.id not in items
    ]
    return [*found, *await pipeline.engine.store.read(damage)]


_TEXTS = {
    "horario": "INFO",
    "¿cuánto cuesta?": "INFO",
    "llamo a mi abogado": "INFO",
    "hola": "OTHER",
}
_actions = st.one_of(
    st.tuples(st.just("say"), st.sampled_from(sorted(_TEXTS)), st.integers(0, 1)),
    st.tuples(st.sampled_from(["take", "close", "draft", "report", "stop", "lost", "tidy"])),
)
_episodes = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.lists(_actions, min_size=1, max_size=4),
        st.sampled_from([2, 33, 33]),
    ),
    min_size=2,
    max_size=5,
)
_PROFILE = settings(
    max_examples=8,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(params=list(DATABASES))
def store(request: pytest.FixtureRequest) -> str:
    """Let the examples of a test run on one of the stores."""
    chosen: str = request.param
    return chosen


@_PROFILE
@given(episodes=_episodes)
def test_whatever_happened_nothing_that_is_left_names_what_is_gone(
    store: str, episodes: list[tuple[int, list[tuple[Any, ...]], int]]
) -> None:
    async def run() -> None:
        with TemporaryDirectory() as folder:
            async with running(store, Path(folder), policy=KEEP) as pipeline:
                for who, actions, days in episodes:
                    for each in [("say", "horario", who), *actions]:
                        await _take(pipeline, *each)
                    await later(pipeline, days)
                    await retention(pipeline).sweep()
                    assert await dangling(pipeline) == []

    anyio.run(run)


async def _take(pipeline: Pipeline, what: str, *more: Any) -> None:
    """Take a step, where there is anything to take it with."""
    engine = pipeline.engine
    match what:
        case "say":
            answer = replace(pipeline.provider.answer, category=_TEXTS[more[0]])
            pipeline.provider.answer = answer
            await say(pipeline, more[0], who=(ANA, LUIS)[more[1]])
            await pipeline.pass_time(3)
        case "lost":
            pipeline.provider.script.append(OutcomeUnknown("lost"))
        case "stop":
            await engine.accept(engine.event(ContactOptedOut(engine.name("stop"), LUIS)))
            await pipeline.settle()
        case "report":
            for row in (await engine.rows(outbox, state="done", kind="message"))[:1]:
                await engine.accept(engine.reported(row.provider_ref, "failed", code="63024"))
                await pipeline.settle()
        case "take" | "close":
            await _every(pipeline, conversation, f"conversations.{what}")
        case "draft":
            await _every(pipeline, draft, "drafts.approve")
        case "tidy":
            for item in await engine.rows(outbox, state="unknown"):
                await act(pipeline, "outbox.resolve", id=item.id, verdict="drop")
            await _every(pipeline, draft, "drafts.reject")
            await _every(pipeline, escalation, "escalations.ack")
            await _every(pipeline, ticket, "tickets.state", state="CLOSED")
            await _every(pipeline, conversation, "conversations.close")


async def _every(pipeline: Pipeline, table: sa.Table, name: str, **given: Any) -> None:
    """Do something to every row that it can be done to."""
    for row in await pipeline.engine.rows(table):
        with suppress(ActRefused):
            await act(pipeline, name, id=row.id, **given)


def test_every_kind_of_timer_is_known() -> None:
    from router.pipeline.triage.case import IDLE_TIMER
    from router.pipeline.triage.waiting import TURN_TIMER

    assert {IDLE_TIMER, TURN_TIMER} == set(TIMERS)
