"""``router token``: what programs may do through the API."""

from typing import Annotated

import typer

from router.cli.options import ArgumentMistake, AsJson, Limit, Person, Tenant, person, project_of

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="What programs may do through the API.",
)

_Of = Annotated[str, typer.Option("--tenant", "-t", help="Whose data it opens.")]


@app.command(epilog="Example: router token create --name crm --scopes read,drafts:write")
def create(
    ctx: typer.Context,
    *,
    scopes: Annotated[
        str,
        typer.Option(help="What it is good for, with commas: `read`, `write`, or `drafts:write`."),
    ],
    name: Annotated[
        str, typer.Option(help="What will use it; the author of what is done with it.")
    ] = "api",
    expires: Annotated[str, typer.Option(help="For how long it is good.")] = "90d",
    tenant: _Of = "main",
    by: Person = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it. It is shown once, and kept nowhere."""
    from router.cli.output import moment, print_json
    from router.clock import seconds

    project = project_of(ctx)
    project.chosen(tenant)
    try:
        length = seconds(expires)
    except ValueError as error:
        raise ArgumentMistake(f"--expires {error}") from None
    result = project.act(
        "tokens.create",
        tenant=tenant,
        name=name,
        scopes=_scopes(scopes),
        expires=length,
        by=person(by),
    )
    if as_json:
        print_json(result)
        return
    import sys
    from datetime import datetime

    until = datetime.fromisoformat(result["token"]["expires_at"])
    # Apart from the token, so that it can be put into a file or a variable as it is printed.
    print(f"Token {result['token']['id']}, good until {moment(until)}:", file=sys.stderr)
    print(result["text"])


@app.command("list", epilog="Example: router token list")
def list_(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    tenant: Tenant = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List tokens, the newest first. The tokens themselves are kept nowhere."""
    from router.cli.output import moment, print_json, print_table
    from router.clock import SystemClock
    from router.storage.tokens import list_tokens

    project = project_of(ctx)
    now = SystemClock().now()
    with project.reading() as connection:
        views = [
            view
            for each in project.chosen(tenant)
            for view in list_tokens(connection, each, limit=limit, useful=None if every else now)
        ]
    if as_json:
        print_json(views)
        return
    print_table(
        ("ID", "TENANT", "NAME", "STATE", "EXPIRES", "SCOPES"),
        [
            (
                view.id,
                view.tenant,
                view.name,
                "revoked" if view.revoked_at else "expired" if view.expires_at <= now else "good",
                moment(view.expires_at),
                ", ".join(view.scopes),
            )
            for view in views
        ],
        nothing="There is no such token.",
    )


@app.command(epilog="Example: router token revoke 01kbm2v0e8y3n7q5r1t9w4x6z2")
def revoke(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(help="The token's id, as `router token list` shows it.")],
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Let a token be worth nothing from now on."""
    from router.cli.output import print_json
    from router.storage.tokens import show_token

    project = project_of(ctx)
    owner, _ = project.find(tenant, lambda it, name: show_token(it, name, id))
    result = project.act("tokens.revoke", tenant=owner, id=id, by=person(by))
    if as_json:
        print_json(result)
    else:
        print(f"{id} is revoked.")


@app.command(epilog="Example: router token rotate --now")
def rotate(
    ctx: typer.Context,
    now: Annotated[
        bool,
        typer.Option("--now", help="End every token that was given out before, as after a leak."),
    ] = False,
    tenant: _Of = "main",
    as_json: AsJson = False,
) -> None:
    """Sign a tenant's new tokens with a new key. Those given out before stay good."""
    from router.cli.output import plural, print_json

    project = project_of(ctx)
    project.chosen(tenant)
    result = project.act("tokens.rotate", tenant=tenant, now=now)
    if as_json:
        print_json(result)
        return
    ended = f" {plural(result['ended'], 'token')} ended." if now else ""
    print(f"New tokens of {tenant} are signed with a new key.{ended}")


def _scopes(text: str) -> list[str]:
    """Read scopes with commas or blanks between them.

    :raises BadParameter: if one is none.
    """
    from router.toml import suggest
    from router.web.api.app import scopes

    known = scopes()
    given = text.replace(",", " ").split()
    if not given:
        raise ArgumentMistake(f"--scopes is empty. There are: {', '.join(known)}")
    for each in given:
        if each not in known:
            remedy = suggest(each, known) or f"There are: {', '.join(known)}"
            raise ArgumentMistake(f'there is no scope "{each}". {remedy.strip()}')
    return given
