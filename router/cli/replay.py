"""``router replay``: recorded traffic decided again under another configuration."""

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from router.cli.options import ArgumentMistake, AsJson, Tenant, project_of

if TYPE_CHECKING:
    from router.cli.project import Project
    from router.pipeline.replay.comparing import Comparison
    from router.settings.model import Settings
    from router.storage.recordings import Recording

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%?")
#: Tables of a router.toml that no rules file has.
_TABLES: Final = frozenset({"router", "channels", "ai", "actions", "policy", "tenants", "queues"})
_FINE, _FAILED = 0, 1
#: Turns of each tenant that are looked at where nobody says how many.
_MOST: Final = 10_000


@app.command(epilog="Example: router replay --since 7d --against rules-new --max-changed 2%")
def replay(
    ctx: typer.Context,
    *,
    since: Annotated[
        str | None,
        typer.Option(help="From when: 7d, 12h, or a date such as 2026-11-01. Default: always."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Until when, in the same forms. Default: now.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR_OR_TOML",
            help="A router.toml, or a folder with other versions of the rules files. Default: the "
            "configuration as its files are now.",
        ),
    ] = None,
    recording: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A recording, in place of the database."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a recording, personal data masked; decide nothing."
        ),
    ] = None,
    max_changed: Annotated[
        str | None,
        typer.Option(metavar="PERCENT", help="Fail if more decisions than this are not the same."),
    ] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Explain an example of each change, then and now.")
    ] = False,
    tenant: Tenant = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="At most so many of each tenant, newest.")
    ] = _MOST,
    as_json: AsJson = False,
) -> int:
    """Decide recorded traffic again under another configuration, and show the difference.

    Nothing is sent, asked or stored; models answer what they answered then. Exit status 1 if more
    than --max-changed of the decisions are not known to be the same.
    """
    from router.cli.differences import as_values, print_comparison
    from router.cli.output import plural, print_json

    most = _percent(max_changed)
    project = project_of(ctx)
    if export is not None:
        if against is not None or max_changed is not None or recording is not None:
            raise ArgumentMistake("--export only writes a recording: leave the other options out")
        from router.pipeline.replay.files import write

        found = _recorded(project, since, until, tenant, limit)
        write(found, export)
        told = {"file": str(export), "decisions": len(found.turns), "more": found.more}
        if as_json:
            print_json(told)
        else:
            print(f"{export}: {plural(len(found.turns), 'decision')}, personal data masked.")
            print("Names that people tell in their messages stay: read it before you share it.")
        return _FINE
    if recording is None:
        found = _recorded(project, since, until, tenant, limit)
    else:
        if (since, until, tenant) != (None, None, None):
            raise ArgumentMistake("--since, --until and --tenant choose what --export writes")
        from router.pipeline.replay.files import load

        found = load(recording)
    settings = _candidate(project, against)
    comparison = _replayed(settings, found)
    failed = most is not None and comparison.share * 100 > most
    if as_json:
        print_json(as_values(settings, found, comparison, most, trace=trace))
    else:
        print_comparison(settings, found, comparison, most, trace=trace)
    return _FAILED if failed else _FINE


def _percent(text: str | None) -> float | None:
    if text is None:
        return None
    match = _PERCENT.fullmatch(text.strip())
    if match is None or float(match[1]) > 100:
        raise ArgumentMistake(f'--max-changed "{text}" is no percentage; write one such as 2%')
    return float(match[1])


def _moment(text: str | None) -> datetime | None:
    from router.clock import SystemClock
    from router.rules.durations import parse_duration

    if text is None:
        return None
    ago = parse_duration(text)
    try:
        # A date without a zone is one of this machine, as every moment that is printed.
        return (
            datetime.fromisoformat(text).astimezone() if ago is None else SystemClock().now() - ago
        )
    except (OverflowError, ValueError):
        raise ArgumentMistake(
            f'"{text}" is neither a duration such as 7d nor a date such as 2026-11-01'
        ) from None


def _recorded(
    project: "Project", since: str | None, until: str | None, tenant: str | None, limit: int
) -> "Recording":
    from router.storage.recordings import recorded

    first, last = _moment(since), _moment(until)
    tenants = project.chosen(tenant)
    with project.reading() as connection:
        return recorded(connection, tenants, since=first, until=last, limit=limit)


def _candidate(project: "Project", against: Path | None) -> "Settings":
    """Read the configuration to decide by.

    :raises ConfigError: with every problem there is.
    """
    from router.cli.project import Project
    from router.settings.overlay import with_rules

    if against is None:
        return project.settings()
    inside = against / "router.toml"
    if against.is_dir():
        return (
            Project(inside).settings()
            if inside.is_file()
            else with_rules(project.settings(), against)
        )
    if not against.is_file():
        raise ArgumentMistake(f"there is neither a folder nor a file {against}")
    if _is_configuration(against):
        return Project(against).settings()
    return with_rules(project.settings(), against)


def _is_configuration(path: Path) -> bool:
    from router.toml import load

    return bool(_TABLES.intersection(load(path).values))


def _replayed(settings: "Settings", found: "Recording") -> "Comparison":
    from router.clock import SystemClock
    from router.logs import Redaction, configure
    from router.pipeline.instances.configuration import Configuration
    from router.pipeline.instances.instances import Instances
    from router.pipeline.replay.comparing import compare_all
    from router.pipeline.replay.deciding import Replayer

    log = configure(Redaction(settings.secrets))
    instances = Instances(settings, SystemClock(), log, offline=True)
    replayer = Replayer(Configuration(settings, instances))
    return compare_all((turn, replayer.replay(turn)) for turn in found.turns)
