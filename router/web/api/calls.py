"""Telephone calls that are over, and batches of calls."""

from datetime import datetime
from typing import Final, Literal

from pydantic import AwareDatetime, Field

from router.pipeline.people.batches import MOST, Recipient
from router.storage.batches import find_batch, list_batches
from router.storage.calls import list_calls, show_call
from router.web.api.call import Call
from router.web.api.endpoints import Routes
from router.web.api.models import CallBatch, Output, Page, PhoneCall, Signed, WholePhoneCall
from router.web.api.pages import Order, PageQuery, page

routes: Final = Routes("calls", "Telephone calls that are over, and batches of calls.")

_CALLS: Final = Order("calls", (datetime, str), lambda it: (it.at, it.id))
_BATCHES: Final = Order("call-batches", (datetime, str), lambda it: (it.created_at, it.id))


class CallQuery(PageQuery):
    """Which calls."""

    status: list[Literal["done", "failed"]] = Field(
        [], description="Only of these; `failed`: nobody was reached. May be repeated."
    )
    batch: str | None = Field(None, description="Only of this batch, by the provider's id of it.")
    conversation: str | None = Field(None, description="Only of this conversation, by its id.")


class SubmitBatch(Signed):
    """Whom to call, and when."""

    name: str = Field("", max_length=120, description="What the batch is called.")
    recipients: list[Recipient] = Field(
        min_length=1, max_length=MOST, description="Whom to call; nobody twice."
    )
    at: AwareDatetime | None = Field(None, description="When it begins. Default: at once.")
    through: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="The action that makes the calls. Default: the only one there is.",
    )
    again: bool = Field(
        False, description="Also if the very same batch was submitted in the last 24 hours."
    )


class OneBatch(Output):
    """A batch after something was done."""

    batch: CallBatch


class EndedBatch(OneBatch):
    """A batch that is being ended."""

    item: str | None = Field(
        description="The outbox item that ends it at the provider; null for a batch that was "
        "withdrawn before it left."
    )


@routes.get("/calls")
async def list_of_calls(call: Call, query: CallQuery) -> Page[PhoneCall]:
    """List calls that are over, the newest first."""
    return await page(
        call,
        query,
        _CALLS,
        PhoneCall,
        lambda it, before, limit: list_calls(
            it,
            call.tenant,
            statuses=query.status,
            batch=query.batch,
            conversation=query.conversation,
            before=before,
            limit=limit,
        ),
    )


@routes.get("/calls/{id}")
async def get_call(call: Call, id: str) -> WholePhoneCall:
    """Give one call, by the provider's id of it, and what was said in it."""
    return WholePhoneCall.model_validate(await call.read(lambda it: show_call(it, call.tenant, id)))


@routes.get("/call-batches")
async def list_of_call_batches(call: Call, query: PageQuery) -> Page[CallBatch]:
    """List batches of calls, the newest first."""
    actions = list(call.host.surroundings.dialers())
    return await page(
        call,
        query,
        _BATCHES,
        CallBatch,
        lambda it, before, limit: list_batches(
            it, call.tenant, actions, before=before, limit=limit
        ),
    )


@routes.get("/call-batches/{id}")
async def get_call_batch(call: Call, id: str) -> CallBatch:
    """Give one batch of calls, by its id or by the provider's."""
    actions = list(call.host.surroundings.dialers())
    view = await call.read(lambda it: find_batch(it, call.tenant, id, actions))
    return CallBatch.model_validate(view)


@routes.post("/call-batches", status=202)
async def submit_call_batch(call: Call, body: SubmitBatch) -> OneBatch:
    """Submit a batch of calls. It leaves through the outbox, once.

    Where nobody knows whether the provider took it, it is looked for there and not begun again. The
    very same batch (people, variables, name and moment) within 24 hours is refused with 409, so
    that a request which was lost calls nobody twice; `again` says that it is meant.
    """
    given = body.model_dump(exclude={"by"})
    done = await call.act("calls.submit", by=call.by(body), **given)
    return OneBatch.model_validate(done)


@routes.post("/call-batches/{id}/cancel", status=202)
async def cancel_call_batch(call: Call, id: str, body: Signed) -> EndedBatch:
    """Cancel a batch: who was not called yet is not called.

    One that has not left is withdrawn; one that the provider has is ended there. Asked for again,
    it is the same.
    """
    done = await call.act("calls.cancel", id=id, by=call.by(body))
    return EndedBatch.model_validate(done)
