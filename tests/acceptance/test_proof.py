"""The crash proof in short: fifteen kills on each store. ``make proof`` is the whole of it."""

import os
import random
from pathlib import Path

import pytest

from tests.proof import episode, kills
from tests.proof.kills import Store

#: ROUTER_KILLS=100 kills more often; ROUTER_SEED repeats a run's choices.
KILLS = int(os.environ.get("ROUTER_KILLS", "15"))
SEED = int(os.environ.get("ROUTER_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


@pytest.mark.parametrize("store", kills.STORES)
@pytest.mark.timeout(240 + 10 * KILLS)
async def test_nothing_acknowledged_is_lost_or_done_twice_whenever_processes_are_killed(
    store: Store, tmp_path: Path
) -> None:
    print(f"ROUTER_SEED={SEED} ROUTER_KILLS={KILLS}")  # noqa: T201 - shown when it fails
    (one,) = kills.plan(store, SEED, KILLS, per_episode=KILLS)

    result = await episode.run(one, tmp_path / one.name)

    assert result.broken == []
    assert len(result.kills) >= KILLS
