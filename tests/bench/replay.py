"""``python -m tests.bench --only replay``: how fast recorded traffic is decided again.

What customers write in ``tests/corpus`` goes through the router as shipped, with its own answers,
into a SQLite file; then ``router replay`` decides all of it again, as a process of its own.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import anyio
import sqlalchemy as sa

from router.daemon import Router, open_store
from router.domain.event import MessageReceived
from router.domain.identity import Address
from router.plugin.loading import load_plugins
from router.plugin.testing import RecordingLog
from router.settings.loading import load_settings
from router.storage.store import NewEvent
from router.storage.tables import inbox_event
from tests.bench.goals import Goal
from tests.bench.triage import ROOT, utterances

#: What the goal speaks of; a run measures fewer, and says what so many would take.
_WANTED = 10_000
#: Messages under way at once, and how long the last of them may take, in seconds.
_BATCH = 250
_PATIENCE = 300.0
GOALS = (
    Goal("10,000 recorded events", "s", "s", 60, low=True),
    Goal("decisions replayed", "per_s", "/s"),
    Goal("decided otherwise", "changed", "", 0, low=True),
    Goal("different from the first run", "bytes", "B", 0, low=True),
)


async def live(folder: Path, messages: int) -> None:
    """Let customers write so many messages to the shipped router, each a customer of its own."""
    for name in ("rules", "config"):
        shutil.copytree(ROOT / name, folder / name)
    config = (ROOT / "router.toml").read_text(encoding="utf-8")
    (folder / "router.toml").write_text(config.replace('debounce = "1s"', 'debounce = "0s"'))
    settings = load_settings(folder / "router.toml", load_plugins(), run=True, environ={})
    texts = islice(cycle(each.text for each in utterances()), messages)
    async with open_store(settings) as store, Router(settings, store, log=RecordingLog()):
        for start in range(0, messages, _BATCH):
            some = [
                _message(start + number, text) for number, text in enumerate(islice(texts, _BATCH))
            ]
            await store.enqueue(some)
            with anyio.fail_after(_PATIENCE):
                while await store.read(_open):  # noqa: ASYNC110 - the database tells nobody
                    await anyio.sleep(0.02)


def _message(number: int, text: str) -> NewEvent:
    sender = Address("tel", f"+57{3_000_000_000 + number}")
    return NewEvent(
        lane=f"main/{sender}",
        tenant="main",
        source="main/phone",
        external_id=f"m{number}",
        event=MessageReceived(f"m{number}", sender, text),
        received_at=datetime.now(UTC),
    )


def _open(connection: sa.Connection) -> bool:
    """Say whether something is still to be decided or answered."""
    undecided = sa.or_(
        inbox_event.c.outcome.is_(None), inbox_event.c.outcome.in_(("waiting", "asking"))
    )
    unsettled = sa.and_(undecided, inbox_event.c.settled_seq.is_(None))
    return bool(connection.scalar(sa.select(sa.exists().where(unsettled))))


def _replay(folder: Path, limit: int = 10 * _WANTED) -> tuple[float, str]:
    """Decide what is recorded again; give the seconds it took, and what was printed."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "router", "replay", "--json", "--limit", str(limit)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - began, done.stdout


def measure(messages: int = 1000) -> dict[str, Any]:
    """Give how long 10,000 events take: the start of the process, and then the rate of this run."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as name:
        folder = Path(name)
        anyio.run(live, folder, messages)
        start, _ = _replay(folder, limit=1)
        seconds, first = _replay(folder)
        again, second = _replay(folder)
    found = json.loads(first)
    events = found["decisions"]
    each = max(min(seconds, again) - start, 0.0) / events
    return {
        "10,000 recorded events": {"s": start + each * _WANTED, "events": events},
        "decisions replayed": {"per_s": 1 / each if each else 0.0},
        "decided otherwise": {"changed": found["changed"]},
        "different from the first run": {
            "bytes": 0 if first == second else max(len(first), len(second))
        },
    }
