"""``router tickets``: what people of the business have to do."""

from typing import Annotated, Any

import typer

from router.cli.options import ArgumentMistake, AsJson, Limit, Person, Tenant, person, project_of

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="What people have to do.",
)

_Name = Annotated[str, typer.Argument(metavar="TICKET", help="The ticket's number or id.")]


@app.command("list", epilog="Example: router tickets list --queue billing")
def list_(
    ctx: typer.Context,
    *,
    state: Annotated[
        list[str] | None,
        typer.Option(help="Only this state: NEW, IN_PROGRESS, RESOLVED, CLOSED; may be repeated."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Resolved and closed ones, too.")] = False,
    queue: Annotated[str | None, typer.Option(help="Only of this queue.")] = None,
    conversation: Annotated[str | None, typer.Option(help="Only of this conversation.")] = None,
    tenant: Tenant = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List tickets, the last touched first.

    Without options those that wait or are worked.
    """
    from router.cli.output import age, print_json, print_table
    from router.domain.ticket import TicketState
    from router.storage.tickets import list_tickets

    states = [word.upper().replace("-", "_") for word in state or ()]
    if wrong := [word for word in states if word not in set(TicketState)]:
        known = ", ".join(TicketState)
        raise ArgumentMistake(f'there is no state "{wrong[0]}". There are: {known}')
    nothing = "There is no such ticket."
    if not (states or queue or conversation):
        nothing = "There is no ticket." if every else "No ticket is open."
    if not states and not every:
        states = [TicketState.NEW, TicketState.IN_PROGRESS]
    project = project_of(ctx)
    tenants = project.chosen(tenant)
    with project.reading() as connection:
        views = [
            view
            for name in tenants
            for view in list_tickets(
                connection,
                name,
                states=states,
                queue=queue,
                conversation=conversation,
                limit=limit,
            )
        ]
    # A queue that was taken out of the files may still have tickets.
    if queue is not None and not views and project.queues and queue not in project.queues:
        there = ", ".join(sorted(project.queues))
        raise ArgumentMistake(f'there is no queue "{queue}". There are: {there}')
    if as_json:
        print_json(views)
        return
    several = len(tenants) > 1
    print_table(
        (*(("TENANT",) if several else ()), "TICKET", "STATE", "PRIORITY", "QUEUE", "AGE", "TITLE"),
        [
            (
                *((view.tenant,) if several else ()),
                view.number,
                view.state,
                view.priority,
                view.queue,
                age(view.created_at),
                view.title,
            )
            for view in views
        ],
        nothing=nothing,
    )


@app.command(epilog="Example: router tickets show 12")
def show(ctx: typer.Context, name: _Name, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Show one ticket with its trail."""
    from router.cli.output import line, moment, print_fields, print_json
    from router.storage.tickets import show_ticket

    _, view = project_of(ctx).find(tenant, lambda it, owner: show_ticket(it, owner, name))
    if as_json:
        print_json(view)
        return
    print_fields(
        [
            ("ticket", view.number),
            ("id", view.id),
            ("title", view.title),
            ("state", view.state),
            ("priority", view.priority),
            ("queue", view.queue),
            ("assignee", view.assignee),
            ("opened by", view.event),
            ("conversation", view.conversation),
            ("created", moment(view.created_at)),
            ("touched", moment(view.updated_at)),
        ]
    )
    print()
    for entry in view.entries:
        print(f"  {moment(entry.at)}  {line(entry.author)}: {line(entry.what)}")


@app.command(epilog="Example: router tickets state 12 resolved")
def state(
    ctx: typer.Context,
    name: _Name,
    to: Annotated[str, typer.Argument(metavar="STATE", help="in-progress, resolved or closed.")],
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Take a ticket a step further, or open a resolved one again."""
    from router.domain.ticket import TicketState

    word = to.upper().replace("-", "_")
    if word not in set(TicketState):
        raise ArgumentMistake(f'there is no state "{to}". There are: {", ".join(TicketState)}')
    number, result = _done(ctx, "tickets.state", name, tenant, state=word, by=person(by))
    _say(f"Ticket {number} is {result['ticket']['state']}.", result, as_json)


@app.command(epilog='Example: router tickets note 12 "Called, no answer."')
def note(
    ctx: typer.Context,
    name: _Name,
    text: Annotated[str, typer.Argument(help="What to note.")],
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Add a line to a ticket's trail."""
    number, result = _done(ctx, "tickets.note", name, tenant, text=text, by=person(by))
    _say(f"Ticket {number} has your note.", result, as_json)


def _done(
    ctx: typer.Context, act: str, name: str, tenant: str | None, **arguments: Any
) -> tuple[int, dict[str, Any]]:
    """Do an act on a ticket; give the ticket's number and what came of it."""
    from router.storage.tickets import show_ticket

    project = project_of(ctx)
    owner, view = project.find(tenant, lambda it, each: show_ticket(it, each, name))
    return view.number, project.act(act, tenant=owner, id=view.id, **arguments)


def _say(sentence: str, result: dict[str, Any], as_json: bool) -> None:
    from router.cli.output import print_json

    if as_json:
        print_json(result)
    else:
        print(sentence)
