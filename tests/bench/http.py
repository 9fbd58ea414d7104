"""The daemon through HTTP: what a webhook costs until it is stored, and until it is answered."""

import asyncio
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

#: Requests under way at once.
CONNECTIONS = 64


async def measure(engine: str, seconds: float) -> dict[str, Any]:
    """Measure a daemon on SQLite behind the engine named, and the engine's empty answer."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as name:
        folder = Path(name)
        rate, p50, p99 = ceilings.append(folder, seconds=2)
        found["append + fdatasync"] = {"per_s": rate, "p50_ms": p50, "p99_ms": p99}
        with _serving(folder, engine) as port:
            sample = await load.closed_loop(
                port, load.webhooks("silent"), connections=CONNECTIONS, seconds=seconds
            )
            found["empty answer"] = _rates(sample)
            slow, _ = await load.open_loop(
                port, load.webhooks("silent"), per_second=100, seconds=seconds
            )
            found["empty answer at 100/s"] = _rates(slow)
        async with load.Provider() as provider:
            with _serving(folder, engine, provider.url) as port:
                relayed = await _paced(port, provider, seconds)
                found["relayed at 100/s"] = relayed["webhook to provider at 100/s"]
                found["relay"] = await _through(port, provider, seconds)
            provider.received.clear()
            site = folder / "site"
            site.mkdir()
            config = write_site(site, provider=provider.url, engine=engine)
            with running(config) as daemon:
                await _first(daemon, found, "first start of all, to first ack", 90_000_000)
            # The first start made the tables, and still holds what it takes to make them.
            with running(config) as daemon:
                await _first(daemon, found, "cold start to first ack", 91_000_000)
                await asyncio.sleep(2)
                found["idle memory"] = {"mb": memory(daemon.pid)}
                found |= await _paced(daemon.port, provider, seconds)
                await _acks(daemon, found, seconds)
                found["replies"] = await _through(daemon.port, provider, seconds)
                found["memory after load"] = {"mb": memory(daemon.pid)}
                wal = Path(f"{daemon.database}-wal").stat().st_size
                found["WAL after load"] = {"mb": wal / 2**20}
    return found


@contextmanager
def _serving(folder: Path, *arguments: str) -> Iterator[int]:
    log = (folder / "ceiling.log").open("w")
    command = [sys.executable, "-m", ceilings.APP, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield announced_port(process, folder / "ceiling.log")
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _rates(sample: load.Sample) -> dict[str, Any]:
    return {
        "per_s": sample.rate,
        "p50_ms": sample.percentile(50),
        "p99_ms": sample.percentile(99),
        "statuses": {str(status): number for status, number in sample.statuses.items()},
    }


async def _first(daemon: Daemon, found: dict[str, Any], name: str, start: int) -> None:
    began = time.perf_counter()
    one = load.webhooks("silent", start=start)
    await load.closed_loop(daemon.port, one, connections=1, seconds=0.001)
    found[name] = {"s": daemon.boot + time.perf_counter() - began}


async def _paced(port: int, provider: load.Provider, seconds: float) -> dict[str, Any]:
    # The first few open connections and compile statements; they are not the steady state.
    warm = load.webhooks("horario", start=80_000_000)
    await load.open_loop(port, warm, per_second=100, seconds=1)
    requests = load.webhooks("¿cuál es el horario?", start=70_000_000)
    sample, began = await load.open_loop(port, requests, per_second=100, seconds=max(seconds, 5))
    await load.until(lambda: began.keys() <= provider.received.keys(), 30)
    times = [(provider.received[who] - due) * 1000 for who, due in began.items()]
    through = load.Sample(sample.seconds, times)
    return {"ack at 100/s": _rates(sample), "webhook to provider at 100/s": _rates(through)}


async def _acks(daemon: Daemon, found: dict[str, Any], seconds: float) -> None:
    began = time.perf_counter()
    sample = await load.closed_loop(
        daemon.port, load.webhooks("silent"), connections=CONNECTIONS, seconds=seconds
    )
    found["durable acks"] = _rates(sample)
    # What was acknowledged may still have to be worked, and must not count for the next measure.
    await load.worked(daemon.database, 120)
    elapsed = time.perf_counter() - began
    found["the same, until all are worked"] = {"per_s": len(sample.times) / elapsed}


async def _through(port: int, provider: load.Provider, seconds: float) -> dict[str, Any]:
    """Measure webhooks until the provider has their replies."""
    before = len(provider.received)
    began = time.perf_counter()
    sample = await load.closed_loop(
        port,
        load.webhooks("¿cuál es el horario?", start=10_000_000),
        connections=CONNECTIONS,
        seconds=seconds,
    )
    accepted = len(sample.times)
    complete = await load.until(lambda: len(provider.received) - before >= accepted, 120)
    elapsed = time.perf_counter() - began
    received = len(provider.received) - before
    return {
        "per_s": received / elapsed,
        "accepted": accepted,
        "received": received,
        "complete": complete,
    }
