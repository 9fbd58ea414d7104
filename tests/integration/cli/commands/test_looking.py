"""The commands that look at a real database: lists, one thing whole, and its story."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from router.domain.outbox import ItemState
from router.storage.tables import outbox
from tests.integration.acts.desk import drafted, stuck, ticketed, unparsed
from tests.integration.cli.commands.shell import Run, closed_later, shown
from tests.integration.engine.harness import ANA, LUIS, ref


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
        (["tickets", "list"], "No ticket is open."),
        (["tickets", "list", "--all"], "There is no ticket."),
        (["tickets", "list", "--state", "closed"], "There is no such ticket."),
        (["tickets", "list", "--queue", "default"], "There is no such ticket."),
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


def test_an_unknown_queue_is_a_mistake(run: Run, desk: Path) -> None:
    with (desk / "router.toml").open("a", encoding="utf-8") as config:
        config.write("[queues.billing]\n[queues.legal]\n")
    run("db", "migrate")

    ran = run("tickets", "list", "--queue", "biling")

    assert ran.status == 2
    assert ran.err.startswith('there is no queue "biling". There are: billing, default, legal. ')
    assert run("tickets", "list", "--queue", "default").status == 0


async def test_a_conversation_is_found_by_the_telephone_number_alone(run: Run, desk: Path) -> None:
    async with closed_later(desk) as engine:
        await drafted(engine)

    shown_by_number = await shown(run, "conversations", "show", ANA.value, "--json")

    assert shown_by_number.json["conversation"]["address"] == str(ANA)


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


# Why it was so ────────────────────────────────────────────────────────────────────────────────


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


@pytest.mark.parametrize("hours, said", [(-1, False), (1, True)])
async def test_a_story_names_the_moment_that_something_waits_for_while_it_is_to_come(
    run: Run, desk: Path, *, hours: int, said: bool
) -> None:
    held = datetime.now(UTC) + timedelta(hours=hours)
    async with closed_later(desk) as engine:
        await engine.answer("hola", "¡Hola!")
        item = (await engine.claim_item()).id
        await engine.store.write(
            lambda tx: tx.connection.execute(sa.update(outbox).values(not_before=held))
        )

    told = (await shown(run, "explain", item)).out

    assert (", not before " in told) is said


@pytest.mark.parametrize("state", [ItemState.DEAD, ItemState.UNKNOWN])
async def test_what_a_person_asked_for_again_waits_for_no_moment(
    run: Run, desk: Path, state: ItemState
) -> None:
    async with closed_later(desk) as engine:
        item = await stuck(engine, state)

    assert (await shown(run, "outbox", "resolve", item, "--resend")).status == 0
    told = (await shown(run, "explain", item)).out

    assert "    waiting, " in told
    assert "not before" not in told
