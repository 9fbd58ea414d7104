"""``router run``: the daemon."""

from typing import Annotated

import typer

from router.cli.options import project_of

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: router run --host 0.0.0.0 --port 8080")
def run(
    ctx: typer.Context,
    host: Annotated[
        str | None, typer.Option(help="The address to listen on, instead of the configured one.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The port, instead of the configured one; 0: any."),
    ] = None,
    migrate: Annotated[
        bool, typer.Option("--migrate/--no-migrate", help="Bring the database's schema up to date.")
    ] = True,
) -> int:
    """Run the daemon until SIGTERM or Ctrl-C.

    They let what is under way end; what waits is done after the next start. SIGHUP reloads the
    files, as does a change of one of them.
    """
    from router import process

    project = project_of(ctx)
    project.check_exists()
    return process.run(project.config, host=host, port=port, migrate=migrate)
