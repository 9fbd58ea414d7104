"""``router calls`` on a real database."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from router.cli.main import main
from router.clock import SystemClock
from router.domain.event import CallEnded, CallTurn
from router.domain.identity import Address
from router.domain.message import Attachment
from router.storage.calls import keep_call
from router.storage.objects import Objects
from router.storage.store import EventRef
from router.storage.tables import (
    call,
    contact,
    conversation,
    first_message,
    lane,
    media,
    message,
    outbox,
)

CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"

[channels.phone]
type = "simulator"
"""
DIAL = """
[actions.{name}]
type = "elevenlabs_batch"
api_key = {{ env = "KEY" }}
agent = "agent_1"
phone_number_id = "phnum_1"
"""
ANA = Address("tel", "+573001234567")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = CONFIG + DIAL.format(name="dial")
    (tmp_path / "router.toml").write_text(config, encoding="utf-8")
    (tmp_path / ".env").write_text("KEY=k\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        status = main(["-c", str(folder / "router.toml"), *words])
        return (status, *capsys.readouterr())

    assert run("db", "migrate")[0] == 0
    return run


@pytest.fixture
def spoken(run: Run, folder: Path) -> None:
    """Two calls with Ana, and a first message that she has answered."""
    now = SystemClock().now()
    engine = sa.create_engine(f"sqlite:///{folder / 'router.db'}")
    with engine.begin() as connection:
        person = {"id": "p1", "tenant": "main", "key": str(ANA), "created_at": now}
        connection.execute(sa.insert(contact).values(**person))
        thread = {
            "id": "c1",
            "tenant": "main",
            "contact": "p1",
            "channel": "phone",
            "address": str(ANA),
            "status": "active",
            "source": "post_call",
            "owner": "bot",
            "created_at": now,
            "last_activity_at": now,
        }
        connection.execute(sa.insert(conversation).values(**thread))
        calls = [
            CallEnded(
                id="conv_1",
                party=ANA,
                outcome="success",
                started_at=now - timedelta(hours=2),
                duration=timedelta(seconds=42),
                summary="Quiere\nla factura.",
                transcript=(CallTurn("customer", "La factura \x1b[2J"),),
                data={"mes": "marzo"},
                batch="btcal_1",
                recording=Attachment(kind="audio", url="https://example.org/a.mp3"),
            ),
            CallEnded(id="conv_2", party=ANA, status="failed", reason="busy"),
        ]
        for number, event in enumerate(calls, start=1):
            keep_call(
                connection,
                "main",
                event,
                conversation_id="c1",
                channel="calls",
                ref=EventRef(f"main/{ANA}", number),
                received_at=now - timedelta(minutes=5),
            )
        for name, direction, at in (("m1", "out", 3), ("m2", "in", 1)):
            row = {
                "id": name,
                "tenant": "main",
                "conversation": "c1",
                "direction": direction,
                "author": "rule" if direction == "out" else "customer",
                "text": "Hola",
                "channel": "phone",
                "address": str(ANA),
                "status": "sent" if direction == "out" else None,
                "created_at": now - timedelta(minutes=at),
            }
            connection.execute(sa.insert(message).values(**row))
        variant = {"message": "m1", "tenant": "main", "conversation": "c1", "rule": "after-call"}
        connection.execute(
            sa.insert(first_message).values(
                **variant, variant="short", created_at=now - timedelta(minutes=3)
            )
        )
    engine.dispose()


def change(folder: Path, statement: sa.Update | sa.Insert | sa.Delete) -> None:
    """Let something have happened meanwhile."""
    engine = sa.create_engine(f"sqlite:///{folder / 'router.db'}")
    with engine.begin() as connection:
        connection.execute(statement)
    engine.dispose()


def said(run: Run, *words: str) -> Any:
    status, out, err = run(*words, "--json")
    assert status == 0, err
    return json.loads(out)


@pytest.mark.usefixtures("spoken")
def test_calls_are_listed_and_shown_with_what_was_said(run: Run) -> None:
    assert [it["id"] for it in said(run, "calls", "list")] == ["conv_2", "conv_1"]
    assert [it["id"] for it in said(run, "calls", "list", "--failed")] == ["conv_2"]
    assert [it["id"] for it in said(run, "calls", "list", "--batch", "btcal_1")] == ["conv_1"]
    assert "Quiere la factura." in run("calls", "list")[1]
    shown = said(run, "calls", "show", "conv_1")
    assert (shown["duration"], shown["data"], shown["event"]) == (
        42.0,
        {"mes": "marzo"},
        f"main/{ANA}#1",
    )
    printed = run("calls", "show", "conv_1")[1]
    assert "data.mes" in printed
    assert "https://example.org/a.mp3" in printed
    assert "  customer: La factura �[2J" in printed
    status, _, err = run("calls", "show", "conv_9")
    assert (status, err) == (1, 'there is no call "conv_9"\n')


@pytest.mark.usefixtures("spoken")
def test_a_recording_that_is_kept_is_written_to_a_file(run: Run, folder: Path) -> None:
    target = folder / "llamada.mp3"
    words = ("calls", "recording", "conv_1", str(target))
    status, _, err = run(*words)
    assert (status, err.startswith('the recording of "conv_1" is not kept here')) == (1, True)
    assert re.search(r"^kept here +no$", run("calls", "show", "conv_1")[1], re.MULTILINE)

    # Where [media] store is by default, beside router.toml.
    digest = anyio.run(Objects(str(folder / "data" / "media")).put, "main", b"ID3 la llamada")
    kept = {"kind": "audio", "digest": digest, "size": 14, "content_type": "audio/mpeg"}
    change(folder, sa.update(call).where(call.c.id == "conv_1").values(recording=kept))
    row = {"tenant": "main", "digest": digest, "content_type": "audio/mpeg", "size": 14}
    now = SystemClock().now()
    change(folder, sa.insert(media).values(**row, used_at=now))

    assert run(*words)[:2] == (0, f"{target}: 14 bytes\n")
    assert target.read_bytes() == b"ID3 la llamada"
    assert target.stat().st_mode & 0o777 == 0o600
    assert re.search(r"^kept here +14 bytes$", run("calls", "show", "conv_1")[1], re.MULTILINE)
    assert (run(*words)[0], target.read_bytes()) == (2, b"ID3 la llamada")
    status, _, err = run("calls", "recording", "conv_2", str(folder / "no.mp3"))
    assert (status, err) == (1, 'the call "conv_2" has no recording\n')

    change(folder, sa.delete(media))  # as sweeping does
    status, _, err = run("calls", "recording", "conv_1", str(folder / "no.mp3"))
    assert (status, err.endswith("it was kept as long as [media] keep says\n")) == (1, True)
    assert re.search(
        r"^kept here +no: it was kept", run("calls", "show", "conv_1")[1], re.MULTILINE
    )


@pytest.mark.usefixtures("spoken")
def test_a_conversation_shows_its_calls_in_order(run: Run) -> None:
    lines = [
        line for line in run("conversations", "show", str(ANA))[1].splitlines() if "20" in line
    ]

    told = [line.split("  ")[-1] for line in lines if line.startswith("  ")]
    assert told == [
        "call (outbound, 42 s, success): Quiere la factura.",
        "call (outbound, nobody was reached): busy",
        "rule: Hola (sent)",
        "customer: Hola",
    ]


@pytest.mark.usefixtures("spoken")
def test_variants_are_counted_with_their_answers(run: Run) -> None:
    (count,) = said(run, "calls", "variants")

    assert count == {"rule": "after-call", "variant": "short", "sent": 1, "answered": 1}
    assert "100%" in run("calls", "variants", "--since", "1h")[1]
    assert said(run, "calls", "variants", "--since", "1m") == []
    status, _, err = run("calls", "variants", "--since", "soon")
    assert (status, err.startswith("--since")) == (2, True)


def test_a_batch_is_put_into_the_outbox_as_the_file_says(run: Run, folder: Path) -> None:
    people = folder / "clientes.csv"
    people.write_text(
        "phone_number,client_name\n+57 300 123 4567,Ana\n573009876543,Luis\n", encoding="utf-8-sig"
    )

    item = said(run, "calls", "submit", str(people), "--at", "2026-12-01T09:00:00-05:00")

    assert item["recipients"] == 2
    shown = said(run, "outbox", "show", item["item"])
    body = shown.get("item", shown)["body"]
    assert body["params"] == {
        "name": "clientes",
        "at": "2026-12-01T09:00:00-05:00",
        "recipients": [
            {"phone_number": "+573001234567", "variables": {"client_name": "Ana"}},
            {"phone_number": "+573009876543", "variables": {"client_name": "Luis"}},
        ],
    }
    (batch,) = said(run, "calls", "batches")
    assert (batch["id"], batch["state"], batch["recipients"], batch["batch"]) == (
        item["item"],
        "waiting",
        2,
        None,
    )
    assert "clientes" in run("calls", "batches")[1]


def test_the_same_batch_is_submitted_once_unless_asked_for_again(run: Run, folder: Path) -> None:
    people = folder / "clientes.csv"
    people.write_text("phone_number,n\n+573001234567,1\n+573009876543,2\n", encoding="utf-8")
    first = said(run, "calls", "submit", str(people))
    # In another order and written otherwise, it is the same people who would be called.
    people.write_text("phone_number,n\n573009876543,2\n+57 3001234567,1\n", encoding="utf-8")

    status, _, err = run("calls", "submit", str(people))

    assert (status, f'as "{first["item"]}"' in err) == (1, True)
    assert len(said(run, "calls", "batches")) == 1
    others = [("--again",), ("--name", "otra"), ("--at", "2026-12-01T09:00:00-05:00")]
    for more in others:
        said(run, "calls", "submit", str(people), *more)
    assert len(said(run, "calls", "batches")) == 4
    assert len(said(run, "calls", "batches", "--limit", "2")) == 2


def test_a_batch_that_has_not_left_is_withdrawn(run: Run, folder: Path) -> None:
    people = folder / "clientes.csv"
    people.write_text("phone_number\n+573001234567\n", encoding="utf-8")
    item = said(run, "calls", "submit", str(people))["item"]

    status, out, _ = run("calls", "cancel", item, "--by", "eva")

    assert (status, out) == (0, f"{item} was withdrawn before it left: nobody is called.\n")
    (batch,) = said(run, "calls", "batches")
    assert (batch["state"], batch["error"]) == ("withdrawn", "eva cancelled it")
    engine = sa.create_engine(f"sqlite:///{folder / 'router.db'}")
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(lane)) == 0
    engine.dispose()
    status, _, err = run("calls", "cancel", item)
    assert (status, err) == (1, f'the batch "{item}" was withdrawn before it left\n')


@pytest.mark.parametrize(
    "state, why",
    [
        ("started", "is leaving just now. Try again in a moment"),
        ("unknown", "may have been taken, and nobody knows its id as yet"),
        ("done", "was taken, and its id is not known here"),
        ("dead", "was given up: nobody knows"),
        ("refused", "was not taken by the provider: nobody is called"),
    ],
)
def test_a_batch_that_the_provider_is_not_known_to_have_is_not_ended_there(
    run: Run, folder: Path, state: str, why: str
) -> None:
    people = folder / "clientes.csv"
    people.write_text("phone_number\n+573001234567\n", encoding="utf-8")
    item = said(run, "calls", "submit", str(people))["item"]
    change(folder, sa.update(outbox).values(state=state, error="nobody knows"))

    status, _, err = run("calls", "cancel", item)

    assert (status, why in err) == (1, True), err
    assert len(said(run, "outbox", "list")) == 1


def test_a_batch_that_may_have_left_is_not_withdrawn(run: Run, folder: Path) -> None:
    people = folder / "clientes.csv"
    people.write_text("phone_number\n+573001234567\n", encoding="utf-8")
    item = said(run, "calls", "submit", str(people))["item"]
    body = {**said(run, "outbox", "show", item)["body"], "unknown": 1}
    change(folder, sa.update(outbox).values(attempt=1, body=json.dumps(body)))

    status, _, err = run("calls", "cancel", item)

    assert (status, "may have been taken" in err) == (1, True), err
    assert said(run, "calls", "batches")[0]["state"] == "waiting"


def test_a_batch_that_the_provider_has_is_ended_there_once(run: Run, folder: Path) -> None:
    people = folder / "clientes.csv"
    people.write_text("phone_number\n+573001234567\n", encoding="utf-8")
    item = said(run, "calls", "submit", str(people))["item"]
    change(folder, sa.update(outbox).values(state="done", provider_ref="btcal_1"))

    first = said(run, "calls", "cancel", item)
    again = said(run, "calls", "cancel", "btcal_1")

    assert first == again == {"item": first["item"], "batch": "btcal_1"}
    assert said(run, "outbox", "show", first["item"])["body"]["params"] == {"cancel": "btcal_1"}
    (batch,) = said(run, "calls", "batches")
    assert (batch["cancel"], batch["cancel_state"]) == (first["item"], "waiting")
    assert "done, cancelling: waiting" in run("calls", "batches")[1]
    # What the provider did not take may be tried anew.
    change(folder, sa.update(outbox).where(outbox.c.id == first["item"]).values(state="refused"))
    assert said(run, "calls", "cancel", item)["item"] != first["item"]


def test_a_batch_of_elsewhere_is_ended_by_whoever_is_named(run: Run) -> None:
    status, _, err = run("calls", "cancel", "btcal_9")
    assert (status, 'no batch "btcal_9" was submitted here' in err) == (2, True)
    status, _, err = run("calls", "cancel", "btcal_9", "--through", "nobody")
    assert (status, 'no action "nobody" that makes calls: dial' in err) == (2, True)

    done = said(run, "calls", "cancel", "btcal_9", "--through", "dial")

    assert done["batch"] == "btcal_9"
    assert said(run, "outbox", "show", done["item"])["body"]["params"] == {"cancel": "btcal_9"}


@pytest.mark.parametrize(
    "text, why",
    [
        ("", "the first line must name the column phone_number"),
        ("name\nAna\n", "the first line must name the column phone_number"),
        ("phone_number\n300\n", ":2: write a telephone number with its country code"),
        ("phone_number\n+573001234567\n+573001234567\n", "is there twice"),
    ],
)
def test_a_file_that_cannot_be_called_is_refused(
    run: Run, folder: Path, text: str, why: str
) -> None:
    people = folder / "clientes.csv"
    people.write_text(text, encoding="utf-8")

    status, _, err = run("calls", "submit", str(people))

    assert status == 2
    assert why in err
    assert said(run, "calls", "batches") == []


@pytest.mark.parametrize(
    "tables, words, why",
    [
        ("", (), "none is configured"),
        (DIAL.format(name="a") + DIAL.format(name="b"), (), "calls: a, b; name one with --through"),
        (DIAL.format(name="a"), ("--through", "b"), 'there is no action "b" that makes calls: a'),
    ],
)
def test_whoever_makes_the_calls_has_to_be_clear(
    run: Run, folder: Path, tables: str, words: tuple[str, ...], why: str
) -> None:
    (folder / "router.toml").write_text(CONFIG + tables, encoding="utf-8")
    people = folder / "clientes.csv"
    people.write_text("phone_number\n+573001234567\n", encoding="utf-8")

    status, _, err = run("calls", "submit", str(people), *words)

    assert status == 2
    assert why in err
