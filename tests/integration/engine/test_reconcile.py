"""What became of a message of which nobody knows: asked, believed, or left to people."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from router import plugin
from router.domain.outbox import ItemState
from router.errors import Unavailable
from router.pipeline.people import acts
from router.pipeline.people.surroundings import Configured
from router.storage.outbox import retry_item
from router.storage.reconciliation import message_item, send_again
from router.storage.tables import message, outbox, ticket
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import Pipeline, running

TABLES = """
[queues.default]
title = "Todos"
notify = ["pager"]
"""

#: Minutes pass second by second.
pytestmark = pytest.mark.timeout(240)

LOST = plugin.OutcomeUnknown("it timed out")


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """A pipeline whose channels can be asked what they sent, and list everything."""
    async with running(request.param, tmp_path, tables=TABLES) as pipeline:
        for channel in ("phone", "patient"):
            pipeline.can(channel, find_sent=True, complete_listing=True)
        yield pipeline


async def lose(
    pipeline: Pipeline, *, error: Exception = LOST, channel: str = "phone", times: int = 1
) -> str:
    """Let an answer be sent whose outcome nobody knows; give its id."""
    pipeline.provider.script = [error] * times
    await pipeline.engine.accept(pipeline.engine.said("horario", channel=channel))
    await pipeline.settle()
    row = await sent_row(pipeline)
    assert row.state == "unknown"
    name: str = row.id
    return name


async def sent_row(pipeline: Pipeline) -> Any:
    rows = await pipeline.engine.rows(outbox, kind="message")
    return min(rows, key=lambda row: row.seq)


async def looks(pipeline: Pipeline) -> list[Any]:
    return await pipeline.engine.rows(outbox, kind="reconcile")


async def pass_seconds(pipeline: Pipeline, seconds: int) -> None:
    """Let time pass second by second, so that everything is done when it falls due."""
    for _ in range(seconds):
        await pipeline.pass_time(1)


# Found ────────────────────────────────────────────────────────────────────────────────────────


async def test_what_the_provider_has_is_done_under_its_id_within_seconds(
    pipeline: Pipeline,
) -> None:
    pipeline.provider.listing = [["SM1"]]
    name = await lose(pipeline)
    began = (await sent_row(pipeline)).started_at

    await pipeline.pass_time(5)

    row = await sent_row(pipeline)
    assert (row.state, row.provider_ref, row.attempt, row.error) == ("done", "SM1", 1, None)
    (line,) = await pipeline.engine.rows(message, id=name)
    assert (line.status, line.provider_id) == ("sent", "SM1")
    assert pipeline.provider.looked == [(name, began)]
    assert await pipeline.engine.rows(ticket) == []
    (look,) = await looks(pipeline)
    assert (look.state, look.error) == ("done", "the provider has it")
    assert (look.decided_lane, look.decided_seq) == (row.decided_lane, row.decided_seq)


async def test_what_waited_behind_it_leaves_then(pipeline: Pipeline) -> None:
    pipeline.provider.listing = [["SM1"]]
    await lose(pipeline)
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()
    assert len(pipeline.texts()) == 1

    await pipeline.pass_time(5)

    assert len(pipeline.texts()) == 2


async def test_a_report_that_came_before_its_id_was_known_is_taken_up(pipeline: Pipeline) -> None:
    pipeline.provider.listing = [["SM1"]]
    name = await lose(pipeline)
    await pipeline.engine.accept(pipeline.engine.reported("SM1", "delivered"))

    await pipeline.pass_time(5)

    (line,) = await pipeline.engine.rows(message, id=name)
    assert line.status == "delivered"


async def test_an_id_that_another_of_our_messages_holds_does_not_count(pipeline: Pipeline) -> None:
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()
    first = await sent_row(pipeline)
    pipeline.provider.script = [LOST]
    pipeline.provider.listing = [[first.provider_ref], [first.provider_ref, "SM2"]]
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()

    await pass_seconds(pipeline, 5)
    second = max(await pipeline.engine.rows(outbox, kind="message"), key=lambda row: row.seq)
    assert second.state == "unknown"
    await pass_seconds(pipeline, 56)

    second = max(await pipeline.engine.rows(outbox, kind="message"), key=lambda row: row.seq)
    assert (second.state, second.provider_ref) == ("done", "SM2")


# Absent ───────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_missing_twice_from_a_complete_listing_is_sent_again(
    pipeline: Pipeline,
) -> None:
    await lose(pipeline)

    await pass_seconds(pipeline, 89)
    row = await sent_row(pipeline)
    assert (row.state, row.attempt) == ("unknown", 1)
    await pass_seconds(pipeline, 1)

    row = await sent_row(pipeline)
    assert (row.state, row.attempt) == ("done", 2)
    began = pipeline.provider.looked[0][1]
    asked = [since for _, since in pipeline.provider.looked]
    assert asked == [began] * 3  # after 5, 60 and 90 seconds
    (look,) = await looks(pipeline)
    assert look.error == "the provider does not have it: it was not sent, and is sent now"
    assert await pipeline.engine.rows(ticket) == []


@pytest.mark.parametrize("second", [6, 61, 89])
async def test_what_turns_up_late_is_believed(pipeline: Pipeline, second: int) -> None:
    await lose(pipeline)
    for passed in range(1, 120):
        if passed == second:
            pipeline.provider.listing = [["SM1"]] * 9
        await pipeline.pass_time(1)

    row = await sent_row(pipeline)
    assert (row.state, row.provider_ref, row.attempt) == ("done", "SM1", 1)


async def test_absence_is_not_believed_of_a_listing_that_may_be_incomplete(
    pipeline: Pipeline,
) -> None:
    pipeline.can("phone", complete_listing=False)
    await lose(pipeline)
    await pass_seconds(pipeline, 89)
    assert await pipeline.engine.rows(ticket) == []

    await pass_seconds(pipeline, 1)
    await pipeline.pass_time(3600)

    assert (await sent_row(pipeline)).state == "unknown"
    assert len(pipeline.texts()) == 1
    (row,) = await pipeline.engine.rows(ticket)
    assert row.title == "No se sabe si se envió: De 8 a 18."
    (call,) = pipeline.provider.done
    assert call.because == (
        "nobody knows whether it was sent: the provider does not list it, and its listing need "
        "not be complete"
    )


async def test_who_prefers_a_double_to_a_silence_sends_again_what_nobody_can_prove(
    pipeline: Pipeline,
) -> None:
    pipeline.can("patient", complete_listing=False)
    await lose(pipeline, channel="patient")
    await pass_seconds(pipeline, 89)
    assert (await sent_row(pipeline)).attempt == 1

    await pass_seconds(pipeline, 1)

    row = await sent_row(pipeline)
    assert (row.state, row.attempt) == ("done", 2)


async def test_nothing_is_sent_again_for_ever(pipeline: Pipeline) -> None:
    pipeline.can("patient", complete_listing=False)
    await lose(pipeline, channel="patient", times=9)

    for _ in range(80):
        await pipeline.pass_time(5)

    row = await sent_row(pipeline)
    assert (row.state, row.attempt) == ("unknown", 3)
    assert len(await pipeline.engine.rows(ticket)) == 1


async def test_an_earlier_attempt_that_turns_up_counts_for_the_message(pipeline: Pipeline) -> None:
    name = await lose(pipeline, times=2)
    await pass_seconds(pipeline, 90)
    row = await sent_row(pipeline)
    assert (row.state, row.attempt) == ("unknown", 2)

    await pass_seconds(pipeline, 5)

    assert pipeline.provider.looked[-1] == (name, row.created_at)


# Not to be asked ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "listing",
    [
        [plugin.Refused("no such key")],
        [plugin.Unavailable("busy")] * 1000,
        [plugin.OutcomeUnknown("half a page")] * 1000,
        [ZeroDivisionError()] * 1000,
    ],
)
async def test_a_provider_that_does_not_tell_leaves_it_to_people(
    pipeline: Pipeline, listing: Sequence[Exception]
) -> None:
    await lose(pipeline)
    pipeline.provider.listing = list(listing)

    for _ in range(70):
        await pipeline.pass_time(10)

    assert (await sent_row(pipeline)).state == "unknown"
    assert len(await pipeline.engine.rows(ticket)) == 1
    assert len(pipeline.texts()) == 1
    (look,) = await looks(pipeline)
    assert look.state == "done"


async def test_a_provider_that_is_away_for_a_while_is_asked_later(pipeline: Pipeline) -> None:
    await lose(pipeline)
    pipeline.provider.listing = [*[plugin.Unavailable("busy")] * 3, ["SM1"]]

    await pass_seconds(pipeline, 90)

    assert (await sent_row(pipeline)).state == "done"


async def test_a_provider_that_is_away_is_asked_again_within_the_time_that_it_has_to_list(
    pipeline: Pipeline,
) -> None:
    pipeline.provider.listing = [*[plugin.Unavailable("busy")] * 8, ["SM1"]]
    await lose(pipeline)

    # Distances that doubled to the end would take 510 s, or 408 s if all of them came out short.
    for _ in range(40):
        await pipeline.pass_time(10)

    assert (await sent_row(pipeline)).state == "done"


async def test_a_channel_that_cannot_be_asked_waits_for_a_proof_before_it_resends(
    pipeline: Pipeline,
) -> None:
    pipeline.can("patient", find_sent=False, complete_listing=False)
    await lose(pipeline, channel="patient")

    await pass_seconds(pipeline, 59)
    assert (await sent_row(pipeline)).attempt == 1
    await pass_seconds(pipeline, 1)

    assert (await sent_row(pipeline)).attempt == 2
    assert pipeline.provider.looked == []


async def test_a_channel_that_ignores_repeats_simply_tries_again(pipeline: Pipeline) -> None:
    pipeline.can("phone", idempotent_send=True)
    pipeline.provider.script = [LOST]
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()
    await pipeline.pass_time(3)

    row = await sent_row(pipeline)
    assert (row.state, row.attempt) == ("done", 2)
    assert await looks(pipeline) == []


# Proved in another way ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["item", "echo", "person", "drop"])
async def test_whoever_knows_earlier_is_believed_and_nobody_asks_any_more(
    pipeline: Pipeline, way: str
) -> None:
    engine = pipeline.engine
    name = await lose(pipeline)
    if way == "item":
        await engine.accept(engine.reported("SM1", "delivered", item=name))
    elif way == "echo":
        await engine.accept(engine.echoed("De 8 a 18."))
    else:
        verdict = "sent" if way == "person" else "drop"
        around = Configured(lambda: pipeline.configuration)
        given = {"id": name, "verdict": verdict, "by": "eva"}
        await acts.perform(engine.store, "outbox.resolve", given, around)

    await pass_seconds(pipeline, 120)

    row = await sent_row(pipeline)
    assert (row.state, row.attempt) == ("withdrawn" if way == "drop" else "done", 1)
    assert pipeline.provider.looked == []
    (look,) = await looks(pipeline)
    assert (look.state, look.error) == ("done", "it was settled without asking")


# Crashes ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_crash_between_the_start_and_the_result_takes_the_same_way(
    pipeline: Pipeline,
) -> None:
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.think()
    item = await pipeline.engine.claim_item()
    assert await pipeline.engine.store.start_attempt(item)
    began = pipeline.engine.clock.now()
    pipeline.engine.clock.advance(3600)
    await pipeline.crash()
    pipeline.provider.listing = [["SM1"]]

    await pipeline.settle()
    assert (await sent_row(pipeline)).state == "unknown"
    await pipeline.pass_time(5)

    assert (await sent_row(pipeline)).state == "done"
    assert pipeline.provider.looked == [(item.id, began)]


@pytest.mark.parametrize("second", [1, 30, 61, 75])
async def test_a_look_survives_crashes(pipeline: Pipeline, second: int) -> None:
    await lose(pipeline)
    for passed in range(1, 91):
        await pipeline.pass_time(1)
        if passed == second:
            await pipeline.crash()

    row = await sent_row(pipeline)
    assert (row.state, row.attempt) == ("done", 2)


async def test_a_look_that_a_crash_interrupted_is_made_again(pipeline: Pipeline) -> None:
    await lose(pipeline)
    pipeline.engine.clock.advance(5)
    look = await pipeline.engine.claim_item("job")
    assert await pipeline.engine.store.start_attempt(look)
    await pipeline.crash()
    pipeline.provider.listing = [["SM1"]]

    await pipeline.settle()

    assert (await sent_row(pipeline)).state == "done"


# People ───────────────────────────────────────────────────────────────────────────────────────


async def test_what_was_not_sent_is_withdrawn_if_a_person_has_taken_over(
    pipeline: Pipeline,
) -> None:
    await lose(pipeline)
    await pipeline.engine.accept(pipeline.engine.echoed("Le llamo yo."))
    await pass_seconds(pipeline, 120)

    row = await sent_row(pipeline)
    assert (row.state, row.attempt) == ("withdrawn", 1)


async def test_what_was_not_sent_is_withdrawn_if_a_person_has_written_since(
    pipeline: Pipeline,
) -> None:
    await lose(pipeline)
    thread = (await pipeline.engine.conversation()).id
    await pipeline.engine.person_writes("Abrimos a las 9.", thread)
    await pipeline.settle()
    await pass_seconds(pipeline, 120)

    row = await sent_row(pipeline)
    assert (row.state, row.error) == ("withdrawn", "a person wrote before it was sent")
    (line,) = await pipeline.engine.rows(message, id=row.id)
    assert line.status == "withdrawn"
    assert pipeline.texts()[1:] == ["Abrimos a las 9."]


async def test_it_is_withdrawn_as_well_while_the_persons_word_is_in_hand(
    pipeline: Pipeline,
) -> None:
    engine, name = pipeline.engine, await lose(pipeline)
    await engine.person_writes("Abrimos a las 9.", (await engine.conversation()).id)
    (item,) = await engine.claim_items()
    about = await engine.store.read(lambda it: message_item(it, "main", name))
    assert about is not None

    await engine.store.write(
        lambda tx: send_again(tx.connection, about, "absent", tx.now, proved=True)
    )
    await pipeline.do(item)
    await pipeline.settle()

    assert pipeline.texts()[1:] == ["Abrimos a las 9."]
    assert await engine.state(name) == "withdrawn"


async def test_what_no_person_wrote_after_is_sent_again(pipeline: Pipeline) -> None:
    """A person whose message was refused has said nothing to the customer."""
    engine, name = pipeline.engine, await lose(pipeline)
    pipeline.provider.script = [plugin.Refused("no")]
    await engine.person_writes("Abrimos a las 9.", (await engine.conversation()).id)
    await pipeline.settle()
    await pass_seconds(pipeline, 120)

    assert await engine.state(name) == "done"


async def test_what_may_have_left_is_not_sent_again_after_a_person_wrote(
    pipeline: Pipeline,
) -> None:
    pipeline.can("patient", find_sent=True, complete_listing=False)
    name = await lose(pipeline, channel="patient")
    thread = (await pipeline.engine.conversation()).id
    await pipeline.engine.person_writes("Abrimos a las 9.", thread)
    await pipeline.settle()
    await pass_seconds(pipeline, 120)

    assert await pipeline.engine.state(name) == "unknown"
    assert len(await pipeline.engine.rows(ticket)) == 1
    assert pipeline.texts()[1:] == ["Abrimos a las 9."]


async def resend(pipeline: Pipeline, name: str) -> None:
    around = Configured(lambda: pipeline.configuration)
    given = {"id": name, "verdict": "resend", "by": "eva"}
    await acts.perform(pipeline.engine.store, "outbox.resolve", given, around)


async def test_what_was_missing_says_nothing_of_an_attempt_that_began_since(
    pipeline: Pipeline,
) -> None:
    """The listing that counts is asked for anew, a minute after the attempt of a person."""
    name = await lose(pipeline)
    await pass_seconds(pipeline, 70)
    pipeline.provider.script = [LOST]
    await resend(pipeline, name)
    await pipeline.settle()

    await pass_seconds(pipeline, 89)
    row = await sent_row(pipeline)
    assert (row.state, row.attempt, len(pipeline.texts())) == ("unknown", 2, 2)
    assert sorted(look.error for look in await looks(pipeline)) == [
        "it was tried again meanwhile",
        "the provider does not list it yet",
    ]
    await pass_seconds(pipeline, 1)

    row = await sent_row(pipeline)
    assert (row.state, row.attempt, len(pipeline.texts())) == ("done", 3, 3)
    assert await pipeline.engine.rows(ticket) == []


@pytest.mark.parametrize("error", [None, plugin.Refused("no such key")])
async def test_an_answer_about_an_attempt_that_is_no_longer_the_last_decides_nothing(
    pipeline: Pipeline, error: Exception | None
) -> None:
    name = await lose(pipeline)
    await pass_seconds(pipeline, 89)
    pipeline.provider.script = [LOST]

    async def tried_while_asking() -> Sequence[str]:
        await resend(pipeline, name)
        await pipeline.act("out")
        if error is not None:
            raise error
        return ()

    pipeline.provider.listing = [tried_while_asking]
    await pass_seconds(pipeline, 1)

    row = await sent_row(pipeline)
    assert (row.state, row.attempt, len(pipeline.texts())) == ("unknown", 2, 2)
    assert await pipeline.engine.rows(ticket) == []
    first, second = sorted(await looks(pipeline), key=lambda look: look.created_at)
    assert (first.state, second.state) == ("done", "waiting")


async def test_two_of_a_kind_share_what_is_found(pipeline: Pipeline) -> None:
    """One of two equal messages was taken: one is done, and the other is sent once more."""
    engine = pipeline.engine
    await lose(pipeline)
    thread = (await engine.conversation()).id
    theirs = await engine.person_writes("De 8 a 18.", thread)
    pipeline.provider.script = [LOST]
    await pipeline.settle()
    assert await engine.state(theirs) == "unknown"
    pipeline.provider.listing = [["SM1"]] * 100

    for _ in range(30):
        await pipeline.pass_time(5)

    rows = await engine.rows(outbox, kind="message")
    assert sorted((row.state, row.attempt) for row in rows) == [("done", 1), ("done", 2)]
    assert len({row.provider_ref for row in rows}) == 2


# Actions ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("idempotent", "harmless", "failures", "runs", "state"),
    [
        (False, False, 1, 1, ItemState.UNKNOWN),
        (True, False, 4, 5, ItemState.DONE),
        (False, True, 1, 2, ItemState.DONE),
        (False, True, 2, 3, ItemState.DONE),
        (False, True, 3, 3, ItemState.UNKNOWN),
    ],
)
async def test_an_action_of_which_nobody_knows_is_run_again_as_it_declares(
    pipeline: Pipeline,
    *,
    idempotent: bool,
    harmless: bool,
    failures: int,
    runs: int,
    state: ItemState,
) -> None:
    action = pipeline.configuration.instances.actions["pager"].plugin
    action.idempotent, action.repeat_is_harmless = idempotent, harmless
    pipeline.provider.scripts["pager"] = [LOST] * failures
    await pipeline.engine.accept(pipeline.engine.said("abogado"))
    await pipeline.think()
    await pipeline.act("job")
    for _ in range(20):
        await pipeline.pass_time(60)

    (row,) = await pipeline.engine.rows(outbox, kind="action", destination="pager")
    assert (row.state, row.attempt) == (state, runs)
    calls = [call for call in pipeline.provider.done if call.id == row.id]
    assert [call.attempt for call in calls] == list(range(1, runs + 1))
    if state is ItemState.DONE:
        times = "once" if failures == 1 else f"{failures} times"
        why = "under the same id" if idempotent else "because a repeat is harmless"
        assert row.error == (f"nobody knew whether it was done, so it was run again {times}, {why}")


async def test_an_action_given_up_in_doubt_says_so_when_a_person_has_it_tried_again(
    pipeline: Pipeline,
) -> None:
    pipeline.configuration.instances.actions["pager"].plugin.idempotent = True
    pipeline.provider.scripts["pager"] = [*[Unavailable("not now")] * 11, LOST]
    engine = pipeline.engine
    await engine.accept(engine.said("abogado"))
    await pipeline.think()
    await pipeline.act("job")
    for _ in range(24):
        await pipeline.pass_time(600)
    (row,) = await engine.rows(outbox, kind="action", destination="pager")
    assert (row.state, row.attempt) == ("dead", 12)

    await engine.store.write(
        lambda tx: retry_item(tx.connection, row.tenant, row.id, by="Ana", now=tx.now)
    )
    await pipeline.pass_time(1)

    assert [it.unsure for it in pipeline.provider.done if it.id == row.id] == [False] * 12 + [True]
