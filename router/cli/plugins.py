"""``router plugins``: what is registered by whom, a new one's skeleton, the conformance table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.cli.options import ArgumentMistake, AsJson, project_of

if TYPE_CHECKING:
    from router.plugin.registry import Registration, Registry

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)

_RESULTS = {"passed": "passed", "failed": "FAILED", "exempt": "exempt", "missing": "MISSING"}


@app.callback()
def plugins(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Say what is registered by whom."""
    if ctx.invoked_subcommand is None:
        list_(ctx, as_json)


@app.command("list", epilog="Example: router plugins list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List every kind with the plugin that brings it."""
    from router.cli.output import print_json, print_table

    registry = project_of(ctx).registry
    rows = [
        {
            "kind": each.kind,
            "group": group,
            "plugin": each.plugin,
            "package": each.distribution,
            "version": each.version,
            "file": None if each.file is None else str(each.file),
        }
        for group, each in _registered(registry)
    ]
    failures = [
        {"plugin": each.plugin, "package": each.distribution, "cause": each.cause}
        for each in registry.failures.values()
    ]
    if as_json:
        print_json({"kinds": rows, "failures": failures})
        return
    print_table(
        ("KIND", "OF", "PLUGIN", "FROM"),
        [
            (
                row["kind"],
                row["group"],
                row["plugin"],
                row["file"] or f"{row['package']} {row['version']}",
            )
            for row in rows
        ],
        nothing="No plugin is installed.",
    )
    for each in registry.failures.values():
        print(f"\nplugin {each}\n(it could not be loaded)")


@app.command(epilog="Example: router plugins new acme_sms")
def new(
    name: Annotated[str, typer.Argument(help="Its kind: lower-case letters, digits, underscores.")],
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where to. Default: router-NAME, here.")
    ] = None,
) -> None:
    """Write the skeleton of a plugin with its tests.

    It works, and passes them; then make it yours. Nothing is overwritten.
    """
    from router.plugin.skeleton import write_skeleton

    folder = directory or Path(f"router-{name.replace('_', '-')}")
    for path in write_skeleton(folder, name):
        print(f"wrote {path}")
    print(f"\nNext: {_pip()} install -e {folder}; router plugins check {name}")


def _pip() -> str:
    """Give the pip of the environment that this runs in: another's would install elsewhere."""
    import os
    import sys

    here = Path(sys.executable).with_name("pip")
    return os.path.relpath(here) if here.is_relative_to(Path.cwd()) else str(here)


@app.command(epilog="Example: router plugins check simulator")
def check(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A plugin, or one kind of it.")],
    as_json: AsJson = False,
) -> int:
    """Run the conformance suites that a plugin ships.

    Contacts nobody. Exit status 1 if a check fails or there is no suite.
    """
    from router.cli.output import plural, print_json, print_table
    from router.plugin.testing.conformance import conformance

    registry = project_of(ctx).registry
    found = [each for _, each in _registered(registry) if name in (each.plugin, each.kind)]
    if not found:
        raise ArgumentMistake(_unknown(registry, name))
    results = [(each.kind, result) for each in found for result in conformance(each)]
    bad = [result for _, result in results if result.outcome in ("failed", "missing")]
    if as_json:
        print_json(
            [
                {
                    "kind": kind,
                    "check": it.check,
                    "row": it.label,
                    "result": it.outcome,
                    "reason": it.reason,
                }
                for kind, it in results
            ]
        )
        return 1 if bad else 0
    print_table(
        ("KIND", "CHECK", "RESULT", "ROW"),
        [(kind, it.check, _RESULTS[it.outcome], it.label) for kind, it in results],
    )
    for it in (it for _, it in results if it.reason):
        print(f"\n{it.check}{f' ({it.label})' if it.label else ''}, {it.outcome}: {it.reason}")
    passed = sum(1 for _, it in results if it.outcome == "passed")
    print(f"\n{plural(passed, 'check')} passed, {len(bad)} did not.")
    return 1 if bad else 0


def _registered(registry: "Registry") -> "list[tuple[str, Registration[Any]]]":
    return [
        *(("channel", each) for _, each in sorted(registry.channels.items())),
        *(("AI backend", each) for _, each in sorted(registry.ai_backends.items())),
        *(("action", each) for _, each in sorted(registry.actions.items())),
    ]


def _unknown(registry: "Registry", name: str) -> str:
    from router.toml import suggest

    if failure := registry.failures.get(name):
        return f"plugin {failure} (it could not be loaded)"
    plugins = {each.plugin for _, each in _registered(registry)}
    hint = suggest(name, plugins) or f" There are: {', '.join(sorted(plugins)) or 'none'}"
    return f'there is no plugin or kind "{name}".{hint}'
