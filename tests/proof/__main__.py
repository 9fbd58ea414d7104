"""``make proof``: kill daemons 500 times on each store, and see what is left of their promises.

Episodes leave their databases, logs and results in a folder of their own below the work folder.
When all of a run's episodes are there, whatever the shards, tests/proof/REPORT.md is written.
"""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import anyio

from tests.proof import episode as episodes
from tests.proof import kills, report, site
from tests.proof.kills import Episode
from tests.proof.report import Result

#: How long what is unknown is left to the daemons: longer than they wait before they believe a
#: provider that it never had a message.
ALONE = site.SETTLE * 6


def main() -> int:
    """Run a shard, or all; give 1 if a promise was broken."""
    # The test PostgreSQL asks for a runtime folder as it is imported.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    options = _options()
    plan = f"{options.seed}/{options.kills}/{options.per_episode}"
    chosen = [
        one
        for store in options.store or kills.STORES
        for one in kills.plan(store, options.seed, options.kills, per_episode=options.per_episode)
    ]
    number, shards = options.shard
    mine = kills.shard_of(chosen, number, shards)
    if not options.report:
        for one in mine:
            _one(one, plan, options.work, resume=options.resume, alone=options.alone)
    found = [report.read(options.work / one.name / "result.json") for one in chosen]
    results = [one for one in found if one is not None and one.plan == plan]
    whole = options.kills >= report.ALL and not options.store
    _sum_up(results, len(chosen), options.page if whole else None)
    ran = [one for one in results if one.episode in {each.name for each in mine}]
    return 1 if len(ran) < len(mine) or any(one.broken for one in ran) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make proof", description=__doc__)
    parser.add_argument("--shard", type=_shard, default=(1, 1), help="such as 3/10")
    parser.add_argument("--resume", action="store_true", help="keep the episodes that have passed")
    parser.add_argument("--report", action="store_true", help="run nothing, only sum up")
    parser.add_argument("--store", choices=kills.STORES, action="append")
    parser.add_argument("--kills", type=int, default=report.ALL, help="on each store")
    parser.add_argument("--per-episode", type=int, default=kills.PER_EPISODE)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--alone",
        type=float,
        default=ALONE,
        help="seconds until a person settles what is unknown; 0: at once",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(tempfile.gettempdir(), "channel-router-proof"),
        help="where episodes leave what they did",
    )
    parser.add_argument("--page", type=Path, default=report.PAGE)
    return parser.parse_args()


def _shard(text: str) -> tuple[int, int]:
    number, _, shards = text.partition("/")
    if not (number.isdecimal() and shards.isdecimal() and 1 <= int(number) <= int(shards)):
        raise argparse.ArgumentTypeError("write NUMBER/SHARDS, such as 3/10")
    return int(number), int(shards)


def _one(episode: Episode, plan: str, work: Path, *, resume: bool, alone: float) -> None:
    path = work / episode.name / "result.json"
    if resume:
        before = report.read(path)
        if (
            before is not None
            and (before.plan, before.code) == (plan, report.code())
            and not before.broken
        ):
            print(f"{episode.name}: has passed already", flush=True)
            return
    print(f"{episode.name}: {len(episode.deaths)} kills, {episode.nodes} nodes", flush=True)
    result = anyio.run(episodes.run, episode, path.parent, plan, alone)
    print(f"{episode.name}: {_sentence(result)}", flush=True)
    for sentence in result.broken:
        print(f"  BROKEN: {sentence}", flush=True)


def _sentence(result: Result) -> str:
    counts = result.counts
    at = sum(kill.reached is not None for kill in result.kills)
    return (
        f"{len(result.kills)} kills, {at} of them at failpoints, "
        f"{counts.get('messages acknowledged', 0)} messages, "
        f"{counts.get('settled by a person', 0)} settled by a person, "
        f"{result.seconds:g} s, {'passed' if not result.broken else 'BROKEN'}"
    )


def _sum_up(results: Sequence[Result], expected: int, page: Path | None) -> None:
    """Say how far the run is, and write the page once it is whole."""
    broken = sum(len(one.broken) for one in results)
    print(f"{len(results)} of {expected} episodes, {broken} promises broken")
    if page is None or len(results) < expected:
        return
    for sentence in report.missed(results):
        print(f"missed: {sentence}")
    page.write_text(report.page(results))
    print(f"report: {page}")


if __name__ == "__main__":
    sys.exit(main())
