"""``router db``: the database itself."""

import typer

from router.cli.options import AsJson, project_of

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="The database itself."
)


@app.command(epilog="Example: router db migrate")
def migrate(ctx: typer.Context) -> None:
    """Make the database, or bring its schema up to date. The router must not be running."""
    from router.storage import migrating
    from router.storage.lock import DatabaseLock

    database = project_of(ctx).database
    with DatabaseLock(database):
        before = migrating.revision_of(database)
        migrating.migrate(database)
    if before == migrating.HEAD:
        print(f"{database} is up to date: schema {migrating.HEAD}.")
    else:
        print(f"{database} has schema {migrating.HEAD} now; before: {before or 'none'}.")


@app.command(epilog="Example: router db check")
def check(ctx: typer.Context, as_json: AsJson = False) -> int:
    """Look for damage: in the file, between the tables, in the lanes. Changes nothing."""
    from router.cli.output import print_json
    from router.storage.health import damage
    from router.storage.migrating import HEAD

    project = project_of(ctx)
    with project.reading() as connection:
        found = damage(connection)
    if as_json:
        print_json({"database": str(project.database), "schema": HEAD, "damage": found})
    elif found:
        for sentence in found:
            print(sentence)
        print(f"\n{project.database} is damaged. Restore a backup, and keep this file for a look.")
    else:
        print(f"{project.database} is sound: schema {HEAD}.")
    return 1 if found else 0
