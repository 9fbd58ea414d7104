"""Commands on a PostgreSQL database: they read beside its nodes, and write as one more of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from router.cli.main import main
from router.clock import SystemClock
from router.domain.conversation import Contact, Conversation
from router.domain.event import MessageReceived
from router.domain.identity import Address, lane_key, thread_key
from router.domain.message import Attachment, Author, Direction
from router.domain.outbox import ItemKind
from router.storage import codec
from router.storage.media import use
from router.storage.objects import Objects
from router.storage.postgres.store import PostgresStore
from router.storage.store import Commit, NewEvent, NewItem, NewMessage, Tx
from router.storage.tables import media, message
from tests.postgres import PostgresDatabase

ANA = Address("tel", "+573001234567")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, postgres: PostgresDatabase, capsys: pytest.CaptureFixture[str]) -> Run:
    config = tmp_path / "router.toml"
    config.write_text(f'[router]\ndatabase = "{postgres.dsn}"\n')

    def run(*words: str) -> tuple[int, str, str]:
        return (main(["-c", str(config), *words]), *capsys.readouterr())

    return run


async def _converse(url: str) -> None:
    """Let a customer write, and a bot's answer wait to be sent."""
    clock = SystemClock()
    store = await PostgresStore.open(url, clock)
    event = MessageReceived("A1", ANA, "¿A qué hora abren?")
    lane = lane_key("main", ANA)
    await store.enqueue(
        [
            NewEvent(
                lane=lane,
                tenant="main",
                source="main/phone",
                external_id=event.dedupe_key,
                event=event,
                received_at=clock.now(),
            )
        ]
    )
    (work,) = await store.claim(1)
    person = Contact(id="p1", key=thread_key(ANA), name="Ana")
    thread = Conversation(id="c1", contact=person, channel="phone", address=ANA)
    line = NewMessage(
        id="i1",
        direction=Direction.OUT,
        author=Author.BOT,
        text="De 8 a 18.",
        channel="phone",
        address=ANA,
        status="queued",
    )
    item = NewItem(
        id="i1",
        kind=ItemKind.MESSAGE,
        lane=f"main/phone/{ANA}",
        author=Author.BOT,
        destination="phone",
        body=json.dumps({"text": "De 8 a 18.", "recipient": str(ANA)}),
    )
    await store.complete(
        [Commit(work=work, outcome="reply", conversation=thread, messages=(line,), items=(item,))]
    )
    await store.release_all()
    await store.close()


def test_a_database_is_made_looked_at_and_written_to(run: Run, postgres: PostgresDatabase) -> None:
    name = make_url(postgres.url).render_as_string()
    status, _, error = run("status")
    assert (status, "Run `router db migrate`" in error) == (1, True)
    assert run("db", "migrate")[:2] == (
        0,
        f"{name} has schema 0001 now; before: none.\n",
    )
    assert run("db", "migrate")[1] == f"{name} is up to date: schema 0001.\n"

    anyio.run(_converse, postgres.url)

    status, out, _ = run("status", "--json")
    told: dict[str, Any] = json.loads(out)
    assert (status, told["running"], told["database"]["path"]) == (1, False, name)
    assert told["tenants"][0]["lanes"]["out"]["waiting"] == 1
    assert "Ana" in run("conversations", "list")[1]
    assert "De 8 a 18." in run("outbox", "list")[1]
    assert run("db", "check")[:2] == (0, f"{name} is sound: schema 0001.\n")

    status, _, error = run("conversations", "take", str(ANA), "--by", "Eva")
    assert (status, error) == (0, "")
    assert "withdrawn" in run("outbox", "list")[1]


def test_the_files_of_who_is_erased_are_removed_by_the_command(
    run: Run, postgres: PostgresDatabase, tmp_path: Path
) -> None:
    with (tmp_path / "router.toml").open("a") as config:
        config.write('[media]\nstore = "files"\n')
    assert run("db", "migrate")[0] == 0
    anyio.run(_converse, postgres.dsn)
    digest = anyio.run(_send, postgres.dsn, tmp_path / "files")
    (file,) = (path for path in (tmp_path / "files").rglob("*") if path.is_file())
    assert file.name == digest

    status, out, error = run("contacts", "erase", "+573001234567", "--yes", "--by", "eva")

    assert (status, error) == (0, "")
    assert "1 file" in out
    assert not file.exists()
    assert anyio.run(_kept, postgres.dsn) == []


async def _send(url: str, folder: Path) -> str:
    """Let the customer's message have come with a file."""
    digest = await Objects(str(folder)).put("main", b"a picture")
    attachments = codec.encode_attachments((Attachment(kind="image", digest=digest),))

    def send(tx: Tx) -> None:
        use(tx.connection, "main", digest, content_type="image/png", size=9, now=tx.now)
        said = message.update().where(message.c.id == "i1").values(attachments=attachments)
        tx.connection.execute(said)

    store = await PostgresStore.open(url, SystemClock())
    await store.write(send)
    await store.close()
    return digest


async def _kept(url: str) -> list[str]:
    store = await PostgresStore.open(url, SystemClock())
    found = await store.read(lambda it: list(it.scalars(sa.select(media.c.digest))))
    await store.close()
    return found


def test_a_node_that_runs_is_named(run: Run, postgres: PostgresDatabase) -> None:
    run("db", "migrate")

    async def look() -> tuple[int, str, str]:
        store = await PostgresStore.open(postgres.url, SystemClock())
        try:
            return await anyio.to_thread.run_sync(run, "status")
        finally:
            await store.close()

    status, out, _ = anyio.run(look)

    assert (status, "node " in out, " runs on " in out) == (0, True, True)


def test_a_database_that_does_not_answer_is_said_to_be_away(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "away.toml"
    config.write_text('[router]\ndatabase = "postgresql://nobody@127.0.0.1:1/nothing"\n')

    for words in (("status",), ("db", "migrate"), ("outbox", "list")):
        assert main(["-c", str(config), *words]) == 1
        error = capsys.readouterr().err
        assert "PostgreSQL" in error
        assert "Traceback" not in error


def test_the_doctor_asks_whether_the_database_takes_anything(
    run: Run, postgres: PostgresDatabase
) -> None:
    assert run("db", "migrate")[0] == 0

    status, out, _ = run("doctor", "--json")

    found = {each["check"]: each for each in json.loads(out)["checks"]}
    assert (status, found["database"]["level"]) == (0, "ok")
    assert found["database"]["says"].endswith("can be read and written.")
