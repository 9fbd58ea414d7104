"""The commands on a real database: alone, and beside a process that has it open."""

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from router.cli.main import main
from router.domain.outbox import ItemState
from router.pipeline.control import commands, serve, socket_path
from router.plugin.testing import RecordingLog
from router.storage.pollers import PollerKey, Taken, hold_all, keep, keep_failure, prepare, take
from router.storage.refusals import accept_opt_out
from router.storage.store import Commit, Tx
from router.storage.tables import outbox
from tests.integration.engine.harness import ANA, LUIS, Engine, opened, ref
from tests.integration.test_acts import Channels, drafted, stuck, ticketed, unparsed

Run = Callable[..., "Ran"]

_CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"

[channels.phone]
type = "simulator"

[tenants.acme.channels.line]
type = "simulator"
"""


class Ran:
    """What a command did."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "router.toml").write_text(_CONFIG, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(desk: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> Ran:
        status = main(["-c", str(desk / "router.toml"), *words])
        return Ran(status, *capsys.readouterr())

    return run


@asynccontextmanager
async def closed_later(desk: Path) -> AsyncIterator[Engine]:
    """Write to the database, and leave it to the commands."""
    async with opened("sqlite", desk) as engine:
        yield engine


async def shown(run: Run, *words: str) -> Ran:
    """Run a command outside the event loop, as another process would."""
    return await anyio.to_thread.run_sync(run, *words)


# Without a database ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "words",
    [
        ["drafts", "list"],
        ["drafts", "approve", "x"],
        ["status"],
        ["explain", "x"],
        ["conversations", "take", "x"],
    ],
)
def test_without_a_database_it_says_how_to_get_one(run: Run, words: list[str]) -> None:
    ran = run(*words)

    assert ran.status == 1
    assert ran.err == (
        "the database has no schema yet; this version needs 0001. Run `router db migrate`\n"
    )


def test_a_database_is_made_once_and_is_sound(run: Run, desk: Path) -> None:
    first, second, looked = run("db", "migrate"), run("db", "migrate"), run("db", "check")

    database = desk / "router.db"
    assert first.out == f"{database} has schema 0001 now; before: none.\n"
    assert second.out == f"{database} is up to date: schema 0001.\n"
    assert (looked.status, looked.out) == (0, f"{database} is sound: schema 0001.\n")


# Looking ──────────────────────────────────────────────────────────────────────────────────────


async def test_lists_say_what_is_there_newest_first(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        await drafted(engine)
        await engine.answer("buenas", "¡Buenas!", who=LUIS)
        await unparsed(engine)

    events = await shown(run, "events", "list", "--json")
    assert [(it["event"], it["kind"], it["outcome"]) for it in events.json] == [
        ("main/raw:phone#1", "unparsed", "unparsed"),
        (str(ref(1)), "message", "draft"),
        (str(ref(1, LUIS)), "message", "reply"),
    ]
    table = (await shown(run, "events", "list", "--kind", "message", "-n", "1")).out.splitlines()
    assert table[0].split() == ["EVENT", "KIND", "OUTCOME", "AGE", "TEXT"]
    assert table[1].startswith(str(ref(1)))
    assert len(table) == 2
    (draft,) = (await shown(run, "drafts", "list", "--json")).json
    assert (draft["id"], draft["text"], draft["sources"]) == (
        "draft-1",
        "Abrimos a las 9.",
        ["horarios#1"],
    )
    (item,) = (await shown(run, "outbox", "list", "--state", "waiting", "--json")).json
    assert (item["text"], item["body"]["recipient"]) == ("¡Buenas!", str(LUIS))
    threads = (await shown(run, "conversations", "list", "--json")).json
    assert {thread["address"] for thread in threads} == {str(ANA), str(LUIS)}


@pytest.mark.parametrize(
    "words, nothing",
    [
        (["events", "list"], "There is no such event."),
        (["outbox", "list", "--trouble"], "There is no such item."),
        (["drafts", "list"], "No draft waits."),
        (["tickets", "list"], "There is no such ticket."),
        (["escalations", "list"], "Nobody is called."),
        (["conversations", "list"], "There is no such conversation."),
    ],
)
def test_an_empty_list_is_a_sentence_or_an_empty_list(
    run: Run, words: list[str], nothing: str
) -> None:
    run("db", "migrate")

    assert run(*words).out == f"{nothing}\n"
    assert run(*words, "--json").json == []


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["outbox", "list", "--state", "gone"], 'there is no state "gone". There are: waiting, '),
        (["tickets", "list", "--state", "gone"], 'there is no state "GONE". There are: NEW, '),
        (["tickets", "state", "1", "gone"], 'there is no state "gone". There are: NEW, '),
    ],
)
def test_an_unknown_state_is_a_mistake(run: Run, words: list[str], complaint: str) -> None:
    run("db", "migrate")

    ran = run(*words)

    assert ran.status == 2
    assert ran.err.startswith(complaint)


def test_an_unknown_tenant_is_named_with_those_there_are(run: Run) -> None:
    run("db", "migrate")

    ran = run("drafts", "list", "--tenant", "nix")

    assert (ran.status, ran.err) == (1, 'there is no tenant "nix". There are: main, acme\n')


async def test_a_thing_is_found_in_whichever_tenant_has_it(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        await engine.accept(engine.said("hola", tenant="acme", channel="line"))
        work = await engine.claim_one()
        await engine.complete(engine.commit(work, outcome="ignore"))
    name = str(ref(1, tenant="acme"))

    found = await shown(run, "events", "show", name, "--json")
    missed = await shown(run, "events", "show", name, "--tenant", "main")

    assert found.json["tenant"] == "acme"
    assert (missed.status, missed.err) == (1, f'there is no event "{name}"\n')


async def test_one_thing_is_shown_whole(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        await drafted(engine)
        await ticketed(engine)
        name = await unparsed(engine)

    event = (await shown(run, "events", "show", str(ref(1)))).out
    assert f"event         {ref(1)}\n" in event
    assert "\n  ¿A qué hora abren?\n" in event
    raw = (await shown(run, "events", "show", name)).out
    assert "error     ValueError: no\n" in raw
    assert "\n  <xml/>\n" in raw
    draft = (await shown(run, "drafts", "show", "draft-1")).out
    assert "because       low confidence\n" in draft
    assert "sources       horarios#1\n" in draft
    assert draft.endswith("The draft\n  Abrimos a las 9.\n")
    ticket = (await shown(run, "tickets", "show", "1")).out
    assert "title         Factura\n" in ticket
    assert ticket.endswith("rule billing: opened\n")
    thread = (await shown(run, "conversations", "show", str(ANA))).out
    assert "owner         bot\n" in thread
    assert "customer      " not in thread
    whole = (await shown(run, "drafts", "show", "draft-1", "--json")).json
    assert whole["draft"]["id"] == "draft-1"


# Acting alone ─────────────────────────────────────────────────────────────────────────────────


async def test_a_draft_is_approved_without_a_daemon(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        await drafted(engine)

    ran = await shown(run, "drafts", "approve", "draft-1", "--by", "ana", "--json")

    assert ran.json["draft"]["resolved_by"] == "ana"
    (item_id,) = ran.json["items"]
    async with opened("sqlite", desk) as engine:
        (item,) = await engine.rows(outbox)
        assert (item.id, item.author, item.state) == (item_id, "person", "waiting")
        assert (await engine.lane("out")).lease_owner is None


@pytest.mark.parametrize(
    "words, told",
    [
        (["drafts", "edit", "draft-1", "--text", "A las 10."], "draft-1 is edited; it leaves as "),
        (["drafts", "reject", "draft-1", "--because", "no"], "draft-1 is discarded."),
        (["tickets", "state", "1", "in-progress"], "Ticket 1 is IN_PROGRESS."),
        (["tickets", "note", "#1", "Called."], "Ticket 1 is NEW."),
        (["escalations", "ack", "escalation-1"], "escalation-1 is acknowledged by ana."),
        (["conversations", "take", str(ANA)], " is ana's now."),
    ],
)
async def test_an_act_says_what_it_did(run: Run, desk: Path, words: list[str], told: str) -> None:
    async with closed_later(desk) as engine:
        await drafted(engine)
        await ticketed(engine)

    ran = await shown(run, *words, "--by", "ana")

    assert (ran.status, ran.err) == (0, "")
    assert told in ran.out


async def test_what_is_unknown_is_settled_and_what_is_dead_tried_again(
    run: Run, desk: Path
) -> None:
    async with closed_later(desk) as engine:
        unknown = await stuck(engine, ItemState.UNKNOWN)
        await engine.answer("buenas", "¡Buenas!", who=LUIS)
        item = await engine.claim_item()
        await engine.attempt(item, ItemState.DEAD)
        dead = item.id

    listed = await shown(run, "outbox", "list", "--trouble", "--json")
    assert {it["id"] for it in listed.json} == {unknown, dead}
    assert (await shown(run, "outbox", "resolve", unknown, "--sent")).out == (
        f"{unknown} is done now.\n"
    )
    assert (await shown(run, "outbox", "retry", dead)).out == f"{dead} is waiting now.\n"
    again = await shown(run, "outbox", "retry", unknown)
    assert (again.status, again.err) == (
        1,
        f'outbox item "{unknown}" is done: it was sent, and sending it again would double it\n',
    )


@pytest.mark.parametrize("beside_a_daemon", [False, True])
@pytest.mark.parametrize("state", [ItemState.UNKNOWN, ItemState.DEAD, ItemState.REFUSED])
@pytest.mark.parametrize(
    "flag, becomes",
    [
        ("--sent", "done"),
        ("--resend", "waiting"),
        ("--not-sent", "waiting"),
        ("--drop", "withdrawn"),
    ],
)
async def test_what_did_not_end_well_is_settled_by_a_persons_word(
    run: Run, desk: Path, *, beside_a_daemon: bool, state: ItemState, flag: str, becomes: str
) -> None:
    words = ("outbox", "resolve", "--by", "ana", flag)
    async with opened("sqlite", desk) as engine:
        item = await stuck(engine, state)
        path, perform = socket_path(desk / "router.db"), commands(engine.store, Channels(), dict)
        async with serve(path, perform, RecordingLog()):
            told = await shown(run, *words, item) if beside_a_daemon else None
    told = told or await shown(run, *words, item)

    assert (told.status, told.out) == (0, f"{item} is {becomes} now.\n")
    assert (await shown(run, "outbox", "show", item, "--json")).json["state"] == becomes


async def test_two_words_about_one_item_are_a_mistake(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        item = await stuck(engine, ItemState.UNKNOWN)

    told = await shown(run, "outbox", "resolve", item, "--sent", "--drop")

    assert told.status == 2
    assert told.err.startswith("say one of --sent, --resend and --drop: nobody else knows.")


async def test_a_dead_event_is_tried_again_once_beside_a_daemon(run: Run, desk: Path) -> None:
    async with opened("sqlite", desk) as engine:
        await engine.accept(engine.said("hola"))
        work = await engine.claim_one()
        await engine.complete(Commit(work=work, outcome="dead", dead_error="KeyError: 'x'"))
        path = socket_path(desk / "router.db")
        perform = commands(engine.store, Channels(), dict)
        async with serve(path, perform, RecordingLog()):
            retried = await shown(run, "events", "retry", str(ref(1)))
            again = await shown(run, "events", "retry", str(ref(1)))
            waiting = await shown(run, "events", "retry", str(ref(2)))

    assert retried.out == f"It is tried again as {ref(2)}\n"
    assert again.status == 1
    assert again.err.startswith(f'event "{ref(1)}" was tried again as {ref(2)}')
    assert waiting.err == (
        f'event "{ref(2)}" still waits for its turn. Only a dead or an unparsed event can be '
        "retried\n"
    )


async def test_what_nobody_needs_is_discarded_beside_a_daemon(run: Run, desk: Path) -> None:
    async with opened("sqlite", desk) as engine:
        raw = await unparsed(engine)
        await engine.accept(engine.said("hola"))
        work = await engine.claim_one()
        await engine.complete(Commit(work=work, outcome="dead", dead_error="KeyError: 'x'"))
        path = socket_path(desk / "router.db")
        words = ("events", "discard", raw, str(ref(1)), "--because", "a test", "--by", "eva")
        async with serve(path, commands(engine.store, Channels(), dict), RecordingLog()):
            done = await shown(run, *words)
            again = await shown(run, *words, "--json")
            retried = await shown(run, "events", "retry", raw)

    assert done.out == (
        f"{raw} is discarded, by eva: a test\n{ref(1)} is discarded, by eva: a test\n"
    )
    assert [it["discarded"]["because"] for it in again.json] == ["a test", "a test"]
    assert (retried.status, retried.err) == (
        1,
        f'event "{raw}" was discarded by eva: a test\n',
    )


async def test_a_discarded_request_is_shown_without_what_was_in_it(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        raw = await unparsed(engine)

    empty = await shown(run, "events", "discard", raw, "--because", " ")
    await shown(run, "events", "discard", raw, "--because", "spam", "--by", "eva")
    event = (await shown(run, "events", "show", raw)).out
    told = (await shown(run, "explain", raw)).out

    assert empty.status == 2
    assert empty.err.startswith("--because is empty. Say why nobody needs it. `router events")
    assert re.search(r"^discarded +\S.*, by eva: spam$", event, re.MULTILINE)
    assert re.search(r"^  discarded: .*, by eva: spam$", told, re.MULTILINE)
    assert re.search(r"^error +ValueError: no$", event, re.MULTILINE)
    assert "xml" not in event
    counted = (await shown(run, "status", "--json")).json["tenants"]
    assert [it["unparsed"] for it in counted] == [0, 0]


async def test_an_unparsed_request_is_read_by_the_configured_channel(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        name = await unparsed(engine)
        await engine.accept(engine.said("hola"))
        work = await engine.claim_one()
        await engine.complete(Commit(work=work, outcome="dead", dead_error="KeyError: 'x'"))

    unreadable = await shown(run, "events", "retry", name)
    retried = await shown(run, "events", "retry", str(ref(1)))

    assert unreadable.status == 1
    assert unreadable.err.startswith("it still cannot be read: ValidationError: ")
    assert retried.out == f"It is tried again as {ref(2)}\n"


# Acting beside a daemon ───────────────────────────────────────────────────────────────────────


async def test_beside_a_daemon_it_is_the_daemon_that_writes(run: Run, desk: Path) -> None:
    async with opened("sqlite", desk) as engine:
        await drafted(engine)
        path = socket_path(desk / "router.db")
        perform = commands(engine.store, Channels(), dict)
        async with serve(path, perform, RecordingLog()):
            approved = await shown(run, "drafts", "approve", "draft-1")
            refused = await shown(run, "drafts", "approve", "draft-1")
        item = await engine.claim_item()
        unreachable = await shown(run, "drafts", "reject", "draft-1")
        migrated = await shown(run, "db", "migrate")

    assert approved.out == f"draft-1 is approved; it leaves as {item.id}.\n"
    assert refused.status == 1
    assert refused.err.startswith('draft "draft-1" is approved already, by ')
    assert unreachable.status == 1
    assert unreachable.err.startswith(f"nobody listens on {path}. ")
    assert migrated.status == 1
    assert "is in use by process" in migrated.err


async def test_the_status_tells_what_wants_a_look(run: Run, desk: Path) -> None:
    status = {
        "pid": 7,
        "version": "0.1.0",
        "since": "2026-03-02T10:00:00+00:00",
        "draining": False,
        "trouble": [],
        "settings": {"path": "router.toml", "hash": "abc"},
        "instances": [
            {"name": "channels.phone", "kind": "simulator", "up": True, "error": None},
            {"name": "ai.assistant", "kind": "openai", "up": False, "error": "401"},
            {
                "name": "actions.pager",
                "kind": "webhook",
                "up": True,
                "error": None,
                "breaker": {"open_since": "2026-03-02T10:00:00+00:00", "error": "busy"},
            },
        ],
    }
    async with opened("sqlite", desk) as engine:
        await drafted(engine)
        await ticketed(engine)
        await unparsed(engine)
        path = socket_path(desk / "router.db")
        async with serve(path, commands(engine.store, Channels(), lambda: status), RecordingLog()):
            running = await shown(run, "status")
            as_json = await shown(run, "status", "--json")
            status["trouble"] = ["ai.assistant"]
            troubled = await shown(run, "status")
        mute = await shown(run, "status")
    stopped = await shown(run, "status")

    assert running.status == 0
    assert "0.1.0 runs as process 7 since " in running.out
    assert "ai.assistant    openai     down: 401\n" in running.out
    assert "  circuit breaker open since " in running.out
    assert running.out.partition("circuit breaker open since ")[2].split("\n")[0].endswith(": busy")
    assert "drafts        1 (router drafts list)\n" in running.out
    assert "escalations   1 (router escalations list)\n" in running.out
    main_tenant, acme = as_json.json["tenants"]
    assert (as_json.json["running"], as_json.json["daemon"]["pid"]) == (True, 7)
    assert (main_tenant["drafts"], main_tenant["tickets"], main_tenant["unparsed"]) == (1, 1, 1)
    assert (acme["tenant"], acme["drafts"]) == ("acme", 0)
    assert (troubled.status, "trouble        ai.assistant\n" in troubled.out) == (1, True)
    assert mute.status == 1
    assert "has the database open; nobody listens on " in mute.out
    assert stopped.status == 1
    assert stopped.out.startswith("router      does not run\n")


async def test_the_status_tells_how_polling_has_been_going(run: Run, desk: Path) -> None:
    key, now = PollerKey("acme", "calls", "ended"), datetime.now(UTC)
    later = now + timedelta(days=1)
    async with closed_later(desk) as engine:

        def poll(tx: Tx) -> None:
            for key_, error in (key, None), (key._replace(name="batches"), "401 of the provider"):
                prepare(tx.connection, key_, now, now)
                taken = take(
                    tx.connection, key_, holder="me", now=later, until=later, every=timedelta(1)
                )
                assert isinstance(taken, Taken)
                if error is None:
                    keep(tx, key_, taken, cursor="7", events=(), due_at=later)
                else:
                    keep_failure(tx, key_, taken, error=error, due_at=later)

        await engine.store.write(poll)

    told = await shown(run, "status")
    as_json = await shown(run, "status", "--json")

    assert "TENANT  POLLER         LAST GOOD POLL  STATE\n" in told.out
    assert "acme    calls/batches  never           1 failed, for " in told.out
    assert ": 401 of the provider\n" in told.out
    assert re.search(r"acme    calls/ended    \d+[smhd] ago +well\n", told.out)
    assert [(it["name"], it["failures"]) for it in as_json.json["pollers"]] == [
        ("batches", 1),
        ("ended", 0),
    ]


async def test_a_poller_that_is_held_goes_on_when_a_person_says_so(run: Run, desk: Path) -> None:
    key, now = PollerKey("acme", "calls", "ended"), datetime.now(UTC)

    def hold(tx: Tx) -> None:
        prepare(tx.connection, key, now, now)
        hold_all(tx.connection, "restored")

    async with closed_later(desk) as engine:
        await engine.store.write(hold)

    held = await shown(run, "pollers", "list")
    refused = await shown(run, "pollers", "resume", "calls/batches")
    resumed = await shown(run, "pollers", "resume", "calls/ended", "--by", "eva")
    listed = await shown(run, "pollers", "list", "--tenant", "acme", "--json")
    nothing = await shown(run, "pollers", "list", "--tenant", "main")

    assert held.out.splitlines()[-1].split() == [
        "acme",
        "calls/ended",
        "never",
        "held:",
        "restored",
    ]
    assert (refused.status, 'there is no poller "calls/batches"' in refused.err) == (1, True)
    assert (resumed.status, resumed.out) == (0, "calls/ended goes on.\n")
    assert [(it["name"], it["held"]) for it in listed.json] == [("ended", None)]
    assert nothing.out == "Nothing is polled.\n"


async def test_damage_is_named(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        await engine.answer("hola", "¡Hola!")
        await engine.store.write(
            lambda tx: (
                tx.connection.exec_driver_sql("UPDATE lane SET done_seq = last_seq + 1").rowcount
            )
        )

    ran = await shown(run, "db", "check")

    assert ran.status == 1
    assert f"the cursor of lane in {ref(1).lane} is beyond its end\n" in ran.out
    assert "will never leave: it is behind its lane's cursor\n" in ran.out
    assert ran.out.endswith("is damaged. Restore a backup, and keep this one for a look.\n")


# Narrowing a list down ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "words, number",
    [
        (["events", "list"], 3),
        (["events", "list", "--outcome", "reply"], 1),
        (["events", "list", "--unparsed"], 1),
        (["events", "list", "--dead"], 0),
        (["events", "list", "--open"], 0),
        (["events", "list", "--tenant", "acme"], 0),
        (["events", "list", "--conversation", "nix"], 0),
        (["outbox", "list"], 1),
        (["outbox", "list", "--kind", "action"], 0),
        (["outbox", "list", "--conversation", "nix"], 0),
        (["drafts", "list"], 1),
        (["drafts", "list", "--all"], 1),
        (["drafts", "list", "--conversation", "nix"], 0),
        (["conversations", "list"], 2),
        (["conversations", "list", "--owner", "nobody"], 0),
        (["conversations", "list", "--status", "active", "--owner", "bot"], 2),
        (["conversations", "list", "-n", "1"], 1),
    ],
)
async def test_a_list_is_narrowed_down(run: Run, desk: Path, words: list[str], number: int) -> None:
    async with closed_later(desk) as engine:
        await drafted(engine)
        await engine.answer("buenas", "¡Buenas!", who=LUIS)
        await unparsed(engine)

    ran = await shown(run, *words, "--json")

    assert len(ran.json) == number


@pytest.mark.parametrize(
    "words, number",
    [
        (["tickets", "list"], 1),
        (["tickets", "list", "--state", "new", "--queue", "billing"], 1),
        (["tickets", "list", "--queue", "sales"], 0),
        (["tickets", "list", "--state", "in-progress"], 0),
        (["tickets", "list", "--all", "--conversation", "nix"], 0),
        (["escalations", "list"], 1),
        (["escalations", "list", "--all"], 1),
    ],
)
async def test_what_people_have_to_do_is_narrowed_down(
    run: Run, desk: Path, words: list[str], number: int
) -> None:
    async with closed_later(desk) as engine:
        await ticketed(engine)

    ran, table = await shown(run, *words, "--json"), await shown(run, *words)

    assert len(ran.json) == number
    assert len(table.out.splitlines()) == 1 + number


# What only people see ─────────────────────────────────────────────────────────────────────────


async def test_an_item_is_shown_whole(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        item = await stuck(engine, ItemState.REFUSED)

    told = (await shown(run, "outbox", "show", item)).out
    as_json = (await shown(run, "outbox", "show", item, "--json")).json

    assert f"recipient     {ANA}\n" in told
    assert "state         refused\n" in told
    assert "error         the connection was lost\n" in told
    assert told.endswith("\n  ¡Hola!\n")
    assert as_json["id"] == item


async def test_a_takeover_names_what_it_stopped_and_what_it_could_not(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        await engine.answer("hola", "¡Hola!", "¿En qué puedo ayudar?")
        item = await engine.claim_item()
        await engine.store.start_attempt(item)

    taken = await shown(run, "conversations", "take", str(ANA), "--by", "ana")
    thread = (await shown(run, "conversations", "show", str(ANA))).out
    released = await shown(run, "conversations", "release", str(ANA))
    as_json = await shown(run, "conversations", "show", str(ANA), "--json")

    _, withdrawn, leaving = taken.out.splitlines()
    assert withdrawn == "1 message of the bot did not leave any more."
    assert leaving == (
        f"{item.id} had left already, and its result is not known yet: router outbox show {item.id}"
    )
    assert "bot: ¿En qué puedo ayudar? (withdrawn: ana took the conversation over" in thread
    assert released.out.endswith(" is the bot's again.\n")
    assert as_json.json["conversation"]["owner"] == "bot"
    assert [line["text"] for line in as_json.json["messages"]] == [
        "¡Hola!",
        "¿En qué puedo ayudar?",
    ]


async def test_who_opted_out_is_let_in_and_the_thread_says_by_whom(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        await engine.answer()
        await engine.store.write(lambda tx: accept_opt_out(tx.connection, "main", str(ANA), tx.now))
    words = ("conversations", "opt-in", str(ANA), "--by", "ana", "--because", "pidió volver")

    before = (await shown(run, "conversations", "show", str(ANA))).out
    done = await shown(run, *words)
    after = (await shown(run, "conversations", "show", str(ANA))).out
    as_json = (await shown(run, "conversations", "show", str(ANA), "--json")).json
    again = await shown(run, *words)
    nobody = await shown(run, "conversations", "opt-in", "tel:+570", "--because", "x")
    silent = await shown(run, "conversations", "opt-in", str(ANA), "--because", " ")

    assert "opted out     yes: nothing is begun with them" in before
    assert (done.status, done.out) == (0, f"{ANA} may be written to again.\n")
    assert "opted out" not in after
    assert "opted in by ana: pidió volver" in after
    (kept,) = as_json["opt_ins"]
    assert (kept["by"], kept["because"]) == ("ana", "pidió volver")
    assert (again.status, again.err) == (1, f"{ANA} has not opted out\n")
    assert (nobody.status, silent.status) == (1, 2)


async def test_a_customer_of_several_tenants_is_let_in_by_the_one_that_is_named(
    run: Run, desk: Path
) -> None:
    async with closed_later(desk) as engine:

        def leaves(tx: Tx) -> None:
            for tenant in ("main", "acme"):
                accept_opt_out(tx.connection, tenant, str(ANA), tx.now)

        await engine.store.write(leaves)
    words = ("conversations", "opt-in", str(ANA), "--by", "ana", "--because", "pidió volver")

    unclear = await shown(run, *words)
    named = await shown(run, *words, "--tenant", "acme")
    # Now one is left.
    clear = await shown(run, *words)
    again = await shown(run, *words)

    assert unclear.status == 2
    assert "has opted out of several tenants (main, acme)" in unclear.err
    assert (named.status, clear.status) == (0, 0)
    assert (again.status, again.err) == (1, f"{ANA} has not opted out\n")


async def test_what_has_not_been_worked_has_no_story_yet(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        await engine.accept(engine.said("hola", id="SM1"))

    told = (await shown(run, "explain", "SM1")).out

    assert told.endswith("  outcome: open\n\nIts turn has not come yet.\n")


async def test_the_story_of_what_a_person_sent_has_no_event(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        await engine.answer()
        item = await engine.person_writes("Ya le llamo.", (await engine.conversation()).id)

    told = (await shown(run, "explain", item)).out

    assert told.startswith(f"Outbox item {item}, decided by a person\n")
    assert told.endswith('\n    "Ya le llamo."\n')


async def test_a_draft_is_changed_in_the_persons_editor(desk: Path) -> None:
    async with closed_later(desk) as engine:
        await drafted(engine)

    def edit(editor: str, stdin: int) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "router", "drafts", "edit", "draft-1"],
            cwd=desk,
            env={**os.environ, "EDITOR": editor, "VISUAL": ""},
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    ours, theirs = os.openpty()
    try:
        nobody = edit("sed -i s/9/10/", subprocess.DEVNULL)
        broken = edit("false", theirs)
        emptied = edit("truncate -s 0", theirs)
        edited = edit("sed -i s/9/10/", theirs)
    finally:
        os.close(ours)
        os.close(theirs)

    assert (nobody.returncode, nobody.stderr.partition(". ")[0]) == (
        2,
        'no text was given: write --text "…", or set $EDITOR',
    )
    assert broken.returncode == 2
    assert broken.stderr.startswith("false did not end well (")
    assert (emptied.returncode, emptied.stderr.partition(". ")[0]) == (
        2,
        "the text is empty: nothing was sent",
    )
    assert (edited.returncode, edited.stderr) == (0, "")
    async with opened("sqlite", desk) as engine:
        assert await engine.states() == {"Abrimos a las 10.": "waiting"}
