"""``router explain``: the whole story of one event or message."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.cli.options import AsJson, Tenant, project_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from router.storage.decisions import DecisionView
    from router.storage.events import EventView
    from router.storage.outbox import ItemView

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog='Example: router explain "main/tel:+573001234567#3"')
def explain(
    ctx: typer.Context,
    id: Annotated[
        str,
        typer.Argument(
            help="An event (LANE#NUMBER), a provider's id of a message, or an outbox item's id."
        ),
    ],
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Say why something was answered as it was.

    Every rule in reading order with what stopped it, what a model was asked and answered, each
    guardrail's verdict, the decision, and what became of it.
    """
    from router.cli.output import print_json

    _, story = project_of(ctx).find(tenant, lambda it, name: _story(it, name, id))
    if as_json:
        print_json(story)
    else:
        print("\n\n".join(_told(story)))


def _story(connection: "Connection", tenant: str, id: str) -> dict[str, Any]:
    """Collect everything about what an id means.

    :raises NotFound: if the tenant has nothing of this id.
    """
    from router.errors import NotFound
    from router.storage.decisions import decisions_of, load_trace
    from router.storage.events import find_event, find_meant
    from router.storage.outbox import items_of, show_item
    from router.storage.store import EventRef

    meant = find_meant(connection, tenant, id)
    if meant is None:
        raise NotFound(f'there is no event, message or outbox item "{id}"')
    item: ItemView | None = None
    asked: EventRef | None = None
    if isinstance(meant, EventRef):
        asked = meant
    else:
        item = show_item(connection, tenant, meant)
        asked = item.event
    if asked is None:
        return {"item": item}
    event = find_event(connection, tenant, asked)
    decided = event.settled_by if event and event.settled_by else asked
    return {
        "item": item,
        "event": event,
        "decided_with": find_event(connection, tenant, decided) if decided != asked else None,
        "trace": load_trace(connection, tenant, decided),
        "decision": decisions_of(connection, tenant, decided.lane, [decided.seq]).get(decided),
        "items": items_of(connection, tenant, decided),
    }


def _told(story: dict[str, Any]) -> list[str]:
    from router.rules.explain import render

    item: ItemView | None = story["item"]
    event: EventView | None = story.get("event")
    later: EventView | None = story.get("decided_with")
    parts = []
    if item is not None:
        parts.append(_item_head(item))
    if event is not None:
        parts.append(_event_head(event))
    if later is not None:
        parts.append(f"Decided with {later.event} ({later.kind}): {later.outcome or 'open'}")
    if trace := story.get("trace"):
        # What was queued stands below, with what became of it.
        parts.append(render({key: value for key, value in trace.items() if key != "queued"}))
    elif event is not None:
        undecided = "Nothing was decided about it."
        parts.append("Its turn has not come yet." if event.outcome is None else undecided)
    others = [each for each in story.get("items", ()) if item is None or each.id != item.id]
    lines = [line for each in others for line in _became(each)]
    lines += _opened(story.get("decision"))
    if lines:
        parts.append("\n".join(["What became of it", *lines]))
    return parts


def _opened(decision: "DecisionView | None") -> list[str]:
    """Say what a decision opened for people, and where that stands."""
    if decision is None:
        return []
    return [
        *(f"  draft {draft.id}, {draft.state}" for draft in decision.drafts),
        *(f"  ticket {it.number} in {it.queue}, {it.state}" for it in decision.tickets),
        *(f"  escalation to {escalation.to}" for escalation in decision.escalations),
    ]


def _event_head(event: "EventView") -> str:
    from router.cli.output import line, moment

    said = f': "{line(event.text)}"' if event.text else ""
    lines = [
        f"Event {event.event}",
        f"  {event.kind} from {event.source}, {moment(event.received_at)}{said}",
        f"  outcome: {event.outcome or 'open'}",
    ]
    if event.dead_error:
        lines.append(f"  error: {line(event.dead_error)}")
    return "\n".join(lines)


def _item_head(item: "ItemView") -> str:
    event = f", decided with {item.event}" if item.event else ", decided by a person"
    return "\n".join([f"Outbox item {item.id}{event}", *_became(item)])


def _became(item: "ItemView") -> list[str]:
    from router.cli.output import line, moment

    provider = f", provider's id {item.provider_ref}" if item.provider_ref else ""
    attempts = f" after {item.attempt} attempts" if item.attempt > 1 else ""
    at = moment(item.finished_at or item.started_at or item.created_at)
    lines = [
        f"  {item.kind} {item.id} to {item.destination}, by {item.author}",
        f"    {item.state}{attempts}, {at}{provider}",
    ]
    if item.error:
        lines.append(f"    {line(item.error)}{f' (code {item.code})' if item.code else ''}")
    if item.text:
        lines.append(f'    "{line(item.text)}"')
    return lines
