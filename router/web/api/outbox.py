"""The outbox: what was decided to leave, and how far it got."""

from datetime import datetime
from typing import Final

from pydantic import Field

from router.domain.outbox import ItemKind, ItemState
from router.storage.outbox import Verdict, list_items, show_item
from router.web.api.call import Call
from router.web.api.endpoints import Routes
from router.web.api.models import OutboxItem, Output, Page, Signed
from router.web.api.pages import Order, PageQuery, page

routes: Final = Routes("outbox", "What was decided to leave, and how far it got.")

_NEWEST: Final = Order("outbox", (datetime, str), lambda it: (it.created_at, it.id))


class OutboxQuery(PageQuery):
    """Which items."""

    state: list[ItemState] = Field([], description="Only of these; may be repeated.")
    kind: list[ItemKind] = Field([], description="Only of these; may be repeated.")
    conversation: str | None = Field(None, description="Only of this conversation, by its id.")


class Resolve(Signed):
    """A person's word about an item that did not end well."""

    verdict: Verdict = Field(
        description="`sent`: it is done. `resend`: it waits again; a message that was unknown "
        "and no person wrote is withdrawn if somebody has taken the conversation over. `drop`: it "
        "does not leave."
    )


class OneItem(Output):
    """An outbox item after something was done."""

    item: OutboxItem


@routes.get("/outbox")
async def list_of_outbox(call: Call, query: OutboxQuery) -> Page[OutboxItem]:
    """List outbox items, the newest first."""
    return await page(
        call,
        query,
        _NEWEST,
        OutboxItem,
        lambda it, before, limit: list_items(
            it,
            call.tenant,
            states=query.state,
            kinds=query.kind,
            conversation=query.conversation,
            before=before,
            limit=limit,
        ),
    )


@routes.get("/outbox/{id}")
async def get_outbox_item(call: Call, id: str) -> OutboxItem:
    """Give one outbox item."""
    return OutboxItem.model_validate(await call.read(lambda it: show_item(it, call.tenant, id)))


@routes.post("/outbox/{id}/resolve")
async def resolve_outbox_item(call: Call, id: str, body: Resolve) -> OneItem:
    """Say what became of an item of which nobody knows whether it was sent, or of a dead one."""
    done = await call.act("outbox.resolve", id=id, by=call.by(body), verdict=body.verdict)
    return OneItem.model_validate(done)
