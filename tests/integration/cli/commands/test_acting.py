"""The commands that act on a real database: alone, and beside a process that has it open."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from router.domain.outbox import ItemState
from router.pipeline.people.control import commands, serve, socket_path
from router.plugin.testing import RecordingLog
from router.storage.refusals import accept_opt_out
from router.storage.store import Commit, Tx
from router.storage.tables import outbox
from tests.integration.acts.desk import Channels, drafted, stuck, ticketed, unparsed
from tests.integration.cli.commands.shell import Run, closed_later, shown
from tests.integration.engine.harness import ANA, LUIS, opened, ref


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
        (["tickets", "note", "#1", "Called."], "Ticket 1 has your note."),
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

    assert retried.out == f"{ref(1)} is tried again as {ref(2)}\n"
    assert again.status == 1
    assert again.err.startswith(f'event "{ref(1)}" was tried again as {ref(2)}')
    assert waiting.err == (
        f'event "{ref(2)}" still waits for its turn. Only a dead or an unparsed event can be '
        "retried\n"
    )


@pytest.mark.parametrize("more", [(), (str(ref(1)), "--restored")])
async def test_which_events_are_meant_has_to_be_said(
    run: Run, desk: Path, more: tuple[str, ...]
) -> None:
    wrong = await shown(run, "events", "retry", *more)

    assert wrong.status == 2
    assert "name the events, or say --restored for all that a restore held back" in wrong.err


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
    assert retried.out == f"{ref(1)} is tried again as {ref(2)}\n"


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
