"""A restored router says nothing a second time by itself, wherever the backup found it."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest

from router.errors import OutcomeUnknown
from router.storage.database.backups import backup, restore
from router.storage.database.health import damage
from router.storage.database.holding import Held
from router.storage.events import held_back
from router.storage.outbox import Verdict, resolve_item
from router.storage.tables import conversation, inbox_event, message, outbox, timer
from tests.integration.acts.desk import Channels, Desk
from tests.integration.engine.harness import DATABASES, PostgresDatabase, SQLiteDatabase
from tests.integration.engine.pipeline import Pipeline, running

RULES = """
[[rule]]
id = "goodbye"
on = "idle"
then.reply.text = "Hasta luego."
"""
DAY = 24 * 3600


class Restorable:
    """A pipeline whose database can be lost."""

    def __init__(self, name: str, folder: Path, pipeline: Pipeline, stack: ExitStack) -> None:
        self.name = name
        self.folder = folder
        self.pipeline = pipeline
        self.stack = stack

    @property
    def url(self) -> str:
        database = self.pipeline.engine.database
        if isinstance(database, SQLiteDatabase):
            return f"sqlite+aiosqlite:///{database.path}"
        assert isinstance(database, PostgresDatabase)
        return database.url

    async def save(self) -> None:
        await anyio.to_thread.run_sync(backup, self.url, self.folder / "backup.db")

    async def go_back(self, *, nothing_since: bool = False) -> Held:
        """Lose the database and bring the backup back, as an operator does."""
        engine = self.pipeline.engine
        await engine.store.close()
        if self.name == "sqlite":
            database = SQLiteDatabase.__new__(SQLiteDatabase)
            database.path = self.folder / "restored.db"
            engine.database = database
        else:
            other = PostgresDatabase.__new__(PostgresDatabase)
            other.url = self.stack.enter_context(PostgresDatabase.server.database()).url
            engine.database = other
        now = engine.clock.now()
        again = partial(restore, now=now, nothing_since=nothing_since)
        _, held = await anyio.to_thread.run_sync(again, self.folder / "backup.db", self.url)
        engine.store = await engine.database.open(engine.clock)
        self.pipeline.build()
        assert await engine.store.read(damage) == []
        return held

    async def say(self, *texts: str) -> None:
        await self.pipeline.engine.accept(*(self.pipeline.engine.said(text) for text in texts))


@pytest.fixture(params=list(DATABASES))
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Restorable]:
    with ExitStack() as stack:
        async with running(request.param, tmp_path, rules=RULES) as pipeline:
            yield Restorable(request.param, tmp_path, pipeline, stack)


@pytest.fixture(params=list(DATABASES))
async def hasty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Restorable]:
    with ExitStack() as stack:
        async with running(request.param, tmp_path, debounce="0s", rules=RULES) as pipeline:
            yield Restorable(request.param, tmp_path, pipeline, stack)


async def test_what_nobody_had_worked_is_not_answered_again(hasty: Restorable) -> None:
    pipeline = hasty.pipeline
    await hasty.say("horario")
    await hasty.save()
    await pipeline.settle()
    assert pipeline.texts() == ["De 8 a 18."]

    held = await hasty.go_back()
    await pipeline.settle()

    assert held == Held(events=1)
    assert pipeline.texts() == ["De 8 a 18."]
    (event,) = await pipeline.engine.rows(inbox_event)
    assert (event.outcome, event.dead_at) == ("dead", pipeline.engine.clock.now())
    assert "restored from a backup" in event.dead_error


@pytest.mark.parametrize("text", ["cuanto cuesta", "clasifica"])
async def test_a_question_is_not_put_again(hasty: Restorable, text: str) -> None:
    pipeline = hasty.pipeline
    await hasty.say(text)
    await pipeline.think()  # the question waits in the outbox
    await hasty.save()
    await pipeline.settle()
    said, asked = pipeline.texts(), len(pipeline.provider.asked)

    held = await hasty.go_back()
    await pipeline.settle()

    assert held == Held(events=1)
    assert (pipeline.texts(), len(pipeline.provider.asked)) == (said, asked)
    assert [row.state for row in await pipeline.engine.rows(outbox)] == ["withdrawn"]
    (thread,) = await pipeline.engine.rows(conversation)
    assert (thread.pending_ask, thread.turn_from) == (None, None)


async def test_an_answer_that_was_there_is_not_sent_again(hasty: Restorable) -> None:
    pipeline = hasty.pipeline
    await hasty.say("cuanto cuesta")
    await pipeline.think()
    await pipeline.act("job")  # the answer waits for its turn
    await hasty.save()
    await pipeline.settle()

    assert await hasty.go_back() == Held(events=1)
    await pipeline.settle()

    assert pipeline.texts() == ["Cuesta 5."]
    assert await pipeline.engine.outcomes() == ["dead", "superseded"]


@pytest.mark.parametrize("fired", [False, True])
async def test_a_turn_is_not_answered_again(place: Restorable, fired: bool) -> None:
    pipeline = place.pipeline
    await place.say("cuanto cuesta", "de verdad")
    await pipeline.settle()  # waits for the customer to finish
    if fired:
        pipeline.engine.clock.advance(timedelta(seconds=3))
        await pipeline.engine.store.fire_timers()
    await place.save()
    await pipeline.pass_time(3)
    assert pipeline.texts() == ["Cuesta 5."]

    assert await place.go_back() == Held(events=2)
    await pipeline.pass_time(3600)
    await place.say("horario")
    await pipeline.settle()

    # Nor is it asked about with what the customer writes now.
    assert pipeline.texts() == ["Cuesta 5.", "De 8 a 18."]
    assert len(pipeline.provider.asked) == 1


async def test_a_person_lets_it_go_on(place: Restorable) -> None:
    pipeline = place.pipeline
    await place.say("cuanto cuesta", "de verdad")
    await pipeline.settle()
    await place.save()
    await place.go_back()

    desk = Desk(pipeline.engine, Channels())
    names = await pipeline.engine.store.read(lambda it: held_back(it, "main"))
    for name in names:
        await desk.do("events.retry", str(name))
    await pipeline.settle()
    await pipeline.pass_time(3)

    assert [name.seq for name in names] == [1, 2]
    assert pipeline.texts() == ["Cuesta 5."]
    assert await pipeline.engine.store.read(lambda it: held_back(it, "main")) == []


async def test_a_person_ends_it(place: Restorable) -> None:
    pipeline = place.pipeline
    await place.say("cuanto cuesta")
    await place.save()
    await place.go_back()

    desk = Desk(pipeline.engine, Channels())
    (name,) = await pipeline.engine.store.read(lambda it: held_back(it, "main"))
    await desk.do("events.discard", str(name), because="answered")
    await pipeline.pass_time(3)

    assert pipeline.texts() == []
    assert await pipeline.engine.outcomes() == ["discarded"]


async def test_a_conversation_that_fell_quiet_closes_without_a_second_word(
    hasty: Restorable,
) -> None:
    pipeline = hasty.pipeline
    await hasty.say("horario")
    await pipeline.settle()
    await hasty.save()
    await pipeline.pass_time(2 * DAY)
    assert pipeline.texts() == ["De 8 a 18.", "Hasta luego."]

    assert await hasty.go_back() == Held(quiet=1)
    await pipeline.pass_time(1)
    await pipeline.settle()

    assert pipeline.texts() == ["De 8 a 18.", "Hasta luego."]
    (thread,) = await pipeline.engine.rows(conversation)
    assert thread.status == "closed"


async def test_one_whose_closing_had_begun_closes_without_a_second_word(
    hasty: Restorable,
) -> None:
    pipeline = hasty.pipeline
    await hasty.say("horario")
    await pipeline.settle()
    pipeline.engine.clock.advance(timedelta(seconds=2 * DAY))
    await pipeline.engine.store.fire_timers()
    await hasty.save()
    await pipeline.settle()

    assert await hasty.go_back() == Held(quiet=1)
    await pipeline.pass_time(1)

    assert pipeline.texts() == ["De 8 a 18.", "Hasta luego."]
    (thread,) = await pipeline.engine.rows(conversation)
    assert thread.status == "closed"


async def test_one_that_falls_quiet_afterwards_is_told(hasty: Restorable) -> None:
    pipeline = hasty.pipeline
    await hasty.say("horario")
    await pipeline.settle()
    await hasty.save()

    assert await hasty.go_back() == Held()
    await pipeline.pass_time(2 * DAY)

    assert pipeline.texts() == ["De 8 a 18.", "Hasta luego."]


async def test_where_nothing_has_happened_since_everything_goes_on(place: Restorable) -> None:
    pipeline = place.pipeline
    await place.say("cuanto cuesta")
    await pipeline.settle()
    await place.save()

    assert await place.go_back(nothing_since=True) == Held()
    await pipeline.pass_time(3)

    assert pipeline.texts() == ["Cuesta 5."]
    assert [row.kind for row in await pipeline.engine.rows(timer)] == ["idle"]


async def test_a_report_proves_that_a_restored_message_was_sent(hasty: Restorable) -> None:
    pipeline = hasty.pipeline
    await hasty.say("horario")
    await pipeline.think()
    await hasty.save()

    assert await hasty.go_back() == Held(items=1)
    (row,) = await pipeline.engine.rows(outbox)
    assert row.state == "unknown"
    await pipeline.engine.accept(pipeline.engine.reported("SM1", "read", item=row.id))
    await pipeline.settle()

    assert await pipeline.engine.state(row.id) == "done"
    (shown,) = await pipeline.engine.rows(message, id=row.id)
    assert shown.status == "read"
    assert pipeline.texts() == []


async def test_a_message_that_is_not_known_is_not_sent_again_where_doubles_are_preferred(
    hasty: Restorable,
) -> None:
    pipeline = hasty.pipeline
    pipeline.provider.scripts["patient"] = [OutcomeUnknown("lost")]
    engine = pipeline.engine
    await engine.accept(engine.said("horario", channel="patient"))
    await pipeline.think()
    await pipeline.act("out")
    await hasty.save()

    await hasty.go_back()
    await pipeline.pass_time(3600)

    assert pipeline.texts() == ["De 8 a 18."]
    states = {row.kind: row.state for row in await engine.rows(outbox)}
    assert states == {"message": "unknown", "reconcile": "withdrawn"}


async def test_what_a_person_says_of_a_message_does_not_set_back_that_it_was_read(
    hasty: Restorable,
) -> None:
    pipeline = hasty.pipeline
    await hasty.say("horario")
    await pipeline.think()
    await hasty.save()
    await hasty.go_back()
    (row,) = await pipeline.engine.rows(outbox)
    await pipeline.engine.store.write(
        lambda tx: tx.connection.execute(message.update().values(status="read"))
    )

    await pipeline.engine.store.write(
        lambda tx: resolve_item(
            tx.connection, "main", row.id, verdict=Verdict.SENT, by="ana", now=tx.now
        )
    )

    assert await pipeline.engine.state(row.id) == "done"
    (shown,) = await pipeline.engine.rows(message, id=row.id)
    assert shown.status == "read"
