"""The commands that tell how a router is doing, and how its polling has been going."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from router.pipeline.people.control import commands, serve, socket_path
from router.plugin.testing import RecordingLog
from router.storage.pollers import PollerKey, Taken, hold_all, keep, keep_failure, prepare, take
from router.storage.store import Tx
from tests.integration.acts.desk import Channels, drafted, ticketed, unparsed
from tests.integration.cli.commands.shell import Run, closed_later, shown
from tests.integration.engine.harness import opened


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
