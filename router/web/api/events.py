"""Events: what came in or fell due, what was decided about it, and why."""

from datetime import datetime
from typing import Any, Final

from pydantic import Field

from router.errors import NotFound
from router.storage.events import EventView, list_events, show_event
from router.storage.store import EventRef
from router.storage.stories import story
from router.web.api.call import Call
from router.web.api.endpoints import Routes
from router.web.api.models import (
    Decision,
    Event,
    Input,
    Name,
    OutboxItem,
    Output,
    Page,
    Signed,
    Text,
    WholeEvent,
)
from router.web.api.pages import Order, PageQuery, page

routes: Final = Routes("events", "What came in or fell due, what was decided about it, and why.")


def _place(view: EventView) -> tuple[Any, ...]:
    return (view.received_at, view.event.lane, view.event.seq)


_NEWEST: Final = Order("events", (datetime, str, int), _place)


class EventQuery(PageQuery):
    """Which events."""

    kind: list[str] = Field([], description="Only of these, such as `message`; may be repeated.")
    outcome: list[str] = Field([], description="Only with these outcomes; may be repeated.")
    dead: bool = Field(False, description="Only those given up, neither tried again nor discarded.")
    open: bool = Field(False, description="Only those without an outcome.")
    conversation: str | None = Field(None, description="Only of this conversation, by its id.")


class ExplainQuery(Input):
    """What is to be explained."""

    id: Name = Field(
        max_length=600,
        description="An event (`lane#number`), an outbox item's id, or a provider's id of a "
        "message.",
    )


class Explanation(Output):
    """What came, what was decided and why, and what left."""

    item: OutboxItem | None = Field(description="The outbox item, where the id is one's.")
    event: Event | None
    decided_with: Event | None = Field(description="The later event whose decision settled it.")
    decision: Decision | None
    trace: dict[str, Any] | None = Field(
        description="Every rule that was read and what stopped it, each guardrail, the model's "
        "answer; its form may change with the version."
    )
    items: list[OutboxItem] = Field(description="What the decision queued, in order.")


class Retried(Output):
    """An event that was put in again."""

    event: str
    entered_as: list[str] = Field(
        validation_alias="as", description="The events that it is now; one unless it was unparsed."
    )
    known: list[str] = Field(description="Those of them that were there before.")


class Discard(Signed):
    """Why an event is discarded."""

    because: Text = Field(max_length=500, description="Why, for whoever looks later. Is kept.")


class OneEvent(Output):
    """An event as it stands now."""

    event: Event


def _ref(name: str) -> EventRef:
    try:
        return EventRef.from_text(name)
    except ValueError:
        raise NotFound(f'there is no event "{name}"') from None


@routes.get("/events")
async def list_of_events(call: Call, query: EventQuery) -> Page[Event]:
    """List events, the newest first."""
    return await page(
        call,
        query,
        _NEWEST,
        Event,
        lambda it, before, limit: list_events(
            it,
            call.tenant,
            kinds=query.kind,
            outcomes=query.outcome,
            dead=query.dead,
            open_only=query.open,
            conversation=query.conversation,
            before=before,
            limit=limit,
        ),
    )


@routes.get("/explain")
async def explain(call: Call, query: ExplainQuery) -> Explanation:
    """Say why something was answered as it was: everything that is known about it."""
    told = await call.read(lambda it: story(it, call.tenant, query.id))
    return Explanation.model_validate(told)


# Before the next one, which would take its path for an event's name.
@routes.post("/events/{event:path}/retry", status=202)
async def retry_event(call: Call, event: str, body: Signed) -> Retried:
    """Put a dead letter in again, or read a request again that could not be read."""
    done = await call.act("events.retry", id=str(_ref(event)), by=call.by(body))
    return Retried.model_validate(done)


@routes.post("/events/{event:path}/discard")
async def discard_event(call: Call, event: str, body: Discard) -> OneEvent:
    """Discard a dead letter, or a request that could not be read, whose content goes for good.

    That it came, who discarded it and why stays. One that is discarded already stays as it is.
    """
    done = await call.act(
        "events.discard", id=str(_ref(event)), by=call.by(body), because=body.because
    )
    return OneEvent.model_validate(done)


@routes.get("/events/{event:path}")
async def get_event(call: Call, event: str) -> WholeEvent:
    """Give one event with everything that the channel or the router knew.

    Its name holds `/`, `:`, `+` and `#`; write them as `%2F`, `%3A`, `%2B` and `%23`. The headers
    of a request that could not be read stay here: a secret may be among them.
    """
    view = await call.read(lambda it: show_event(it, call.tenant, _ref(event)))
    whole = WholeEvent.model_validate(view)
    shown = {key: value for key, value in whole.payload.items() if key != "headers"}
    return whole.model_copy(update={"payload": shown})
