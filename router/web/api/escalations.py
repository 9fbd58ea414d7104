"""Escalations: calls for a person."""

from datetime import datetime
from typing import Final

from pydantic import Field

from router.storage.escalations import list_escalations, show_escalation
from router.web.api.call import Call
from router.web.api.endpoints import Routes
from router.web.api.models import Escalation, Output, Page, Signed
from router.web.api.pages import Order, PageQuery, page

routes: Final = Routes("escalations", "Calls for a person.")

_NEWEST: Final = Order("escalations", (datetime, str), lambda it: (it.created_at, it.id))


class EscalationQuery(PageQuery):
    """Which escalations."""

    open: bool = Field(False, description="Only those that nobody has acknowledged.")


class OneEscalation(Output):
    """An escalation after something was done."""

    escalation: Escalation


@routes.get("/escalations")
async def list_of_escalations(call: Call, query: EscalationQuery) -> Page[Escalation]:
    """List the calls for a person, the newest first."""
    return await page(
        call,
        query,
        _NEWEST,
        Escalation,
        lambda it, before, limit: list_escalations(
            it, call.tenant, open_only=query.open, before=before, limit=limit
        ),
    )


@routes.get("/escalations/{id}")
async def get_escalation(call: Call, id: str) -> Escalation:
    """Give one call for a person."""
    view = await call.read(lambda it: show_escalation(it, call.tenant, id))
    return Escalation.model_validate(view)


@routes.post("/escalations/{id}/acknowledge")
async def acknowledge_escalation(call: Call, id: str, body: Signed) -> OneEscalation:
    """Note that a person has heard the call."""
    done = await call.act("escalations.ack", id=id, by=call.by(body))
    return OneEscalation.model_validate(done)
