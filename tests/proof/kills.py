"""Which process dies when: a plan that follows from a seed, cut into episodes and shards."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from router.failpoints import NAMES

Store: TypeAlias = Literal["sqlite", "postgres"]
STORES: tuple[Store, ...] = ("sqlite", "postgres")

#: Besides being killed: what befalls a process, or the database under it.
Trouble: TypeAlias = Literal["disk full", "frozen", "database restarted", "locked"]
TROUBLES: dict[Store, tuple[Trouble, ...]] = {
    "sqlite": ("disk full", "locked"),
    "postgres": ("frozen", "database restarted", "disk full", "locked"),
}

#: Kills of one episode of a full run.
PER_EPISODE = 25

#: Moments that the channels of this proof never come to, by what their names begin with: the
#: acceptance test that kills there.
ELSEWHERE = {"media.": "test_files.py"}

#: Moments that only one of the stores has.
_OF_ONE_STORE: dict[str, Store] = {"node.": "postgres"}

#: Moments that come with each webhook or commit, and are worth reaching late, too.
_FREQUENT = ("intake.", "writer.", "worker.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How one process ends, and what it goes through before.

    :param failpoint: it kills itself there, when it comes there for the ``count``-th time.
    :param serving: without a failpoint: the delay counts from when it serves, else from its start.
    :param delay: in seconds.
    :param trouble: what befalls it first; only of one that serves.
    """

    failpoint: str | None = None
    count: int = 1
    serving: bool = True
    delay: float = 0.0
    trouble: Trouble | None = None

    def __str__(self) -> str:
        if self.failpoint is not None:
            return f"at {self.failpoint}:{self.count}"
        after = "it served" if self.serving else "its start"
        trouble = f"after {self.trouble}, " if self.trouble else ""
        return f"{trouble}{self.delay:.3f} s after {after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """How a process ended.

    :param reached: the failpoint at which it killed itself; ``None``: it was killed from outside.
    :param asked: the failpoint at which it was to kill itself.
    """

    reached: str | None
    asked: str | None
    moment: str
    trouble: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One database, its nodes, and their deaths.

    :param seed: everything that is left to chance in it follows from this.
    :param nodes: processes at once; one on SQLite.
    """

    store: Store
    number: int
    seed: str
    nodes: int
    deaths: tuple[Death, ...]

    @property
    def name(self) -> str:
        return f"{self.store}-{self.number:03}"


def names_of(store: Store) -> tuple[str, ...]:
    """Give the failpoints that a daemon on this store passes."""
    return tuple(
        name
        for name in NAMES
        if not name.startswith(tuple(ELSEWHERE))
        and all(store == of for start, of in _OF_ONE_STORE.items() if name.startswith(start))
    )


def plan(
    store: Store, seed: int, kills: int, *, per_episode: int = PER_EPISODE
) -> tuple[Episode, ...]:
    """Give the episodes of a run: every failpoint equally often, and as many random moments.

    Each episode has each of the store's troubles once, if it is long enough for that.
    """
    chance = random.Random(f"{seed}/{store}/plan")
    names = list(names_of(store))
    chance.shuffle(names)
    named = [_at(names[number % len(names)], chance) for number in range(kills // 2)]
    moments = [_moment(chance) for _ in range(kills - len(named))]
    deaths: list[Death] = [*named, *moments]
    chance.shuffle(deaths)
    episodes = []
    for number, start in enumerate(range(0, kills, per_episode)):
        chosen = _with_troubles(deaths[start : start + per_episode], store, chance)
        nodes = 1 if store == "sqlite" else 2 + number % 3
        name = f"{seed}/{store}/{number}"
        episodes.append(
            Episode(store=store, number=number, seed=name, nodes=nodes, deaths=tuple(chosen))
        )
    return tuple(episodes)


def shard_of(episodes: Sequence[Episode], number: int, shards: int) -> list[Episode]:
    """Give every ``shards``-th episode, from the ``number``-th on. Numbers begin with 1."""
    return list(episodes[number - 1 :: shards])


def _at(name: str, chance: random.Random) -> Death:
    most = 40 if name.startswith(_FREQUENT) else 8 if name.startswith("deliver.") else 1
    return Death(failpoint=name, count=chance.randint(1, most))


def _moment(chance: random.Random) -> Death:
    if chance.random() < 0.15:
        return Death(serving=False, delay=chance.uniform(0.1, 1.2))
    return Death(delay=chance.uniform(0.0, 1.5))


def _with_troubles(deaths: Sequence[Death], store: Store, chance: random.Random) -> list[Death]:
    """Let troubles befall some of the processes that die at a moment while they serve."""
    found = list(deaths)
    able = [place for place, death in enumerate(found) if death.failpoint is None and death.serving]
    chance.shuffle(able)
    for place, trouble in zip(able, TROUBLES[store], strict=False):
        found[place] = Death(delay=found[place].delay, trouble=trouble)
    return found
