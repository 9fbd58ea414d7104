"""What a person may do with a draft: approve, edit or reject it, once."""

from collections.abc import Mapping

import pytest

from router.storage.tables import draft, message, outbox
from tests.integration.acts.desk import Channels, Desk, drafted
from tests.integration.engine.harness import Engine, ref


async def test_an_approved_draft_leaves_as_a_persons_message(engine: Engine, desk: Desk) -> None:
    thread = await drafted(engine)

    result = await desk.do("drafts.approve", "draft-1")

    (item_id,) = result["items"]
    assert result["draft"]["state"] == "approved"
    (row,) = await engine.rows(draft)
    assert (row.state, row.resolved_by, row.sent_text) == ("approved", "ana", "Abrimos a las 9.")
    (line,) = await engine.rows(message, id=item_id)
    assert (line.author, line.text, line.status) == ("person", "Abrimos a las 9.", "queued")
    assert (line.event_lane, line.event_seq) == ref(1)
    item = await engine.claim_item()
    assert (item.id, item.author, item.conversation, item.decided) == (
        item_id,
        "person",
        thread,
        ref(1),
    )
    assert (await engine.conversation()).epoch == 0


async def test_an_edited_draft_keeps_both_texts(engine: Engine, desk: Desk) -> None:
    await drafted(engine)

    await desk.do("drafts.edit", "draft-1", text="Abrimos a las 10.")

    (row,) = await engine.rows(draft)
    assert (row.state, row.text, row.sent_text) == (
        "edited",
        "Abrimos a las 9.",
        "Abrimos a las 10.",
    )
    assert await engine.states() == {"Abrimos a las 10.": "waiting"}


async def test_an_edit_that_changes_nothing_is_an_approval(engine: Engine, desk: Desk) -> None:
    await drafted(engine)

    result = await desk.do("drafts.edit", "draft-1", text=" Abrimos a las 9. ")

    assert result["draft"]["state"] == "approved"


async def test_a_long_draft_leaves_in_parts(engine: Engine, desk: Desk, channels: Channels) -> None:
    await drafted(engine, "Uno dos. Tres cuatro.")
    channels.longest = 14

    result = await desk.do("drafts.approve", "draft-1")

    assert len(result["items"]) == 2
    assert await engine.states() == {"Uno dos.": "waiting", "Tres cuatro.": "waiting"}


async def test_a_rejected_draft_is_not_sent_and_says_why(engine: Engine, desk: Desk) -> None:
    await drafted(engine)

    await desk.do("drafts.reject", "draft-1", because="old hours")

    (row,) = await engine.rows(draft)
    assert (row.state, row.because) == ("discarded", "low confidence. Rejected: old hours")
    assert await engine.rows(outbox) == []


@pytest.mark.parametrize(
    "act, more",
    [("drafts.approve", {}), ("drafts.edit", {"text": "Otra cosa."}), ("drafts.reject", {})],
)
async def test_a_draft_has_one_word_said_about_it(
    engine: Engine, desk: Desk, act: str, more: Mapping[str, str]
) -> None:
    await drafted(engine)
    await desk.do("drafts.approve", "draft-1")

    refused = await desk.refused(act, "draft-1", **more)

    assert refused == 'draft "draft-1" is approved already, by ana'
    assert len(await engine.rows(outbox)) == 1
