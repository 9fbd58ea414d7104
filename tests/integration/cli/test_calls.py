"""``router calls`` on a real database."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from router.cli.main import main
from router.clock import SystemClock
from router.domain.event import CallEnded, CallTurn
from router.domain.identity import Address
from router.domain.message import Attachment
from router.storage.calls import keep_call
from router.storage.store import EventRef
from router.storage.tables import contact, conversation, first_message, message

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
    assert (batch["item"], batch["state"], batch["recipients"], batch["batch"]) == (
        item["item"],
        "waiting",
        2,
        None,
    )
    assert "clientes" in run("calls", "batches")[1]
    assert run("calls", "cancel", item["item"])[2].startswith(f'"{item["item"]}" is waiting')
    cancelled = said(run, "calls", "cancel", "btcal_1")
    assert cancelled["batch"] == "btcal_1"


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
        (DIAL.format(name="a") + DIAL.format(name="b"), (), "with --through: a, b"),
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
