"""``router doctor``: what keeps webhooks from coming in, and the line to change."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.cli.options import ArgumentMistake, AsJson, project_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.cli.project import Project
    from router.logs import Redaction
    from router.settings.model import Settings
    from router.web.doctor.captures import Capture
    from router.web.doctor.diagnosis import Diagnosis

app = typer.Typer(add_completion=False, rich_markup_mode=None)

#: How long the public URL may take to answer, in seconds.
_PATIENCE = 10.0
_INDENT = " " * 9


@app.command(epilog="Example: router doctor --request refused.http")
def doctor(
    ctx: typer.Context,
    request: Annotated[
        str | None,
        typer.Option(
            "--request",
            metavar="FILE",
            help="Explain why this webhook was refused: raw HTTP as a proxy or tunnel saved it, or "
            "JSON with method, url, headers and body; - for standard input.",
        ),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(
            help="With --request: the channel, as NAME or TENANT/NAME. Default: as the path says."
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Find what keeps webhooks from coming in, and name the line to change.

    Looks at the files, the public URL and the way from there to here, the proxy, the clock, the
    database and its disk, and asks every provider how it is. Changes nothing, and shows no secret.
    Exit status 1 if anything is wrong; a warning is worth a look.
    """
    project = project_of(ctx)
    if request is not None:
        return _explain(project, _read(request), channel, as_json=as_json)
    if channel is not None:
        raise ArgumentMistake("--channel goes with --request")
    import anyio

    from router.logs import Redaction

    settings, problems = _settings(project)
    stored, several = _database(project, settings)
    ways = _base(project, settings), several
    found = anyio.run(_examined, project, settings, problems, stored, *ways)
    redaction = Redaction(settings.secrets)
    return _print(found, redaction, as_json=as_json)


def _settings(project: "Project") -> "tuple[Settings, list[str]]":
    """Read the configuration; give what would keep the router from running, too.

    :raises ConfigError: if it cannot even be read without its secrets.
    """
    from router.errors import ConfigError

    settings = project.settings()
    try:
        return project.settings(run=True), []
    except ConfigError as error:
        return settings, [str(problem) for problem in error.problems]


async def _examined(
    project: "Project",
    settings: "Settings",
    problems: list[str],
    stored: "list[Diagnosis]",
    base: str,
    several: bool,
) -> "list[Diagnosis]":
    """Look at everything.

    :param stored: what was found of the database.
    :param base: where the router listens on this machine.
    :param several: other nodes work on the database, too.
    """
    from router.clock import SystemClock
    from router.logs import Redaction, configure
    from router.pipeline.instances.instances import Instances
    from router.plugin.transport import open_client
    from router.web.doctor import instances as each
    from router.web.doctor.diagnosis import Lines
    from router.web.doctor.machine import configuration, files_folder, room
    from router.web.doctor.site import Site

    clock, lines = SystemClock(), Lines(settings.path)
    warnings = [str(it) for it in settings.warnings if str(it) not in problems]
    found = configuration(problems, warnings, f"{settings.path} is fine.")
    built = Instances(settings, clock, configure(Redaction(settings.secrets)))
    paths, local = (
        [each.self_test_path(live, settings.router.public_url) for live in which(built)]
        for which in (each.calling, each.local_only)
    )
    async with open_client(_PATIENCE) as client:
        site = Site(settings, lines, client, clock, base=base, several=several)
        found += await site.examined(paths, local)
        found += stored
        if settings.media.fetch and "://" not in settings.media.store:
            found += files_folder(Path(settings.media.store), lines)
        found += room(settings, project.sqlite)
        found += await each.examined(built, lines, clock, client, base=base, outside=site.skew)
    return found


def _database(project: "Project", settings: "Settings") -> "tuple[list[Diagnosis], bool]":
    """Look at the database; say, too, whether several nodes work on it."""
    from router.errors import RouterError
    from router.storage.status import living_nodes
    from router.web.doctor.diagnosis import Diagnosis, Level, Lines
    from router.web.doctor.machine import sqlite_file

    path, lines = project.sqlite, Lines(settings.path)
    found = [] if path is None else list(sqlite_file(path, lines))
    several = False
    if path is not None and (found[0].level is Level.WRONG or not path.exists()):
        return found, several
    try:
        with project.reading() as connection:
            if path is None:
                from router.storage.database.health import refusal

                several = len(living_nodes(connection)) > 1
                refused = refusal(connection)
                says = f"{project.database_name} can be read and written."
                found.append(
                    Diagnosis(
                        check="database",
                        level=Level.WRONG if refused else Level.OK,
                        says=refused or says,
                        place=lines.single("router", "database") if refused else None,
                    )
                )
    except RouterError as error:
        place = lines.single("router", "database")
        says = str(error)
        found.append(Diagnosis(check="database", level=Level.WRONG, says=says, place=place))
    return found, several


def _base(project: "Project", settings: "Settings") -> str:
    """Give where the router listens on this machine: as it says itself, else as configured."""
    from router.errors import RouterError
    from router.pipeline.people.control import ask, socket_path
    from router.storage.sqlite.lock import holder

    host, port = settings.server.host, settings.server.port
    path = project.sqlite
    try:
        running = path is not None and holder(path) is not None
    except RouterError:  # not this user's; what was found of the database says so
        running = False
    if path is not None and running:
        try:
            address = ask(socket_path(path), "status", {}, timeout=5.0).get("address")
        except RouterError:
            address = None
        if isinstance(address, dict):
            host, port = str(address["host"]), int(address["port"])
    if host in ("0.0.0.0", "::"):  # noqa: S104
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


# One request ──────────────────────────────────────────────────────────────────────────────────


def _read(name: str) -> "Capture":
    """Read a saved request.

    :raises ArgumentMistake: if it is none.
    """
    from router.web.doctor.captures import LONGEST, read_capture

    try:
        if name == "-":
            data = sys.stdin.buffer.read(LONGEST + 1)
        else:
            with Path(name).open("rb") as opened:
                data = opened.read(LONGEST + 1)
    except OSError as error:
        raise ArgumentMistake(f"{name}: {error.strerror or error}") from None
    try:
        return read_capture(data)
    except ValueError as error:
        shown = "standard input" if name == "-" else name
        raise ArgumentMistake(f"{shown} is no saved request: {error}") from None


def _explain(project: "Project", capture: "Capture", channel: str | None, *, as_json: bool) -> int:
    from router.clock import SystemClock
    from router.logs import Redaction, configure
    from router.pipeline.instances.instances import Instances
    from router.web.doctor.diagnosis import Lines
    from router.web.doctor.refusals import Refusal, find_target

    settings, problems = _settings(project)
    redaction = Redaction(settings.secrets)
    for problem in problems:
        print(f"warning: {redaction.clean(problem)}", file=sys.stderr)
    clock = SystemClock()
    instances = Instances(settings, clock, configure(redaction))
    target = find_target(instances, settings, capture.path, channel)
    if target is None:
        raise ArgumentMistake(_no_channel(capture, channel, instances.channels))
    verdict = Refusal(
        settings,
        instances,
        Lines(settings.path),
        capture,
        target,
        now=clock.now(),
        dotenv=_dotenv(settings.path.parent / ".env"),
    ).explained()
    if not as_json and not verdict.verified:
        from router.cli.output import line

        print(f"{verdict.channel} refuses it: {line(redaction.clean(verdict.reason))}\n")
    more = {"channel": verdict.channel, "verified": verdict.verified, "reason": verdict.reason}
    return _print(verdict.found, redaction, as_json=as_json, more=more)


def _dotenv(path: Path) -> dict[str, str]:
    """Give the variables of a ``.env``; none where it cannot be read, which was said already."""
    from router.settings.secrets import read_dotenv

    try:
        return read_dotenv(path)
    except (OSError, UnicodeDecodeError):
        return {}


def _no_channel(capture: "Capture", channel: str | None, channels: Any) -> str:
    from router.cli.output import line

    names = [name if tenant == "main" else f"{tenant}/{name}" for tenant, name in channels]
    known = f"Configured: {', '.join(sorted(names)) or 'none'}"
    if channel is not None:
        return f'there is no channel "{channel}". {known}'
    return (
        f'"{line(capture.path)}" is the address of no channel. {known}. '
        "Name the one that it was for with --channel"
    )


# Printing ─────────────────────────────────────────────────────────────────────────────────────


def _print(
    found: "Sequence[Diagnosis]",
    redaction: "Redaction",
    *,
    as_json: bool,
    more: dict[str, Any] | None = None,
) -> int:
    from dataclasses import asdict

    from router.cli.output import line, plural, print_json
    from router.web.doctor.diagnosis import Level, worst

    bad = worst(found) is Level.WRONG
    if as_json:
        values = {"ok": not bad, **(more or {}), "checks": [asdict(each) for each in found]}
        print_json(redaction.clean(values))
        return 1 if bad else 0
    for each in found:
        about = f"{each.about}, " if each.about else ""
        print(f"{each.level:<8} {about}{each.check}: {line(redaction.clean(each.says))}")
        if each.change is not None:
            print(f"{_INDENT}{each.place}: write {line(redaction.clean(each.change))}")
        elif each.place is not None:
            print(f"{_INDENT}{each.place}")
    counts = [sum(each.level is level for each in found) for level in (Level.WRONG, Level.WARNING)]
    wrong = f"{counts[0]} wrong" if counts[0] else "Nothing is wrong"
    print(f"\n{wrong}, {plural(counts[1], 'warning')}.")
    return 1 if bad else 0
