"""``router escalations``: calls for a person."""

from typing import Annotated

import typer

from router.cli.options import AsJson, Limit, Person, Tenant, person, project_of

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Calls for a person."
)


@app.command("list", epilog="Example: router escalations list")
def list_(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Acknowledged ones, too.")] = False,
    tenant: Tenant = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List the calls that nobody has acknowledged, the newest first."""
    from router.cli.output import age, print_json, print_table
    from router.storage.escalations import list_escalations

    project = project_of(ctx)
    with project.reading() as connection:
        views = [
            view
            for name in project.chosen(tenant)
            for view in list_escalations(connection, name, open_only=not every, limit=limit)
        ]
    if as_json:
        print_json(views)
        return
    print_table(
        ("ID", "TO", "AGE", "HEARD BY", "BECAUSE"),
        [
            (view.id, view.to, age(view.created_at), view.acknowledged_by or "-", view.because)
            for view in views
        ],
        nothing="Nobody is called.",
    )


@app.command(epilog="Example: router escalations ack 01kbm2v0e8y3n7q5r1t9w4x6z2")
def ack(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(help="The escalation.")],
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Say that you have heard a call."""
    from router.cli.output import print_json
    from router.storage.escalations import show_escalation

    project = project_of(ctx)
    owner, view = project.find(tenant, lambda it, name: show_escalation(it, name, id))
    result = project.act("escalations.ack", tenant=owner, id=id, by=person(by))
    if as_json:
        print_json(result)
        return
    print(f"{id} is acknowledged by {result['escalation']['acknowledged_by']}.")
    if view.conversation:
        print(f"The conversation: router conversations show {view.conversation}")
