"""``router outbox``: what was decided to leave, and what became of it."""

from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.options import ArgumentMistake, AsJson, Limit, Person, Tenant, person, project_of

if TYPE_CHECKING:
    from router.storage.outbox import ItemView

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="What leaves, and what became of it.",
)

#: What wants a person's look.
_TROUBLE = ("unknown", "dead", "refused")


@app.command("list", epilog="Example: router outbox list --state unknown")
def list_(
    ctx: typer.Context,
    *,
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this state: waiting, started, done, refused, unknown, withdrawn, dead; "
            "may be repeated."
        ),
    ] = None,
    trouble: Annotated[
        bool, typer.Option("--trouble", help="Only what is unknown, dead or refused.")
    ] = False,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only this kind, such as message; may be repeated.")
    ] = None,
    conversation: Annotated[str | None, typer.Option(help="Only of this conversation.")] = None,
    tenant: Tenant = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List what was decided to leave, the newest first."""
    from router.cli.output import age, print_json, print_table
    from router.domain.outbox import ItemState
    from router.storage.outbox import list_items

    states = [*(state or ()), *(_TROUBLE if trouble else ())]
    if wrong := [word for word in states if word not in set(ItemState)]:
        raise ArgumentMistake(f'there is no state "{wrong[0]}". There are: {", ".join(ItemState)}')
    project = project_of(ctx)
    with project.reading() as connection:
        views = [
            view
            for name in project.chosen(tenant)
            for view in list_items(
                connection,
                name,
                states=states,
                kinds=kind or (),
                conversation=conversation,
                limit=limit,
            )
        ]
    if as_json:
        print_json(views)
        return
    print_table(
        ("ID", "STATE", "KIND", "TO", "AGE", "TEXT"),
        [
            (view.id, view.state, view.kind, view.destination, age(view.created_at), view.text)
            for view in views
        ],
        nothing="There is no such item.",
    )


@app.command(epilog="Example: router outbox show 01kbm2v0e8y3n7q5r1t9w4x6z2")
def show(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(help="The item.")],
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Show one item: what it says, where it goes, how far it got."""
    from router.cli.output import print_json

    _, view = _find(ctx, tenant, id)
    if as_json:
        print_json(view)
    else:
        print_item(view)


@app.command(epilog="Example: router outbox resolve 01kbm2v0e8y3n7q5r1t9w4x6z2 --sent")
def resolve(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(help="The item; it must be unknown, dead or refused.")],
    *,
    sent: Annotated[
        bool, typer.Option("--sent", help="It was sent, or done in another way.")
    ] = False,
    resend: Annotated[
        bool, typer.Option("--resend", "--not-sent", help="It was not: let it leave.")
    ] = False,
    drop: Annotated[bool, typer.Option("--drop", help="It is not to be sent any more.")] = False,
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Settle what is unknown, dead or refused: sent, resend or drop.

    Look at the provider's own page first. --sent: it is done, and what waits behind it leaves.
    --resend: it waits again, what was dead or refused at the end of its lane. What was unknown and
    no person wrote is withdrawn instead if somebody has taken the conversation over since: write to
    the customer. --drop: it does not leave any more, and what waits behind it does.
    """
    words = {"sent": sent, "resend": resend, "drop": drop}
    verdicts = [word for word, chosen in words.items() if chosen]
    if len(verdicts) != 1:
        raise ArgumentMistake("say one of --sent, --resend and --drop: nobody else knows")
    owner, _ = _find(ctx, tenant, id)
    result = project_of(ctx).act(
        "outbox.resolve", tenant=owner, id=id, verdict=verdicts[0], by=person(by)
    )
    _report(result, as_json)


@app.command(epilog="Example: router outbox retry 01kbm2v0e8y3n7q5r1t9w4x6z2")
def retry(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(help="The item; it must be dead or refused.")],
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Try an item again that was refused or given up.

    It waits at the end of its lane. It stays the same item, so it can never be sent twice.
    """
    owner, _ = _find(ctx, tenant, id)
    result = project_of(ctx).act("outbox.retry", tenant=owner, id=id, by=person(by))
    _report(result, as_json)


def print_item(view: "ItemView") -> None:
    """Print an item for people."""
    from router.cli.output import block, moment, print_fields

    print_fields(
        [
            ("item", view.id),
            ("kind", view.kind),
            ("to", view.destination),
            ("recipient", view.body.get("recipient")),
            ("state", view.state),
            ("error", view.error),
            ("code", view.code),
            ("attempts", view.attempt or None),
            ("author", view.author),
            ("decided by", view.event),
            ("conversation", view.conversation),
            ("created", moment(view.created_at)),
            ("started", moment(view.started_at)),
            ("ended", moment(view.finished_at)),
            ("provider's id", view.provider_ref),
        ]
    )
    if view.text:
        print(f"\n{block(view.text)}")


def _find(ctx: typer.Context, tenant: str | None, id: str) -> "tuple[str, ItemView]":
    from router.storage.outbox import show_item

    return project_of(ctx).find(tenant, lambda it, name: show_item(it, name, id))


def _report(result: "dict[str, dict[str, object]]", as_json: bool) -> None:
    from router.cli.output import print_json

    if as_json:
        print_json(result)
    else:
        print(f"{result['item']['id']} is {result['item']['state']} now.")
