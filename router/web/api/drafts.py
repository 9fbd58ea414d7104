"""Drafts: texts that wait for a person's word."""

from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from router.storage.drafts import list_drafts, show_draft
from router.web.api.call import Call
from router.web.api.endpoints import Routes
from router.web.api.models import Draft, Output, Page, Signed, Text
from router.web.api.pages import Order, PageQuery, page

routes: Final = Routes("drafts", "Texts that wait for a person's word.")

_NEWEST: Final = Order("drafts", (datetime, str), lambda it: (it.created_at, it.id))


class DraftQuery(PageQuery):
    """Which drafts."""

    state: list[Literal["pending", "approved", "edited", "discarded"]] = Field(
        [], description="Only of these; may be repeated. Default: all."
    )
    conversation: str | None = Field(None, description="Only of this conversation, by its id.")


class Approve(Signed):
    """A word for a draft."""

    text: Text | None = Field(None, description="What to send. Default: the draft as it stands.")


class Reject(Signed):
    """A word against a draft."""

    because: str = Field("", max_length=1000, description="Why, for whoever looks later.")


class DraftSent(Output):
    """A draft that leaves."""

    draft: Draft
    items: list[str] = Field(
        description="Ids of the outbox items that carry the text; a long one takes several."
    )


class OneDraft(Output):
    """A draft after something was done."""

    draft: Draft


@routes.get("/drafts")
async def list_of_drafts(call: Call, query: DraftQuery) -> Page[Draft]:
    """List drafts, the newest first."""
    return await page(
        call,
        query,
        _NEWEST,
        Draft,
        lambda it, before, limit: list_drafts(
            it,
            call.tenant,
            states=query.state,
            conversation=query.conversation,
            before=before,
            limit=limit,
        ),
    )


@routes.get("/drafts/{id}")
async def get_draft(call: Call, id: str) -> Draft:
    """Give one draft."""
    return Draft.model_validate(await call.read(lambda it: show_draft(it, call.tenant, id)))


@routes.post("/drafts/{id}/approve", status=202)
async def approve_draft(call: Call, id: str, body: Approve) -> DraftSent:
    """Send a draft, as it stands or with another text.

    The customer gets it as a person's word; the conversation stays whose it is.
    """
    by = call.by(body)
    if body.text is None:
        done = await call.act("drafts.approve", id=id, by=by)
    else:
        done = await call.act("drafts.edit", id=id, by=by, text=body.text)
    return DraftSent.model_validate(done)


@routes.post("/drafts/{id}/reject")
async def reject_draft(call: Call, id: str, body: Reject) -> OneDraft:
    """Throw a draft away; the customer gets nothing."""
    done = await call.act("drafts.reject", id=id, by=call.by(body), because=body.because)
    return OneDraft.model_validate(done)
