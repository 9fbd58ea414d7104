"""``router db``: the database itself."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from router.cli.options import ArgumentMistake, AsJson, Tenant, project_of

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="The database itself."
)


@app.command(epilog="Example: router db migrate")
def migrate(ctx: typer.Context) -> None:
    """Make the database, or bring its schema up to date. The router must not be running."""
    from contextlib import nullcontext

    from router.storage.database import migrating
    from router.storage.sqlite.lock import DatabaseLock

    project = project_of(ctx)
    database, name = project.sqlite or project.database_url, project.database_name
    with DatabaseLock(database) if isinstance(database, Path) else nullcontext():
        before = migrating.revision_of(database)
        migrating.migrate(database)
    if before == migrating.HEAD:
        print(f"{name} is up to date: schema {migrating.HEAD}.")
    else:
        print(f"{name} has schema {migrating.HEAD} now; before: {before or 'none'}.")


@app.command(epilog="Example: router db check")
def check(ctx: typer.Context, as_json: AsJson = False) -> int:
    """Look for damage: in the file, between the tables, in the lanes. Changes nothing."""
    from router.cli.output import print_json
    from router.storage.database.health import damage
    from router.storage.database.migrating import HEAD

    project = project_of(ctx)
    with project.reading() as connection:
        found = damage(connection)
    if as_json:
        print_json({"database": project.database_name, "schema": HEAD, "damage": found})
    elif found:
        for sentence in found:
            print(sentence)
        print(
            f"\n{project.database_name} is damaged. Restore a backup, and keep this one for a look."
        )
    else:
        print(f"{project.database_name} is sound: schema {HEAD}.")
    return 1 if found else 0


@app.command(epilog="Example: router db due --keep 400d")
def due(
    ctx: typer.Context,
    keep: Annotated[
        str | None,
        typer.Option(help="As if [policy] keep were this, for every tenant.", show_default=False),
    ] = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Count what is kept no longer, and what stays although it is old. Deletes nothing.

    Every hour the running router deletes what is due by [policy] keep.
    """
    from router.cli.output import moment, print_json, print_table
    from router.clock import SystemClock
    from router.storage.retention.due import due as count

    project, now = project_of(ctx), SystemClock().now()
    asked = None if keep is None else _kept(keep)
    tenants = project.settings().tenants
    policies = {name: asked or tenants[name].policy.keep for name in project.chosen(tenant)}
    with project.reading() as connection:
        found = [count(connection, it, now - age) for it, age in policies.items() if age]
    if as_json:
        print_json({"tenants": found})
        return
    print_table(
        ("TENANT", "OLDER THAN", "CONVERSATIONS", "MESSAGES", "EVENTS", "STAY ALTHOUGH OLD"),
        [
            (
                it.tenant,
                moment(it.before),
                it.goes["conversation"],
                it.goes.get("message", 0),
                it.goes.get("inbox_event", 0),
                it.stays["conversation"],
            )
            for it in found
        ],
        nothing="Everything is kept for ever: no [policy] has a keep. Try one with --keep 400d.",
    )


@app.command(epilog="Example: router db move postgresql://router@db.example.org/router")
def move(
    ctx: typer.Context,
    url: Annotated[
        str,
        typer.Argument(
            help="Where to: an empty PostgreSQL database, or a SQLite file that is not there yet. "
            "env:NAME takes the URL from that variable, so that a password stays out of sight.",
            show_default=False,
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option("--from", help="Where from. Default: the database of the configuration."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Carry everything to another database, verified.

    From SQLite to PostgreSQL, or back. The router must not be running. The source is only read.
    What is interrupted leaves the destination empty: just begin again.
    """
    from router.cli.output import plural, print_json, print_table
    from router.storage.database import moving

    origin = project_of(ctx).database_url if source is None else _url(source)
    target = _url(url)
    with _progress() as progress:
        moved = moving.move(origin, target, progress)
    if as_json:
        print_json({"from": moving.shown(origin), "to": moving.shown(target), "tables": moved})
        return
    print_table(("TABLE", "ROWS", "DIGEST"), [(it.table, it.rows, it.digest) for it in moved])
    rows = plural(sum(it.rows for it in moved), "row")
    print(f"\n{rows}, the same on both sides. Now name the new database in [router]:")
    named = (
        f'{{ env = "{url[4:]}" }}' if url.startswith("env:") else f'"{_without_password(target)}"'
    )
    print(f"  database = {named}")
    print(f"{moving.shown(origin)} is as it was. Never start the router on it again: what")
    print("waits there would be sent a second time.")


@app.command(epilog="Example: router db backup backups/2026-11-21.db")
def backup(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A new file, in a folder that is there.", show_default=False)
    ],
) -> None:
    """Write everything into a new SQLite file.

    As it is at one moment; the router may be running. On PostgreSQL, too: what
    `router db restore` reads is the same file.
    """
    from router.storage.database.backups import backup as write

    with _progress() as progress:
        write(project_of(ctx).database_url, file.absolute(), progress)
    print(f"{file} holds everything as it was when this began.")


@app.command(epilog="Example: router db restore backups/2026-11-21.db")
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `router db backup` wrote.")],
    *,
    nothing_since: Annotated[
        bool,
        typer.Option(
            "--nothing-since",
            help="The router was stopped before the backup was made, and has not run since: "
            "everything goes on.",
        ),
    ] = False,
) -> None:
    """Bring a backup back into an empty database.

    What may have been sent or answered since the backup is not sent or answered again: it waits
    for a person's word.
    """
    from router.cli.output import plural
    from router.clock import SystemClock
    from router.storage.database.backups import restore as read
    from router.storage.database.moving import shown

    url, now = project_of(ctx).database_url, SystemClock().now()
    with _progress() as progress:
        moved, held = read(file.absolute(), url, progress, now=now, nothing_since=nothing_since)
    print(f"{shown(url)} has {plural(sum(it.rows for it in moved), 'row')} of {file}.")
    if held.items:
        print(
            f"{plural(held.items, 'item')} of the outbox waited when the backup was made and may "
            "have been sent since.\nSay what became of each: router outbox list --state unknown"
        )
    if held.events:
        print(
            f"{plural(held.events, 'event')} waited when the backup was made and may have been "
            "answered since.\nLook at them: router events list --dead\n"
            "Let all of them go on: router events retry --restored\n"
            'Or none: router events discard --restored --because "…"'
        )
    if held.quiet:
        print(
            f"{plural(held.quiet, 'conversation')} that nobody wrote in may have been closed "
            'since: they close now without rules on = "idle" being asked.'
        )
    if not nothing_since and any(it.table == "poller" and it.rows for it in moved):
        print(
            "Nothing is polled for now: what was found since the backup would be found again, and "
            "answered again.\nLet each go on when that is right: router pollers list"
        )


def _kept(text: str) -> timedelta:
    """Read how long conversations are to be kept, as ``[policy] keep`` is read."""
    from pydantic import TypeAdapter, ValidationError

    from router.settings.values import Keep

    try:
        length = TypeAdapter(Keep).validate_python(text)
    except ValidationError as error:
        raise ArgumentMistake(f"--keep {error.errors()[0]['ctx']['error']}") from None
    if length is None:
        raise ArgumentMistake('--keep must be a duration: nothing is due with "never"')
    return timedelta(seconds=length)


def _without_password(url: str) -> str:
    from router.storage.database.moving import shown

    return shown(url) if url.startswith("postgresql") else url


def _url(text: str) -> str:
    """Read a URL that was typed, or the variable that has it."""
    from router.settings.database import database_url

    name = text.removeprefix("env:")
    if name != text:
        text = os.environ.get(name, "")
        if not text:
            raise ArgumentMistake(f'the environment variable "{name}" is not set')
    try:
        return database_url(text, Path.cwd())
    except ValueError as reason:
        raise ArgumentMistake(f"the database {reason}") from None


@contextmanager
def _progress() -> Iterator[Callable[[str, str, int, int], None]]:
    """Show how far it is: a bar on a terminal, else a line for each table. On stderr."""
    if not sys.stderr.isatty():

        def tell(what: str, table: str, rows: int, total: int) -> None:
            if rows >= total:
                print(f"{what} {table}: {rows}", file=sys.stderr)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def show(what: str, table: str, rows: int, total: int) -> None:
            key = (what, table)
            if key not in tasks:
                tasks[key] = bars.add_task(f"{what} {table}", total=total)
            bars.update(tasks[key], completed=rows)

        yield show
