"""``router reload``: the running daemon reads its files again, and says what became of it."""

from collections.abc import Mapping
from typing import Any

import typer

from router.cli.options import AsJson, project_of

app = typer.Typer(add_completion=False, rich_markup_mode=None)

#: Reading, starting what changed and probing it may take so long, in seconds.
_PATIENCE = 120.0


@app.command(epilog="Example: router reload")
def reload(ctx: typer.Context, as_json: AsJson = False) -> int:
    """Let the running daemon read its files again.

    What they say is taken up as a whole or not at all. Exit status 2 if the files have mistakes,
    1 if something that they name cannot run, or if recorded traffic speaks against them; then
    nothing has changed.
    """
    from router.cli.output import print_json
    from router.errors import RouterError
    from router.pipeline.people.control import ask, socket_path
    from router.storage.sqlite.lock import holder

    database = project_of(ctx).sqlite
    if database is None:
        raise RouterError(
            "nodes on PostgreSQL are not reached from here. Send each one SIGHUP: "
            "`systemctl reload`, or `kill -HUP` and its process id"
        )
    if holder(database) is None:
        raise RouterError("the router does not run: it reads its files when it starts")
    load = ask(socket_path(database), "reload", {}, timeout=_PATIENCE)
    if as_json:
        print_json(load)
    else:
        _print(load)
    if load["applied"]:
        return 0
    return 2 if load["mistakes"] else 1


def _print(load: Mapping[str, Any]) -> None:
    import sys

    from router.cli.output import line, print_fields

    if not load["applied"]:
        for problem in load["problems"]:
            print(problem, file=sys.stderr)
        print("not reloaded: what runs goes on unchanged", file=sys.stderr)
        return
    instances = [*(f"{name} started" for name in load["started"])]
    instances += [f"{name} ended" for name in load["ended"] if name not in load["started"]]
    print_fields(
        [
            ("reloaded", f"{load['hash']} in {load['seconds']:g} s"),
            *(("changed", line(words)) for words in load["changed"] or ["nothing"]),
            ("instances", ", ".join([*instances, f"{load['kept']} kept"])),
            ("needs a restart", ", ".join(load["restart"]) or None),
            *(("doubtful", line(words)) for words in load["doubts"]),
        ]
    )
