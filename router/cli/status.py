"""``router status``: how things stand."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from router.cli.options import AsJson, project_of

if TYPE_CHECKING:
    from router.cli.project import Project
    from router.storage.status import TenantCounts

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_LANES = {"in": "events", "out": "messages", "job": "jobs"}
_STATES = ("waiting", "started", "unknown", "refused", "dead", "withdrawn", "done")


@app.command(epilog="Example: router status")
def status(ctx: typer.Context, as_json: AsJson = False) -> int:
    """Say what runs, what waits, and what wants a person's look.

    Exit status 1 if the router does not run, or something it needs is down.
    """
    from router.cli.output import print_json
    from router.clock import SystemClock
    from router.storage.status import last_node, tenant_counts

    project = project_of(ctx)
    now = SystemClock().now()
    with project.reading() as connection:
        counts = [tenant_counts(connection, name, now) for name in project.tenants]
        node = last_node(connection)
    daemon = _daemon(project)
    database = {"path": str(project.database), "bytes": _size(project.database)}
    if as_json:
        print_json(
            {
                "running": daemon is not None,
                "daemon": daemon,
                "last_start": node,
                "database": database,
                "tenants": counts,
            }
        )
    else:
        _print(daemon, node, database, counts)
    return 1 if daemon is None or daemon.get("trouble") or "unreachable" in daemon else 0


def _daemon(project: "Project") -> dict[str, Any] | None:
    """Ask the process that has the database open; ``None`` if there is none."""
    from router.errors import DaemonUnreachable, RouterError
    from router.pipeline.control import ask, socket_path
    from router.storage.lock import holder

    process = holder(project.database)
    if process is None:
        return None
    try:
        return ask(socket_path(project.database), "status", {}, timeout=5.0)
    except DaemonUnreachable as error:
        return {"pid": process, "unreachable": str(error)}
    except RouterError as error:
        return {"pid": process, "unreachable": f"it answered: {error}"}


def _size(database: Path) -> int:
    files = (database, *(database.with_name(database.name + end) for end in ("-wal", "-shm")))
    return sum(file.stat().st_size for file in files if file.exists())


def _print(
    daemon: Mapping[str, Any] | None,
    node: Any,
    database: Mapping[str, Any],
    counts: "list[TenantCounts]",
) -> None:
    from router.cli.output import line, moment, print_fields, print_table

    print_fields(
        [
            ("router", _running(daemon)),
            ("last start", moment(node.started_at) if daemon is None and node else None),
            ("trouble", "; ".join(daemon.get("trouble", ())) if daemon else None),
            ("configuration", _configuration(daemon)),
            ("database", f"{database['path']}, {_bytes(database['bytes'])}"),
        ]
    )
    instances = daemon.get("instances", ()) if daemon else ()
    if instances:
        print()
        print_table(
            ("INSTANCE", "KIND", "STATE"),
            [
                (
                    each["name"],
                    each["kind"],
                    "up" if each["up"] else f"down: {line(each['error'])}",
                )
                for each in instances
            ],
        )
    for tenant in counts:
        print(f"\nTenant {tenant.tenant}" if len(counts) > 1 else "")
        print_table(
            ("LANES", "WAITING", "WORKED", "LATE", "PARKED"),
            [
                (_LANES[kind], lanes.waiting, lanes.working, lanes.late, lanes.parked)
                for kind, lanes in tenant.lanes.items()
            ],
        )
        print()
        outbox = [f"{tenant.outbox[word]} {word}" for word in _STATES if tenant.outbox.get(word)]
        print_fields(
            [
                ("outbox", ", ".join(outbox) or "empty"),
                ("dead letters", _look(tenant.dead, "router events list --dead")),
                ("unparsed", _look(tenant.unparsed, "router events list --unparsed")),
                ("drafts", _look(tenant.drafts, "router drafts list")),
                ("tickets", _look(tenant.tickets, "router tickets list")),
                ("escalations", _look(tenant.escalations, "router escalations list")),
            ]
        )


def _running(daemon: Mapping[str, Any] | None) -> str:
    if daemon is None:
        return "does not run"
    if "unreachable" in daemon:
        return f"process {daemon['pid']} has the database open; {daemon['unreachable']}"
    from datetime import datetime

    from router.cli.output import age, moment

    since = datetime.fromisoformat(daemon["since"])
    draining = ", stopping" if daemon.get("draining") else ""
    return (
        f"{daemon['version']} runs as process {daemon['pid']} since {moment(since)} "
        f"({age(since)}){draining}"
    )


def _configuration(daemon: Mapping[str, Any] | None) -> str | None:
    settings = daemon.get("settings") if daemon else None
    return f"{settings['path']} ({settings['hash']})" if settings else None


def _look(number: int, command: str) -> str:
    return f"{number} ({command})" if number else "0"


def _bytes(number: int) -> str:
    size = float(number)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
