"""``router events``: what came in or fell due."""

from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.options import ArgumentMistake, AsJson, Limit, Person, Tenant, person, project_of

if TYPE_CHECKING:
    from router.cli.project import Project
    from router.storage.events import Discard, EventView
    from router.storage.store import EventRef

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="What came in or fell due.",
)


Events = Annotated[list[str] | None, typer.Argument(help="The events, LANE#NUMBER each.")]
Restored = Annotated[
    bool,
    typer.Option(
        "--restored", help="All that were held back when a backup was restored, the oldest first."
    ),
]


@app.command("list", epilog="Example: router events list --dead")
def list_(
    ctx: typer.Context,
    *,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only this kind, such as message; may be repeated.")
    ] = None,
    outcome: Annotated[
        list[str] | None, typer.Option(help="Only this outcome, such as draft; may be repeated.")
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Only what was given up.")] = False,
    unparsed: Annotated[
        bool, typer.Option("--unparsed", help="Only requests that could not be read.")
    ] = False,
    waiting: Annotated[bool, typer.Option("--open", help="Only what has no outcome yet.")] = False,
    conversation: Annotated[str | None, typer.Option(help="Only of this conversation.")] = None,
    tenant: Tenant = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List events, the newest first."""
    from router.cli.output import age, print_json, print_table
    from router.storage.events import list_events

    project = project_of(ctx)
    with project.reading() as connection:
        views = [
            view
            for name in project.chosen(tenant)
            for view in list_events(
                connection,
                name,
                kinds=[*(kind or ()), *(["unparsed"] if unparsed else ())],
                outcomes=outcome or (),
                dead=dead,
                open_only=waiting,
                conversation=conversation,
                limit=limit,
            )
        ]
    if as_json:
        print_json(views)
        return
    print_table(
        ("EVENT", "KIND", "OUTCOME", "AGE", "TEXT"),
        [
            (view.event, view.kind, view.outcome or "open", age(view.received_at), view.text)
            for view in views
        ],
        nothing="There is no such event.",
    )


@app.command(epilog='Example: router events show "main/tel:+573001234567#3"')
def show(
    ctx: typer.Context,
    event: Annotated[str, typer.Argument(help="The event, LANE#NUMBER.")],
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Show one event, everything that came with it, and how it ended."""
    from router.cli.output import print_json
    from router.storage.events import show_event

    ref = _ref(event)
    _, view = project_of(ctx).find(tenant, lambda it, name: show_event(it, name, ref))
    if as_json:
        print_json(view)
        return
    print_event(view)
    print(f'\nWhy it ended so: router explain "{view.event}"')


@app.command(epilog='Example: router events retry "main/tel:+573001234567#3"')
def retry(
    ctx: typer.Context,
    event: Events = None,
    *,
    restored: Restored = False,
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Work dead letters again, or read unparsed requests again.

    Each goes in as a new event at the end of its lane; each can be retried once.
    """
    from router.cli.output import print_json

    project, done = project_of(ctx), []
    for owner, name in _meant(project, tenant, event, restored=restored):
        result = project.act("events.retry", tenant=owner, id=name, by=person(by))
        done.append(result)
        if as_json:
            continue
        if not result["as"]:
            print(f"{name} can be read now, and there is nothing in it for the router.")
        for again in result["as"]:
            known = " (which had come before)" if again in result["known"] else ""
            print(f"{name} is tried again as {again}{known}")
    if as_json:
        print_json(done)


@app.command(epilog='Example: router events discard "main/raw:whatsapp#3" --because "a test"')
def discard(
    ctx: typer.Context,
    event: Events = None,
    *,
    because: Annotated[str, typer.Option(help="Why, for whoever looks later.")],
    restored: Restored = False,
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Discard dead letters, or requests that could not be read.

    Nobody needs them any more. What such a request holds is deleted for good. What a dead letter
    holds belongs to its conversation, and stays there. When it came, who discarded it and why is
    kept with each; one that is discarded already stays as it is.
    """
    from router.cli.output import line, print_json

    if not because.strip():
        raise ArgumentMistake("--because is empty. Say why nobody needs it")
    project, done = project_of(ctx), []
    for owner, name in _meant(project, tenant, event, restored=restored):
        result = project.act(
            "events.discard", tenant=owner, id=name, by=person(by), because=because
        )
        done.append(result["event"])
        if not as_json:
            it = result["event"]["discarded"]
            print(f"{name} is discarded, by {line(it['by'])}: {line(it['because'])}")
    if as_json:
        print_json(done)


def print_event(view: "EventView") -> None:
    """Print an event for people."""
    import base64

    from router.cli.output import block, moment, print_fields

    known = {"text", "id", "body"}
    print_fields(
        [
            ("event", view.event),
            ("kind", view.kind),
            ("source", view.source),
            ("id", view.payload.get("id") or view.external_id),
            ("received", moment(view.received_at)),
            ("conversation", view.conversation),
            ("outcome", view.outcome or "open"),
            ("decided with", view.settled_by),
            ("dead since", moment(view.dead_at)),
            ("error", view.dead_error),
            ("discarded", view.discarded and discarded(view.discarded)),
            *((key, value) for key, value in view.payload.items() if key not in known),
        ]
    )
    if view.kind in ("message", "echo"):
        print(f"\n{block(view.text)}")
    elif view.kind == "unparsed" and view.discarded is None:
        body = base64.b64decode(view.payload.get("body", "")).decode("utf-8", "replace")
        print(f"\n{block(body)}")


def discarded(it: "Discard") -> str:
    """Say that an event was discarded, when, by whom and why."""
    from router.cli.output import line, moment

    return f"{moment(it.at)}, by {line(it.by)}: {line(it.because)}"


def _meant(
    project: "Project", tenant: str | None, names: list[str] | None, *, restored: bool
) -> "list[tuple[str, str]]":
    """Give the events that are meant, each behind its tenant."""
    from functools import partial

    from router.storage.events import held_back, show_event

    if restored is bool(names):
        raise ArgumentMistake("name the events, or say --restored for all that a restore held back")
    if not restored:
        refs = [_ref(name) for name in names or ()]
        owners = [project.find(tenant, partial(show_event, event=ref))[0] for ref in refs]
        return [(owner, str(ref)) for owner, ref in zip(owners, refs, strict=True)]
    with project.reading() as connection:
        return [
            (owner, str(ref))
            for owner in project.chosen(tenant)
            for ref in held_back(connection, owner)
        ]


def _ref(text: str) -> "EventRef":
    from router.storage.store import EventRef

    try:
        return EventRef.from_text(text)
    except ValueError as error:
        raise ArgumentMistake(str(error)) from None
