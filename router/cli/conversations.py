"""``router conversations``: who is talked to, who answers, and handing over and back."""

from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.calls import told
from router.cli.options import (
    ArgumentMistake,
    AsJson,
    Limit,
    Person,
    Tenant,
    person,
    project_of,
)

if TYPE_CHECKING:
    from router.domain.message import Attachment

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Who is talked to, and who answers.",
)

_OPTED_OUT = "yes: nothing is begun with them (router conversations opt-in)"

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
    from router.storage.opt_ins import OptInView, opt_ins_of

    project = project_of(ctx)
    owner, view = project.find(tenant, lambda it, each: show_conversation(it, each, name))
    with project.reading() as connection:
        lines = last_lines(connection, owner, view.id, limit=limit)
        calls = calls_of(connection, owner, view.id, limit=limit)
        opt_ins = opt_ins_of(connection, owner, view.id, limit=limit)
    if as_json:
        print_json({"conversation": view, "messages": lines, "calls": calls, "opt_ins": opt_ins})
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
            ("opted out", _OPTED_OUT if view.opted_out else None),
            ("last heard of", moment(view.last_in_at)),
        ]
    )
    print()
    timeline: list[Line | CallView | OptInView] = [*lines, *calls, *opt_ins]
    for each in sorted(timeline, key=lambda it: it.at):
        if isinstance(each, CallView):
            print(f"  {moment(each.at)}  {told(each)}")
            continue
        if isinstance(each, OptInView):
            print(f"  {moment(each.at)}  opted in by {line(each.by)}: {line(each.because)}")
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


@app.command(
    "opt-in",
    epilog='Example: router conversations opt-in tel:+573001234567 --because "asked for it"',
)
def opt_in(
    ctx: typer.Context,
    name: _Name,
    because: Annotated[
        str,
        typer.Option(help="What it rests on, such as the customer's own words. Is kept."),
    ],
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Let a customer who opted out be written to again.

    Only when they want it: who let them in, when and why is kept. Nothing is sent by this. A
    customer may be named by their address although there is no conversation with them.
    """
    from router.cli.output import line, print_json
    from router.errors import ActRefused, NotFound
    from router.storage.opt_ins import has_opted_out

    if not because.strip():
        raise ArgumentMistake("--because is empty. Say what it rests on")
    project = project_of(ctx)
    owners = project.chosen(tenant)
    if len(owners) > 1:
        with project.reading() as connection:
            out = tuple(each for each in owners if has_opted_out(connection, each, name))
        if len(out) > 1:
            raise ArgumentMistake(
                f"{line(name)} has opted out of several tenants ({', '.join(out)}), and consent to "
                "one is none to another. Say which with --tenant"
            )
        owners = out or owners
    missing: NotFound | None = None
    for owner in owners:
        try:
            result = project.act(
                "conversations.opt_in", tenant=owner, id=name, by=person(by), because=because
            )
            break
        except NotFound as error:
            missing = error
    else:
        raise missing or ActRefused("there is no tenant")
    if as_json:
        print_json(result)
    else:
        print(f"{line(result['opt_in']['contact'])} may be written to again.")
