"""``router status``: how things stand."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from router.cli.options import AsJson, project_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from router.storage.status import Queue, TenantCounts

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_LANES = {"in": "events", "out": "messages", "job": "jobs"}
_STATES = ("waiting", "started", "unknown", "refused", "dead", "withdrawn", "done")


@app.command(epilog="Example: router status")
def status(ctx: typer.Context, as_json: AsJson = False) -> int:
    """Say what runs, what waits, and what wants a person's look.

    Exit status 1 if the router does not run, something it needs is down, or its last reload was
    refused.
    """
    from router.cli.output import print_json
    from router.cli.pollers import print_pollers
    from router.clock import SystemClock
    from router.storage.pollers import pollers
    from router.storage.status import database_size, last_node, tenant_counts

    project = project_of(ctx)
    now = SystemClock().now()
    with project.reading() as connection:
        counts = [tenant_counts(connection, name, now) for name in project.tenants]
        polled = [each for name in project.tenants for each in pollers(connection, name)]
        node = last_node(connection)
        path = project.sqlite
        daemon = _daemon(path) if path else _nodes(connection)
        size = _size(path) if path else database_size(connection)
    database = {"path": project.database_name, "bytes": size}
    if as_json:
        print_json(
            {
                "running": daemon is not None,
                "daemon": daemon,
                "last_start": node,
                "database": database,
                "tenants": counts,
                "pollers": polled,
            }
        )
    else:
        _print(daemon, node, database, counts)
        if polled:
            print()
            print_pollers(polled)
    return 1 if daemon is None or daemon.get("trouble") or "unreachable" in daemon else 0


def _daemon(database: Path) -> dict[str, Any] | None:
    """Ask the process that has the database open; ``None`` if there is none."""
    from router.errors import DaemonUnreachable, RouterError
    from router.pipeline.people.control import ask, socket_path
    from router.storage.sqlite.lock import holder

    process = holder(database)
    if process is None:
        return None
    try:
        return ask(socket_path(database), "status", {}, timeout=5.0)
    except DaemonUnreachable as error:
        return {"pid": process, "unreachable": str(error)}
    except RouterError as error:
        return {"pid": process, "unreachable": f"it answered: {error}"}


def _nodes(connection: "Connection") -> dict[str, Any] | None:
    """Give the nodes that are heard of; ``None`` if there is none."""
    from router.storage.status import living_nodes

    nodes = living_nodes(connection)
    return {"nodes": nodes} if nodes else None


def _size(database: Path) -> int:
    files = (database, *(database.with_name(database.name + end) for end in ("-wal", "-shm")))
    return sum(file.stat().st_size for file in files if file.exists())


def _print(
    daemon: Mapping[str, Any] | None,
    node: Any,
    database: Mapping[str, Any],
    counts: "list[TenantCounts]",
) -> None:
    from router.cli.output import moment, print_fields, print_table

    print_fields(
        [
            *_running(daemon),
            ("last start", moment(node.started_at) if daemon is None and node else None),
            ("trouble", "; ".join(daemon.get("trouble", ())) if daemon else None),
            ("configuration", _configuration(daemon)),
            *_last_load(daemon),
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
                    _state(each),
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
                ("queue", _queue(tenant.queue)),
                ("outbox", ", ".join(outbox) or "empty"),
                ("dead letters", _look(tenant.dead, "router events list --dead")),
                ("unparsed", _look(tenant.unparsed, "router events list --unparsed")),
                ("drafts", _look(tenant.drafts, "router drafts list")),
                ("tickets", _look(tenant.tickets, "router tickets list")),
                ("escalations", _look(tenant.escalations, "router escalations list")),
            ]
        )


def _queue(queue: "Queue") -> str:
    return (
        f"{queue.waiting} waiting, {queue.active} active, {queue.completed} completed in 24 h, "
        f"{queue.failed} failed, {queue.late} late, {queue.parked} parked"
    )


def _state(instance: Mapping[str, Any]) -> str:
    from datetime import datetime

    from router.cli.output import line, moment

    if not instance["up"]:
        return f"down: {line(instance['error'])}"
    breaker = instance.get("breaker")
    if breaker is None:
        return "up"
    since = moment(datetime.fromisoformat(breaker["open_since"]))
    return f"circuit breaker open since {since}: {line(breaker['error'])}"


def _running(daemon: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if daemon is None:
        return [("router", "does not run")]
    if "nodes" in daemon:
        return [(f"node {node.id}", _as_node(node)) for node in daemon["nodes"]]
    if "unreachable" in daemon:
        told = f"process {daemon['pid']} has the database open; {daemon['unreachable']}"
        return [("router", told)]
    from datetime import datetime

    from router.cli.output import age, moment

    since = datetime.fromisoformat(daemon["since"])
    draining = ", stopping" if daemon.get("draining") else ""
    told = (
        f"{daemon['version']} runs as process {daemon['pid']} since {moment(since)} "
        f"({age(since)}){draining}"
    )
    return [("router", told)]


def _as_node(node: Any) -> str:
    from router.cli.output import age, moment

    since = f"since {moment(node.started_at)} ({age(node.started_at)})"
    return f"{node.version} runs on {node.host} {since}"


def _configuration(daemon: Mapping[str, Any] | None) -> str | None:
    settings = daemon.get("settings") if daemon else None
    return f"{settings['path']} ({settings['hash']})" if settings else None


def _last_load(daemon: Mapping[str, Any] | None) -> list[tuple[str, str | None]]:
    """Say how the files were last read, if they were since the start."""
    from datetime import datetime

    from router.cli.output import age, line, moment

    settings = daemon.get("settings") if daemon else None
    if not settings or "last_load" not in settings:
        return []
    load = settings["last_load"]
    restart = ("needs a restart", ", ".join(settings["restart"]) or None)
    if load["by"] == "start":
        return [restart]
    at = datetime.fromisoformat(load["at"])
    when = f"{moment(at)} ({age(at)}), by {load['by']}"
    if not load["applied"]:
        told = [("", line(problem)) for problem in load["problems"]]
        return [("last reload", f"refused: {when}"), *told, restart]
    told = [("", line(words)) for words in load["changed"] or ["nothing changed"]]
    return [("last reload", when), *told, restart]


def _look(number: int, command: str) -> str:
    return f"{number} ({command})" if number else "0"


def _bytes(number: int) -> str:
    size = float(number)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
