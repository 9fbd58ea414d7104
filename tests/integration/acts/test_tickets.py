"""What a person may do with tickets and escalations."""

from datetime import timedelta
from typing import Any

from router.storage.tables import ticket
from tests.integration.acts.desk import Desk, ticketed
from tests.integration.engine.harness import Engine


async def test_a_ticket_goes_step_by_step_and_may_be_opened_again(
    engine: Engine, desk: Desk
) -> None:
    await ticketed(engine)

    result: dict[str, Any] = {}
    for state in ("IN_PROGRESS", "RESOLVED", "IN_PROGRESS", "CLOSED"):
        result = await desk.do("tickets.state", "1", state=state)
        opened_one = (await engine.conversation()).open_ticket
        assert opened_one == ("ticket-1" if state == "IN_PROGRESS" else None)

    assert [entry["what"] for entry in result["ticket"]["entries"]] == [
        "opened",
        "NEW → IN_PROGRESS",
        "IN_PROGRESS → RESOLVED",
        "RESOLVED → IN_PROGRESS",
        "IN_PROGRESS → CLOSED",
    ]
    refused = await desk.refused("tickets.state", "ticket-1", state="NEW")
    assert refused == "ticket 1 is CLOSED and cannot become NEW"


async def test_a_ticket_cannot_go_back_to_new(engine: Engine, desk: Desk) -> None:
    await ticketed(engine)
    await desk.do("tickets.state", "#1", state="IN_PROGRESS")

    refused = await desk.refused("tickets.state", "1", state="NEW")

    assert refused == (
        "ticket 1 is IN_PROGRESS and cannot become NEW. It may become RESOLVED or CLOSED"
    )


async def test_a_note_is_a_line_of_the_trail(engine: Engine, desk: Desk) -> None:
    await ticketed(engine)
    engine.clock.advance(60)

    result = await desk.do("tickets.note", "1", text="Called, no answer.")

    assert [(it["author"], it["what"]) for it in result["ticket"]["entries"]] == [
        ("rule billing", "opened"),
        ("ana", "Called, no answer."),
    ]
    (row,) = await engine.rows(ticket)
    assert row.updated_at - row.created_at == timedelta(seconds=60)


async def test_a_ticket_is_given_to_somebody_and_taken_back(engine: Engine, desk: Desk) -> None:
    await ticketed(engine)

    given = await desk.do("tickets.assign", "1", assignee="eva")
    again = await desk.refused("tickets.assign", "1", assignee="eva")
    back = await desk.do("tickets.assign", "1", assignee=None)
    nobody = await desk.refused("tickets.assign", "1", assignee=None)
    await desk.do("tickets.state", "1", state="CLOSED")

    assert given["ticket"]["assignee"] == "eva"
    assert back["ticket"]["assignee"] is None
    assert (again, nobody) == ("ticket 1 is eva's already", "ticket 1 is nobody's already")
    assert await desk.refused("tickets.assign", "1", assignee="luis") == ("ticket 1 is closed")


async def test_a_call_is_heard_once(engine: Engine, desk: Desk) -> None:
    await ticketed(engine)

    result = await desk.do("escalations.ack", "escalation-1")

    assert result["escalation"]["acknowledged_by"] == "ana"
    assert await desk.refused("escalations.ack", "escalation-1") == (
        'escalation "escalation-1" is acknowledged already, by ana'
    )
