"""Tickets: what people of the business have to do."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import Field

from router.domain.ticket import TicketState
from router.pipeline.people.acts import bound
from router.storage.store import Tx
from router.storage.tickets import list_tickets, show_ticket
from router.storage.views import as_values
from router.web.api.call import Call
from router.web.api.endpoints import Routes
from router.web.api.models import Name, Output, Page, Signed, Text, Ticket
from router.web.api.pages import Order, PageQuery, page

routes: Final = Routes("tickets", "What people of the business have to do.")

_TOUCHED: Final = Order("tickets", (datetime, int), lambda it: (it.updated_at, it.number))


class TicketQuery(PageQuery):
    """Which tickets."""

    state: list[TicketState] = Field([], description="Only of these; may be repeated.")
    queue: str | None = Field(None, description="Only of this queue.")
    conversation: str | None = Field(None, description="Only of this conversation, by its id.")


class TicketChange(Signed):
    """What is to be different; what is not named stays."""

    state: TicketState | None = Field(
        None, description="A step further; a resolved ticket may be opened again."
    )
    assignee: Name | None = Field(None, description="Who has it; null: nobody.")


class Note(Signed):
    """A line for a ticket's trail."""

    text: Text


class OneTicket(Output):
    """A ticket after something was done."""

    ticket: Ticket


@routes.get("/tickets")
async def list_of_tickets(call: Call, query: TicketQuery) -> Page[Ticket]:
    """List tickets, the last touched first.

    One that is touched while you read goes to the front; begin again to see it there.
    """
    return await page(
        call,
        query,
        _TOUCHED,
        Ticket,
        lambda it, before, limit: list_tickets(
            it,
            call.tenant,
            states=query.state,
            queue=query.queue,
            conversation=query.conversation,
            before=before,
            limit=limit,
        ),
    )


@routes.get("/tickets/{id}")
async def get_ticket(call: Call, id: str) -> Ticket:
    """Give one ticket with its trail, by its number or its id."""
    return Ticket.model_validate(await call.read(lambda it: show_ticket(it, call.tenant, id)))


@routes.patch("/tickets/{id}")
async def change_ticket(call: Call, id: str, body: TicketChange) -> OneTicket:
    """Take a ticket a step further, give it to somebody, or both."""
    given = {"tenant": call.tenant, "id": id, "by": call.by(body)}
    around = call.host.surroundings
    doing = []
    if "assignee" in body.model_fields_set:
        doing.append(bound("tickets.assign", {**given, "assignee": body.assignee}, around))
    if body.state is not None:
        doing.append(bound("tickets.state", {**given, "state": body.state}, around))

    def change(tx: Tx) -> Mapping[str, Any]:
        for act in doing:
            act(tx)
        return {"ticket": as_values(show_ticket(tx.connection, call.tenant, id))}

    return OneTicket.model_validate(await call.write(change))


@routes.post("/tickets/{id}/notes")
async def add_note(call: Call, id: str, body: Note) -> OneTicket:
    """Add a line to a ticket's trail."""
    done = await call.act("tickets.note", id=id, by=call.by(body), text=body.text)
    return OneTicket.model_validate(done)
