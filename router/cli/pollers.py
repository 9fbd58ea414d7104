"""``router pollers``: what channels ask their providers for."""

from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.options import AsJson, Person, Tenant, person, project_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.storage.pollers import PollerView

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="What channels ask their providers for, again and again.",
)


@app.command("list", epilog="Example: router pollers list")
def list_(ctx: typer.Context, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List what is polled, and how that has been going."""
    from router.cli.output import print_json
    from router.storage.pollers import pollers

    project = project_of(ctx)
    with project.reading() as connection:
        views = [view for name in project.chosen(tenant) for view in pollers(connection, name)]
    if as_json:
        print_json(views)
        return
    print_pollers(views, nothing="Nothing is polled.")


@app.command(epilog="Example: router pollers resume calls/ended")
def resume(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(help="The poller: CHANNEL/NAME.")],
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Let one go on that was held when a backup was restored. It goes on where it was.

    What it had found since the backup is found again, and is news: it is answered again.
    """
    from router.cli.output import print_json
    from router.storage.pollers import show_poller

    project = project_of(ctx)
    owner, _ = project.find(tenant, lambda it, name: show_poller(it, name, id))
    result = project.act("pollers.resume", tenant=owner, id=id, by=person(by))
    if as_json:
        print_json(result)
        return
    print(f"{id} goes on.")


def print_pollers(views: "Sequence[PollerView]", *, nothing: str = "") -> None:
    """Say how it has been going with each."""
    from router.cli.output import age, line, print_table

    rows = []
    for each in views:
        last = "never" if each.polled_at is None else f"{age(each.polled_at)} ago"
        state = "well"
        if each.held is not None:
            state = f"held: {line(each.held)}"
        elif each.failing_since is not None:
            state = f"{each.failures} failed, for {age(each.failing_since)}: {line(each.error)}"
        rows.append((each.tenant, each.id, last, state))
    print_table(("TENANT", "POLLER", "LAST GOOD POLL", "STATE"), rows, nothing=nothing)
