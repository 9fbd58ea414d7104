"""What a person may do with what calls for one: escalations, tickets, pollers that are held."""

from typing import Any, Final

from pydantic import Field

from router.domain.ticket import TicketState
from router.pipeline.people.acts.arguments import Signed, SignedText
from router.pipeline.people.acts.table import Act, Acts
from router.pipeline.people.surroundings import Surroundings
from router.storage import escalations, pollers, tickets
from router.storage.store import Tx
from router.storage.views import as_values


class _TicketState(Signed):
    state: TicketState


class _TicketAssignee(Signed):
    #: ``None``: nobody's.
    assignee: str | None = Field(min_length=1, max_length=100)


def _resume_poller(tx: Tx, given: Signed, around: Surroundings) -> dict[str, Any]:
    """Let a poller go on that a restore had held."""
    return {"poller": as_values(pollers.resume(tx.connection, given.tenant, given.id, tx.now))}


def _acknowledge(tx: Tx, given: Signed, around: Surroundings) -> dict[str, Any]:
    view = escalations.acknowledge(tx.connection, given.tenant, given.id, by=given.by, now=tx.now)
    return {"escalation": as_values(view)}


def _ticket_state(tx: Tx, given: _TicketState, around: Surroundings) -> dict[str, Any]:
    view = tickets.change_state(
        tx.connection, given.tenant, given.id, state=given.state, by=given.by, now=tx.now
    )
    return {"ticket": as_values(view)}


def _ticket_assignee(tx: Tx, given: _TicketAssignee, around: Surroundings) -> dict[str, Any]:
    view = tickets.assign_ticket(
        tx.connection, given.tenant, given.id, assignee=given.assignee, by=given.by, now=tx.now
    )
    return {"ticket": as_values(view)}


def _ticket_note(tx: Tx, given: SignedText, around: Surroundings) -> dict[str, Any]:
    view = tickets.add_note(
        tx.connection, given.tenant, given.id, text=given.text, by=given.by, now=tx.now
    )
    return {"ticket": as_values(view)}


ACTS: Final[Acts] = {
    "escalations.ack": Act(Signed, _acknowledge),
    "tickets.state": Act(_TicketState, _ticket_state),
    "tickets.assign": Act(_TicketAssignee, _ticket_assignee),
    "tickets.note": Act(SignedText, _ticket_note),
    "pollers.resume": Act(Signed, _resume_poller),
}
