"""The plan of the crash proof: what a full run kills, and how it is cut up."""

from collections import Counter
from pathlib import Path

import pytest

from router.failpoints import NAMES
from tests.proof.kills import ELSEWHERE, STORES, TROUBLES, Store, names_of, plan, shard_of
from tests.proof.report import ALL, EACH

ACCEPTANCE = Path(__file__).parents[2] / "acceptance"


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("seed", [1, 2, 77])
def test_a_full_run_kills_at_each_failpoint_often_and_at_as_many_random_moments(
    store: Store, seed: int
) -> None:
    deaths = [death for one in plan(store, seed, ALL) for death in one.deaths]
    named = Counter(death.failpoint for death in deaths)

    assert len(deaths) == ALL
    assert named.keys() - {None} == set(names_of(store))
    assert min(named.values()) >= EACH
    assert 2 * named[None] >= ALL


@pytest.mark.parametrize("store", STORES)
def test_whoever_asks_a_provider_is_killed_at_it_on_both_stores(store: Store) -> None:
    assert {"poll.taken", "poll.answered", "poll.stored"} <= set(names_of(store))


def test_a_moment_that_the_proof_never_comes_to_is_killed_at_by_another_test() -> None:
    proven = {name for store in STORES for name in names_of(store)}
    for name in set(NAMES) - proven:
        (file,) = (file for start, file in ELSEWHERE.items() if name.startswith(start))
        assert f'"{name}:' in (ACCEPTANCE / file).read_text(), name


@pytest.mark.parametrize("store", STORES)
def test_every_trouble_befalls_each_episode_of_a_full_run(store: Store) -> None:
    for one in plan(store, 1, ALL):
        troubles = [death.trouble for death in one.deaths if death.trouble]
        assert sorted(troubles) == sorted(TROUBLES[store])


def test_there_are_several_nodes_where_there_can_be() -> None:
    assert {one.nodes for one in plan("sqlite", 1, ALL)} == {1}
    assert {one.nodes for one in plan("postgres", 1, ALL)} == {2, 3, 4}


def test_a_plan_follows_from_its_seed() -> None:
    assert plan("sqlite", 1, 100) == plan("sqlite", 1, 100)
    assert plan("sqlite", 1, 100) != plan("sqlite", 2, 100)


def test_the_shards_are_the_whole() -> None:
    episodes = plan("sqlite", 1, ALL)

    parts = [one for number in range(1, 8) for one in shard_of(episodes, number, 7)]

    assert sorted(parts, key=lambda one: one.number) == list(episodes)
