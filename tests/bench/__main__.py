"""``make bench``: what a webhook costs until it is stored, and until the provider has the answer.

One run measures its ceilings, too: the same server with an empty answer, and a file that is
appended to and synced. The load comes from this process on the same machine, so the rates are
what both share; quote the ratios.
"""

import argparse
import asyncio
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench import ceilings, load
from tests.bench.site import Daemon, announced_port, memory, running, write_site

CONNECTIONS = 64


@contextmanager
def _empty(engine: str, folder: Path) -> Iterator[int]:
    log = (folder / "empty.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", ceilings.APP, engine], stdout=subprocess.PIPE, stderr=log, text=True
    )
    try:
        yield announced_port(process, folder / "empty.log")
    finally:
        process.terminate()
        process.wait(30)
        log.close()


async def _measure(engine: str, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as name:
        folder = Path(name)
        rate, p50, p99 = ceilings.append(folder, seconds=2)
        found["append + fdatasync"] = {"per_s": rate, "p50_ms": p50, "p99_ms": p99}
        with _empty(engine, folder) as port:
            sample = await load.closed_loop(
                port, load.webhooks("silent"), connections=CONNECTIONS, seconds=seconds
            )
            found["empty answer"] = _rates(sample)
            slow, _ = await load.open_loop(
                port, load.webhooks("silent"), per_second=100, seconds=seconds
            )
            found["empty answer at 100/s"] = _rates(slow)
        async with load.Provider() as provider:
            site = folder / "site"
            site.mkdir()
            config = write_site(site, provider=provider.url, engine=engine)
            with running(config) as daemon:
                await _first(daemon, found)
                await asyncio.sleep(1)
                found["idle memory"] = {"mb": memory(daemon.pid)}
                await _paced(daemon, provider, found, seconds)
                await _acks(daemon, found, seconds)
                await _replies(daemon, provider, found, seconds)
                found["memory after load"] = {"mb": memory(daemon.pid)}
                wal = daemon.folder / "router.db-wal"
                found["WAL after load"] = {"mb": wal.stat().st_size / 2**20}
    return found


def _rates(sample: load.Sample) -> dict[str, Any]:
    return {
        "per_s": sample.rate,
        "p50_ms": sample.percentile(50),
        "p99_ms": sample.percentile(99),
        "statuses": {str(status): number for status, number in sample.statuses.items()},
    }


async def _first(daemon: Daemon, found: dict[str, Any]) -> None:
    began = time.perf_counter()
    one = load.webhooks("silent", start=90_000_000)
    await load.closed_loop(daemon.port, one, connections=1, seconds=0.001)
    found["cold start to first ack"] = {"s": daemon.boot + time.perf_counter() - began}


async def _paced(
    daemon: Daemon, provider: load.Provider, found: dict[str, Any], seconds: float
) -> None:
    # The first few open connections and compile statements; they are not the steady state.
    warm = load.webhooks("horario", start=80_000_000)
    await load.open_loop(daemon.port, warm, per_second=100, seconds=1)
    requests = load.webhooks("¿cuál es el horario?", start=70_000_000)
    sample, began = await load.open_loop(
        daemon.port, requests, per_second=100, seconds=max(seconds, 5)
    )
    await load.until(lambda: began.keys() <= provider.received.keys(), 30)
    found["ack at 100/s"] = _rates(sample)
    times = [(provider.received[who] - due) * 1000 for who, due in began.items()]
    through = load.Sample(sample.seconds, times)
    found["webhook to provider at 100/s"] = _rates(through)


async def _acks(daemon: Daemon, found: dict[str, Any], seconds: float) -> None:
    sample = await load.closed_loop(
        daemon.port, load.webhooks("silent"), connections=CONNECTIONS, seconds=seconds
    )
    found["durable acks"] = _rates(sample)


async def _replies(
    daemon: Daemon, provider: load.Provider, found: dict[str, Any], seconds: float
) -> None:
    before = len(provider.received)
    began = time.perf_counter()
    sample = await load.closed_loop(
        daemon.port,
        load.webhooks("¿cuál es el horario?", start=10_000_000),
        connections=CONNECTIONS,
        seconds=seconds,
    )
    accepted = len(sample.times)
    complete = await load.until(lambda: len(provider.received) - before >= accepted, 120)
    elapsed = time.perf_counter() - began
    received = len(provider.received) - before
    found["replies"] = {
        "per_s": received / elapsed,
        "accepted": accepted,
        "received": received,
        "complete": complete,
    }


#: measure, what is quoted, unit, ceiling it is compared with, must, aim, whether more is better
_GOALS = (
    ("durable acks", "per_s", "/s", "empty answer", 3500, 3800, True),
    ("replies", "per_s", "/s", "empty answer", 2000, 2500, True),
    ("ack at 100/s", "p50_ms", "ms", "empty answer at 100/s", 3.0, 2.5, False),
    ("ack at 100/s", "p99_ms", "ms", "empty answer at 100/s", 6.0, 5.0, False),
    ("webhook to provider at 100/s", "p50_ms", "ms", "append + fdatasync", 4.0, 3.0, False),
    ("webhook to provider at 100/s", "p99_ms", "ms", "append + fdatasync", 8.0, 6.0, False),
    ("cold start to first ack", "s", "s", None, 1.0, 0.8, False),
    ("idle memory", "mb", "MB", None, 90, 80, False),
)
_UVICORN = {("durable acks", "per_s"): (7000, 8000), ("replies", "per_s"): (3000, 4000)}


def _table(engine: str, found: dict[str, Any]) -> str:
    lines = [
        f"{engine}, Python {platform.python_version()}, {CONNECTIONS} connections",
        f"{'measure':38} {'value':>10}     {'ceiling':>10} {'ratio':>6} {'must':>7} {'aim':>7}",
    ]
    for name, key, unit, ceiling, *goals, more in _GOALS:
        must, aim = _UVICORN.get((name, key), goals) if engine == "uvicorn" else goals
        value = found[name][key]
        top = found[ceiling][key] if ceiling else None
        ratio = f"{value / top:6.2f}" if top else ""
        met = value >= must if more else value <= must
        label = f"{name} {key.split('_')[0]}" if key.startswith("p") and key != "per_s" else name
        lines.append(
            f"{label:38} {value:10,.2f} {unit:3} {top or 0:10,.2f} {ratio:>6} {must:7,} {aim:7,}"
            f" {'' if met else ' missed'}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, write the numbers beside it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--engine", choices=("hypercorn", "uvicorn", "both"), default="both")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measure")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    arguments = parser.parse_args()
    engines = ("hypercorn", "uvicorn") if arguments.engine == "both" else (arguments.engine,)
    results = {}
    for engine in engines:
        results[engine] = asyncio.run(_measure(engine, arguments.seconds))
        print(_table(engine, results[engine]), flush=True)
        print()
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=2))
    print(f"numbers: {arguments.json}")


if __name__ == "__main__":
    main()
