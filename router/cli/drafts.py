"""``router drafts``: texts that wait for a person's word."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.cli.options import ArgumentMistake, AsJson, Limit, Person, Tenant, person, project_of

if TYPE_CHECKING:
    from router.storage.drafts import DraftView

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Texts that wait for a person's word.",
)

_Id = Annotated[str, typer.Argument(help="The draft.")]


@app.command("list", epilog="Example: router drafts list")
def list_(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Those that had their word, too.")] = False,
    conversation: Annotated[str | None, typer.Option(help="Only of this conversation.")] = None,
    tenant: Tenant = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List the drafts that wait, the newest first."""
    from router.cli.output import age, print_json, print_table
    from router.storage.drafts import list_drafts

    project = project_of(ctx)
    states = () if every else ("pending",)
    with project.reading() as connection:
        views = [
            view
            for name in project.chosen(tenant)
            for view in list_drafts(
                connection, name, states=states, conversation=conversation, limit=limit
            )
        ]
    if as_json:
        print_json(views)
        return
    print_table(
        ("ID", "STATE", "AGE", "CUSTOMER", "TEXT"),
        [(view.id, view.state, age(view.created_at), _customer(view), view.text) for view in views],
        nothing="No draft waits.",
    )


@app.command(epilog="Example: router drafts show 01kbm2v0e8y3n7q5r1t9w4x6z2")
def show(ctx: typer.Context, id: _Id, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Show one draft, what it answers, and why it waits."""
    from router.cli.output import block, moment, print_fields, print_json
    from router.storage.conversations import last_lines
    from router.storage.drafts import show_draft

    project = project_of(ctx)
    owner, view = project.find(tenant, lambda it, name: show_draft(it, name, id))
    with project.reading() as connection:
        lines = last_lines(connection, owner, view.conversation, limit=6)
    if as_json:
        print_json({"draft": view, "messages": lines})
        return
    print_fields(
        [
            ("draft", view.id),
            ("state", view.state),
            ("because", view.because),
            ("customer", _customer(view)),
            ("channel", view.channel),
            ("author", view.author),
            ("sources", ", ".join(view.sources)),
            ("event", view.event),
            ("conversation", view.conversation),
            ("created", moment(view.created_at)),
            ("resolved", moment(view.resolved_at)),
            ("by", view.resolved_by),
        ]
    )
    print("\nThe conversation")
    for line in lines:
        print(block(f"{line.author}: {line.text}"))
    print(f"\nThe draft\n{block(view.text)}")
    if view.sent_text not in (None, view.text):
        print(f"\nSent\n{block(view.sent_text or '')}")


@app.command(epilog="Example: router drafts approve 01kbm2v0e8y3n7q5r1t9w4x6z2")
def approve(
    ctx: typer.Context, id: _Id, by: Person = None, tenant: Tenant = None, as_json: AsJson = False
) -> None:
    """Send a draft as it stands."""
    _act(ctx, "drafts.approve", id, tenant, as_json, by=person(by))


@app.command(epilog='Example: router drafts edit 01kbm2v0e8y3n7q5r1t9w4x6z2 --text "Sí, hay."')
def edit(
    ctx: typer.Context,
    id: _Id,
    text: Annotated[
        str | None, typer.Option(help="What to send. Default: your $EDITOR opens the draft.")
    ] = None,
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Send a draft with a changed text."""
    if text is None:
        from router.storage.drafts import show_draft

        _, view = project_of(ctx).find(tenant, lambda it, name: show_draft(it, name, id))
        text = _edited(view.text)
    if not text.strip():
        raise ArgumentMistake("the text is empty: nothing was sent")
    _act(ctx, "drafts.edit", id, tenant, as_json, text=text, by=person(by))


@app.command(
    epilog='Example: router drafts reject 01kbm2v0e8y3n7q5r1t9w4x6z2 --because "old price"'
)
def reject(
    ctx: typer.Context,
    id: _Id,
    because: Annotated[str, typer.Option(help="Why, for whoever looks later.")] = "",
    by: Person = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Throw a draft away; the customer gets nothing."""
    _act(ctx, "drafts.reject", id, tenant, as_json, because=because, by=person(by))


def _customer(view: "DraftView") -> str:
    return view.contact or view.address


def _edited(text: str) -> str:
    """Let the person's editor change a text.

    :raises BadParameter: if there is none, or it was left with an error.
    """
    import os
    import shlex
    import subprocess
    import sys
    import tempfile
    from pathlib import Path

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor or not sys.stdin.isatty():
        raise ArgumentMistake('no text was given: write --text "…", or set $EDITOR')
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "draft.txt"
        file.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True)  # noqa: S603 - their own
        except (OSError, subprocess.CalledProcessError) as error:
            raise ArgumentMistake(
                f"{editor} did not end well ({error}): nothing was sent"
            ) from None
        return file.read_text(encoding="utf-8")


def _act(
    ctx: typer.Context, name: str, id: str, tenant: str | None, as_json: bool, **arguments: Any
) -> None:
    from router.cli.output import print_json
    from router.storage.drafts import show_draft

    project = project_of(ctx)
    owner, _ = project.find(tenant, lambda it, name: show_draft(it, name, id))
    result = project.act(name, tenant=owner, id=id, **arguments)
    if as_json:
        print_json(result)
        return
    state = result["draft"]["state"]
    sent = result.get("items")
    print(f"{id} is {state}." if not sent else f"{id} is {state}; it leaves as {', '.join(sent)}.")
