"""``router explain``: the whole story of one event or message."""

from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.options import AsJson, Tenant, project_of

if TYPE_CHECKING:
    from router.storage.decisions import DecisionView
    from router.storage.events import EventView
    from router.storage.outbox import ItemView
    from router.storage.stories import Story

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog='Example: router explain "main/tel:+573001234567#3"')
def explain(
    ctx: typer.Context,
    id: Annotated[
        str,
        typer.Argument(
            help="An event (LANE#NUMBER), a provider's id of a message or a call, or an "
            "outbox item's id."
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
    from router.storage.stories import story

    _, told = project_of(ctx).find(tenant, lambda it, name: story(it, name, id))
    if not as_json:
        print("\n\n".join(_told(told)))
    elif told.event is None and told.decision is None:
        print_json({"item": told.item})
    else:
        print_json(told)


def _told(story: "Story") -> list[str]:
    from router.rules.explain import render

    item, event, later = story.item, story.event, story.decided_with
    parts = []
    if item is not None:
        parts.append(_item_head(item))
    if event is not None:
        parts.append(_event_head(event))
    if later is not None:
        parts.append(f"Decided with {later.event} ({later.kind}): {later.outcome or 'open'}")
    if trace := story.trace:
        # What was queued stands below, with what became of it.
        parts.append(render({key: value for key, value in trace.items() if key != "queued"}))
    elif event is not None:
        undecided = "Nothing was decided about it."
        parts.append("Its turn has not come yet." if event.outcome is None else undecided)
    others = [each for each in story.items if item is None or each.id != item.id]
    lines = [line for each in others for line in _became(each)]
    lines += _opened(story.decision)
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
    from router.cli.events import discarded
    from router.cli.output import line, moment

    said = f': "{line(event.text)}"' if event.text else ""
    lines = [
        f"Event {event.event}",
        f"  {event.kind} from {event.source}, {moment(event.received_at)}{said}",
        f"  outcome: {event.outcome or 'open'}",
    ]
    if event.dead_error:
        lines.append(f"  error: {line(event.dead_error)}")
    if event.discarded is not None:
        lines.append(f"  discarded: {discarded(event.discarded)}")
    return "\n".join(lines)


def _item_head(item: "ItemView") -> str:
    event = f", decided with {item.event}" if item.event else ", decided by a person"
    return "\n".join([f"Outbox item {item.id}{event}", *_became(item)])


def _became(item: "ItemView") -> list[str]:
    from router.cli.output import line, moment
    from router.clock import SystemClock

    provider = f", provider's id {item.provider_ref}" if item.provider_ref else ""
    attempts = f" after {item.attempt} attempts" if item.attempt > 1 else ""
    at = moment(item.finished_at or item.started_at or item.created_at)
    held = item.not_before if item.state == "waiting" else None
    # One that a person asked for again is only as young as that, and waits for no moment.
    later = held is not None and held > SystemClock().now()
    waits = f", not before {moment(held)}" if later else ""
    lines = [
        f"  {item.kind} {item.id} to {item.destination}, by {item.author}",
        f"    {item.state}{attempts}, {at}{waits}{provider}",
    ]
    if item.error:
        lines.append(f"    {line(item.error)}{f' (code {item.code})' if item.code else ''}")
    if item.text:
        lines.append(f'    "{line(item.text)}"')
    return lines
