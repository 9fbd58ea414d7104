"""``make bench``: what the router does in a second, against what the machine could do.

One run measures its ceilings, too: the rows of the same events written without an engine, the
same server with an empty answer, a file that is appended to and synced. The load comes from this
machine, so the rates are what both share; quote the ratios.
"""

import argparse
import asyncio
import json
import platform
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from router.process import keep_pauses_short
from tests.bench import engine, goals, http, passes, replay, soak, stores, triage

_STORES = {"sqlite": (stores.sqlite, goals.SQLITE), "postgres": (stores.postgres, goals.POSTGRES)}


def main() -> None:
    """Measure, print the tables, write the numbers beside them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        choices=("engine", "http", "growth", "passes", "replay", "triage"),
        help="may be repeated",
    )
    parser.add_argument("--store", action="append", choices=tuple(_STORES), help="may be repeated")
    parser.add_argument("--server", action="append", choices=tuple(goals.HTTP))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measure")
    parser.add_argument(
        "--minutes",
        type=float,
        help="instead of everything else, let customers write for so long while the provider fails "
        "and recovers, and see what grows; behind the first server",
    )
    parser.add_argument(
        "--errors", action="store_true", help="of triage, what is wrong on the tune half"
    )
    parser.add_argument("--json", type=Path, help="build/bench.json, or build/soak.json")
    arguments = parser.parse_args()
    if arguments.minutes:
        server = (arguments.server or list(goals.HTTP))[0]
        found = asyncio.run(soak.measure(server, arguments.minutes))
        title = f"{arguments.minutes:g} minutes at {soak.PER_SECOND}/s through {server}"
        print(goals.table(title, soak.GOALS, found), end="\n\n")
        _keep({title: found}, arguments.json or Path("build/soak.json"))
        return
    only = arguments.only or ["engine", "http", "passes", "replay", "triage"]
    keep_pauses_short()  # as the daemon does
    print(f"Python {platform.python_version()}, {engine.PRODUCERS} producers\n")
    results: dict[str, Any] = {}
    for name in arguments.store or _STORES:
        opened, wanted = _STORES[name]
        if "engine" in only:
            found = asyncio.run(_with(opened, engine.measure, arguments.seconds))
            results[name] = found
            print(goals.table(f"engine on {name}", wanted, found), end="\n\n", flush=True)
        if "growth" in only:
            found = asyncio.run(_growth(opened, arguments.seconds))
            results[f"growth on {name}"] = found
            print(goals.table(f"growth on {name}", goals.GROWTH, found), end="\n\n", flush=True)
    for server in arguments.server or goals.HTTP:
        if "http" in only:
            found = asyncio.run(http.measure(server, arguments.seconds))
            results[server] = found
            print(goals.table(f"through {server}", goals.HTTP[server], found), end="\n\n")
    if "passes" in only:
        found = results["passes"] = passes.measure(min(arguments.seconds, 2.0))
        title = f"one message, {passes.RULES} rules"
        print(goals.table(title, passes.GOALS, found), end="\n\n", flush=True)
    if "replay" in only:
        found = results["replay"] = replay.measure()
        print(goals.table("recorded traffic", replay.GOALS, found), end="\n\n", flush=True)
    if "triage" in only:
        results["triage"] = triage.measure()
        print(triage.table(results["triage"]), end="\n\n", flush=True)
        if arguments.errors:
            print(triage.errors(), end="\n\n")
    _keep(results, arguments.json or Path("build/bench.json"))


def _keep(results: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2))
    print(f"numbers: {path}")


async def _with(opened: Any, measure: Any, seconds: float) -> dict[str, Any]:
    async with opened() as database:
        result: dict[str, Any] = await measure(database, seconds)
        return result


async def _growth(opened: Any, seconds: float) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(opened()) for _ in engine.SIZES]
        return await engine.growth(databases, seconds)


if __name__ == "__main__":
    main()
