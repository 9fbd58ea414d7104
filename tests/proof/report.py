"""The reports of all episodes, as one page."""

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.proof.kills import STORES, Kill, Store, names_of

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).with_name("REPORT.md")

#: Recovery may take so long, in seconds.
GOALS = {"restarts": 1.0, "survivals": 1.5}
#: What is measured, and what one of it is called.
_SORTS = {"boots": "start", "restarts": "restart", "survivals": "survivor"}
_RECOVERY = ("", "number", "median", "worst", "goal", "median meets it", "worst meets it")
#: Kills at each failpoint, and in all, on each store in a full run.
EACH, ALL = 10, 500

PROMISES = """\
- A webhook that was acknowledged is stored once, and its event has an outcome; those that were
  given up, because process after process died around them, are listed.
- What a provider tells only when it is asked is stored once, whichever node asks and dies at it.
- What a rule decides leads to one answer, and one call of its action.
- Where the provider offers a key or a query, nothing happens twice. Where it offers neither,
  nothing is tried again unless a person says so.
- What is called done has happened. What is called withdrawn, refused or waiting has not. Whatever
  nobody can know is unknown, and listed.
- What a provider can be asked about is found out without a person.
- Each conversation is kept in order, as it comes in and as it goes out.
- After a person has taken over, the bot sends nothing more.
- While the disk is full webhooks get 503. The router goes on by itself when it no longer is, after
  the database was restarted, and after it was frozen for longer than its lease.
- In the end no lease is left and nothing waits, every process stops when it is told to, and
  delivering every message again changes nothing."""


@dataclass
class Result:
    """What an episode found.

    :param plan: what it is a part of: ``SEED/KILLS/KILLS OF AN EPISODE``.
    :param code: of the router and its plugins, as they were.
    :param broken: a sentence for each promise that was not kept; empty is what is wanted.
    :param restarts: seconds from a kill until the same node, started again, had moved work on,
        without what its process took to start.
    :param survivals: seconds from a kill until the nodes that lived on had taken up all that the
        dead one had held.
    :param left_alone: what is unknown was first left to the daemons.
    """

    episode: str
    plan: str
    seed: str
    store: str
    nodes: int
    code: str
    left_alone: bool
    machine: dict[str, str]
    broken: list[str] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    troubles: dict[str, int] = field(default_factory=dict)
    boots: list[float] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)
    survivals: list[float] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    whims: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False))


def read(path: Path) -> Result | None:
    """Read a result, if there is one that this version wrote."""
    try:
        values = json.loads(path.read_text())
        kills = [Kill(**kill) for kill in values.pop("kills")]
        return Result(**values, kills=kills)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def code() -> str:
    """Give a hash of the program that is proven."""
    digest = hashlib.sha256()
    for folder in ("router", "plugins", "migrations"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def machine() -> dict[str, str]:
    """Give what may explain a number, and nothing that tells whose machine it is."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "Python": platform.python_version(),
    }


def missed(results: Sequence[Result]) -> list[str]:
    """Give a sentence for each thing that a full run would have, and this one has not."""
    found = []
    for store in STORES:
        of = [one for one in results if one.store == store]
        kills = [kill for one in of for kill in one.kills]
        if len(kills) < ALL:
            found.append(f"{store}: {len(kills)} kills of {ALL}")
        at = Counter(kill.reached for kill in kills)
        found += [
            f"{store}: {at[name]} kills at {name} of {EACH}"
            for name in names_of(store)
            if at[name] < EACH
        ]
        if 2 * at[None] < len(kills):
            found.append(f"{store}: {at[None]} kills at random moments, which is less than half")
        for name, goal in GOALS.items():
            times: list[float] = [time for one in of for time in getattr(one, name)]
            if times and median(times) > goal:
                found.append(f"{store}: {name} take {median(times):.2f} s, more than {goal:g} s")
    if len({one.code for one in results}) > 1:
        found.append("the episodes were not all run on the same version")
    return found


def page(results: Sequence[Result]) -> str:
    """Give the report as Markdown."""
    broken = [(one.episode, sentence) for one in results for sentence in one.broken]
    lines = [
        "# The crash proof",
        "",
        "Real daemons with a hostile provider were killed with SIGKILL at every write and send,",
        "and at random moments, frozen, and cut off from their disk and their database. What was",
        "promised was then checked. `make proof` repeats it; see the end of this page.",
        "",
        f"**{_headline(results, broken=bool(broken))}**",
        "",
        *_table(("", *STORES), _facts(results)),
        "",
        *(f"- {episode}: {sentence}" for episode, sentence in broken),
        *([""] if broken else []),
        *(f"- Missed: {sentence}." for sentence in missed(results)),
        "",
        "## What was promised",
        "",
        PROMISES,
        "",
        "## Kills",
        "",
        *_table(("SIGKILL at", *STORES), _kills(results)),
        "",
        "## What else befell them",
        "",
        *_table(("", *STORES), _counted(results, "troubles")),
        "",
        *_table(("the provider's whims", *STORES), _counted(results, "whims")),
        "",
        "## What became of everything",
        "",
        *_table(("", *STORES), _counted(results, "counts")),
        "",
        "## Recovery",
        "",
        "From a kill until work moved again, in seconds. A restart is without the time that its",
        "process took to start, which is stated beside it; a survivor is another node.",
        "",
        *_table(_RECOVERY, _recovery(results)),
        "",
        "## How to repeat it",
        "",
        *_repeat(results),
        "",
    ]
    return "\n".join(lines)


def _headline(results: Sequence[Result], *, broken: bool) -> str:
    """Say whether the promises were kept, and how many recoveries took longer than their goal.

    That is no promise: nothing is lost meanwhile.
    """
    slow = []
    for name, goal in GOALS.items():
        times = [time for one in results for time in getattr(one, name)]
        if many := sum(time > goal for time in times):
            what = f"{many} of {len(times)} {_SORTS[name]}s"
            slow.append(f"{what} took longer than the goal of {goal:g} s")
    promises = "Promises were broken" if broken else "Every promise was kept"
    return f"{'; '.join(filter(None, (promises, ', and '.join(slow))))}."


def _of(results: Iterable[Result], store: Store) -> list[Result]:
    return [one for one in results if one.store == store]


def _facts(results: Sequence[Result]) -> list[tuple[str, ...]]:
    def row(name: str, value: Any) -> tuple[str, ...]:
        return (name, *(str(value(_of(results, store))) for store in STORES))

    return [
        row("episodes", len),
        row("nodes at once", lambda of: ", ".join(map(str, sorted({one.nodes for one in of})))),
        row("kills", lambda of: sum(len(one.kills) for one in of)),
        row("of these at random", lambda of: sum(not kill.reached for o in of for kill in o.kills)),
        row("promises broken", lambda of: sum(len(one.broken) for one in of)),
        row("minutes", lambda of: round(sum(one.seconds for one in of) / 60)),
    ]


def _kills(results: Sequence[Result]) -> list[tuple[str, ...]]:
    at = {
        store: Counter(kill.reached for one in _of(results, store) for kill in one.kills)
        for store in STORES
    }
    names = dict.fromkeys(name for store in STORES for name in names_of(store))
    rows = [
        (f"`{name}`", *(str(at[s][name]) if name in names_of(s) else "–" for s in STORES))
        for name in names
    ]
    return [*rows, ("a random moment", *(str(at[store][None]) for store in STORES))]


def _counted(results: Sequence[Result], what: str) -> list[tuple[str, ...]]:
    sums: dict[Store, Counter[str]] = {store: Counter() for store in STORES}
    for store in STORES:
        for one in _of(results, store):
            sums[store].update(getattr(one, what))
    names = dict.fromkeys(name for store in STORES for name in sorted(sums[store]))
    return [(name, *(f"{sums[store][name]:,}" for store in STORES)) for name in names]


def _recovery(results: Sequence[Result]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for store in STORES:
        for name, what in _SORTS.items():
            times = sorted(time for one in _of(results, store) for time in getattr(one, name))
            if times:
                told = (median(times), times[-1])
                numbers = (str(len(times)), *(f"{time:.2f}" for time in told))
                goal = GOALS.get(name)
                met = ["" if goal is None else "yes" if time <= goal else "no" for time in told]
                rows.append(
                    (f"{what}, {store}", *numbers, "" if goal is None else f"{goal:g}", *met)
                )
    return rows


def _repeat(results: Sequence[Result]) -> list[str]:
    plans = sorted({one.plan for one in results})
    versions = sorted({one.code for one in results})
    facts = dict.fromkeys(
        f"{value}" if name in ("system", "memory") else f"{name} {value}"
        for one in results
        for name, value in one.machine.items()
    )
    lines = [
        "`make proof` runs all of it; `make proof SHARD=3/10` a tenth, and when the last tenth has",
        "run, this page is written. `make proof ARGS=--resume` goes on after an interruption. An",
        "episode follows from its seed, but for the moments at which the system switches between",
        "processes.",
        "",
    ]
    for plan in plans:
        seed, kills, each = plan.split("/")
        lines.append(f"- `--seed {seed} --kills {kills} --per-episode {each}`")
    lines += [f"- Version {version} (a hash of the program's files)" for version in versions]
    lines.append(f"- {', '.join(facts)}")
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    names = [{"sqlite": "SQLite", "postgres": "PostgreSQL"}.get(name, name) for name in head]
    rule = ["---", *("---:" for _ in names[1:])]
    return [f"| {' | '.join(row)} |" for row in (names, rule, *rows)]
