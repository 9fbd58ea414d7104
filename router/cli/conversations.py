"""``router conversations``: who is talked to, who answers, and handing over and back."""

from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.calls import told
from router.cli.options import AsJson, Limit, Person, Tenant, person, project_of

if TYPE_CHECKING:
    from router.domain.message import Attachment

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Who is talked to, and who answers.",
)

_Name = Annotated[
    str,
    typer.Argument(metavar="CONVERSATION", help="Its id, or the customer's address."),
]


@app.command("list", epilog="Example: router conversations list --owner nobody")
def list_(
    ctx: typer.Context,
    *,
    owner: Annotated[
        list[str] | None,
        typer.Option(help="Only of this owner: bot, nobody, or a person; may be repeated."),
    ] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only active, escalated or closed; may be repeated.")
    ] = None,
    tenant: Tenant = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List conversations, the last active first."""
    from router.cli.output import age, print_json, print_table
    from router.storage.conversations import list_conversations

    project = project_of(ctx)
    with project.reading() as connection:
        views = [
            view
            for name in project.chosen(tenant)
            for view in list_conversations(
                connection, name, statuses=status or (), owners=owner or (), limit=limit
            )
        ]
    if as_json:
        print_json(views)
        return
    print_table(
        ("ID", "STATUS", "OWNER", "CHANNEL", "AGE", "CUSTOMER"),
        [
            (
                view.id,
                view.status,
                view.owner,
                view.channel,
                age(view.last_activity_at),
                view.contact or view.address,
            )
            for view in views
        ],
        nothing="There is no such conversation.",
    )


@app.command(epilog="Example: router conversations show tel:+573001234567")
def show(
    ctx: typer.Context,
    name: _Name,
    tenant: Tenant = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Show one conversation, its newest messages, and its calls."""
    from router.cli.output import line, moment, print_fields, print_json
    from router.storage.calls import CallView, calls_of
    from router.storage.conversations import Line, last_lines, show_conversation

    project = project_of(ctx)
    owner, view = project.find(tenant, lambda it, each: show_conversation(it, each, name))
    with project.reading() as connection:
        lines = last_lines(connection, owner, view.id, limit=limit)
        calls = calls_of(connection, owner, view.id, limit=limit)
    if as_json:
        print_json({"conversation": view, "messages": lines, "calls": calls})
        return
    print_fields(
        [
            ("conversation", view.id),
            ("customer", view.contact),
            ("address", view.address),
            ("channel", view.channel),
            ("status", view.status),
            ("owner", view.owner),
            ("since", moment(view.owner_since)),
            ("category", view.category),
            ("priority", view.priority),
            ("tags", ", ".join(view.tags)),
            ("ticket", view.open_ticket),
            ("waits for", "a model's answer" if view.asking else None),
            ("opted out", "yes: gets no more messages" if view.opted_out else None),
            ("last heard of", moment(view.last_in_at)),
        ]
    )
    print()
    timeline: list[Line | CallView] = [*lines, *calls]
    for each in sorted(timeline, key=lambda it: it.at):
        if isinstance(each, CallView):
            print(f"  {moment(each.at)}  {told(each)}")
            continue
        files = "".join(f" [{_attached(it)}]" for it in each.attachments)
        state = f" ({each.status}{f': {line(each.failure)}' if each.failure else ''})"
        print(
            f"  {moment(each.at)}  {each.author}: {line(each.text)}{files}"
            f"{state if each.status else ''}"
        )


def _attached(file: "Attachment") -> str:
    """Say what came with a message, and what is said in it."""
    from router.cli.output import line

    words = file.kind if file.name is None else f"{file.kind} {line(file.name)}"
    if file.transcript is not None:
        return f"{words}: “{line(file.transcript)}”"
    return words if file.problem is None else f"{words}, not available: {line(file.problem)}"


@app.command(epilog="Example: router conversations take tel:+573001234567 --by ana")
def take(
    ctx: typer.Context,
    name: _Name,
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Take a conversation over: the bot says nothing more in it.

    Answers once nothing of the bot's is on its way any more, or after 5 s names what is.
    """
    from router.cli.output import plural, print_json
    from router.storage.conversations import show_conversation

    project = project_of(ctx)
    owner, view = project.find(tenant, lambda it, each: show_conversation(it, each, name))
    result = project.act("conversations.take", tenant=owner, id=view.id, by=person(by))
    if as_json:
        print_json(result)
        return
    print(f"{view.id} is {result['conversation']['owner']}'s now.")
    if result["withdrawn"]:
        print(f"{plural(result['withdrawn'], 'message')} of the bot did not leave any more.")
    for item in result["under_way"]:
        print(
            f"{item} had left already, and its result is not known yet: router outbox show {item}"
        )


@app.command(epilog="Example: router conversations release tel:+573001234567")
def release(
    ctx: typer.Context, name: _Name, tenant: Tenant = None, as_json: AsJson = False
) -> None:
    """Hand a conversation back to the bot."""
    from router.cli.output import print_json
    from router.storage.conversations import show_conversation

    project = project_of(ctx)
    owner, view = project.find(tenant, lambda it, each: show_conversation(it, each, name))
    result = project.act("conversations.release", tenant=owner, id=view.id)
    if as_json:
        print_json(result)
    else:
        print(f"{view.id} is the bot's again.")
