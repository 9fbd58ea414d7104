"""One episode: start, kill, let settle, check."""

import random
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from tests.acceptance.daemon import Daemon
from tests.proof import invariants, provider, report, rest, site
from tests.proof.database import Database, SQLiteDatabase
from tests.proof.invariants import Evidence
from tests.proof.kills import Episode
from tests.proof.lives import Lives
from tests.proof.load import Town
from tests.proof.nodes import Node
from tests.proof.people import People
from tests.proof.provider import Provider
from tests.proof.report import Result

#: How long everything may take to come to rest, in seconds. What may be repeated without harm
#: waits up to five minutes for its next attempt, when a slow machine has let many fail.
SETTLE = 360.0

#: How often a person may have to say what became of messages: what is sent once more may be lost
#: once more.
ROUNDS = 5

_HOSTILE = 0.08


async def run(episode: Episode, folder: Path, plan: str = "", alone: float = 0.0) -> Result:
    """Run an episode in a folder of its own, which stays.

    :param plan: what it is a part of.
    :param alone: how long what is unknown is left to the daemons before a person settles it, in
        seconds.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    result = Result(
        episode=episode.name,
        plan=plan,
        seed=episode.seed,
        store=episode.store,
        nodes=episode.nodes,
        code=report.code(),
        left_alone=bool(alone),
        machine=report.machine(),
    )
    with provider.running(random.Random(f"{episode.seed}/provider")) as it:
        async with opened(episode, folder) as database:
            one = _Run(episode, folder, it, database, result, alone)
            try:
                await one.everything()
            except* (AssertionError, OSError) as group:
                result.broken += [str(error) for error in leaves(group)]
            finally:
                await one.close()
            result.machine |= await database.facts()
    result.whims = dict(it.whims)
    result.seconds = round(time.monotonic() - began, 1)
    result.write(folder / "result.json")
    return result


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Give the errors that task groups have wrapped."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


class _Run:
    def __init__(
        self,
        episode: Episode,
        folder: Path,
        it: Provider,
        database: Database,
        result: Result,
        alone: float,
    ) -> None:
        self.alone = alone
        self.episode = episode
        self.provider = it
        self.database = database
        self.result = result
        files = site.files(database=database.url, provider=it.url)
        config = files.pop("router.toml")
        self.nodes = [
            Node(
                number,
                Daemon(folder, config, files, site.ENVIRONMENT),
                folder / f"node-{number}.log",
            )
            for number in range(episode.nodes)
        ]
        self.town = Town(random.Random(f"{episode.seed}/town"), it, self.doors)
        self.people = People(self.nodes[0].daemon, database, result)
        #: What could not go on, unlike a promise that was broken.
        self.stuck = False

    def doors(self) -> list[str]:
        return [door for node in self.nodes if (door := node.door) is not None]

    async def close(self) -> None:
        for node in self.nodes:
            if node.daemon.alive:
                await node.kill()
            self.result.broken += [f"node {node.number} said {line}" for line in node.strange]

    async def everything(self) -> None:
        self.provider.mood = provider.hostile(
            random.Random(f"{self.episode.seed}/mood"), share=_HOSTILE
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.town.live)
            lives = Lives(
                self.nodes,
                self.episode.deaths,
                self.database,
                self.town,
                self.result,
                random.Random(f"{self.episode.seed}/lives"),
            )
            await lives.run()
            self.stuck = lives.stuck
            if not self.stuck:
                await anyio.sleep(1)
                async with anyio.create_task_group() as both:
                    for customer in self.town.talking()[:2]:
                        both.start_soon(self.people.take_over, customer)
            self.town.stop()
            with anyio.move_on_after(SETTLE if not self.stuck else 0):
                await self.town.finished.wait()
            tasks.cancel_scope.cancel()
        if not self.town.finished.is_set():
            self.result.broken.append("webhooks are not acknowledged any more")
            return
        self.provider.mood = provider.calm
        await self._settle("after the last kill")
        if self.alone:
            await self._left_alone()
        await self._check()
        await self._settled_by_a_person()
        if self.stuck:
            return
        before = await self._footprint()
        await self.town.repeat_everything()
        await self._settle("after every message was delivered again")
        if await self._footprint() != before:
            self.result.broken.append("messages that were delivered again changed something")
        for node in self.nodes:
            status = await node.stop()
            if status != 0:
                self.result.broken.append(f"node {node.number} stopped with {status}")
        ((leases,),) = await self.database.rows(
            "SELECT count(*) FROM lane WHERE lease_owner IS NOT NULL"
        )
        if leases:
            self.result.broken.append(f"every process has stopped, and {leases} leases are left")
        await self._check()
        await self._count()

    async def _settled_by_a_person(self) -> None:
        """Say of each message of which nobody knows what became of it, as a person who looked."""
        rounds = 0
        while not self.stuck and (items := invariants.unknown(await self._look())):
            rounds += 1
            if rounds > ROUNDS:
                self.result.broken.append(f"a person cannot settle {[item.id for item in items]}")
                self.stuck = True
                return
            listed = await self.people.unknown()
            if listed is None:
                self.stuck = True
                return
            # What is found out meanwhile is no longer to be settled.
            items = [item for item in items if item in invariants.unknown(await self._look())]
            if missing := [item.id for item in items if item.id not in listed]:
                self.result.broken.append(f"unknown, and not listed: {missing}")
            happened = {one.key for one in self.provider.effects()}
            for _ in items:
                self._add("settled by a person")
            await self.people.resolve({item.id: item.id in happened for item in items})
            await self._settle("after a person said what became of the unknown")
            await self._check()

    # --- looking

    async def _look(self) -> Evidence:
        return await invariants.gather(
            self.database,
            self.town.customers,
            self.provider.arrivals(),
            frozenset(self.people.resent),
            self.provider.letters(),
        )

    async def _check(self) -> None:
        found = invariants.broken(await self._look())
        self.result.broken += [one for one in found if one not in self.result.broken]

    async def _settle(self, when: str) -> None:
        deadline = time.monotonic() + SETTLE
        while not await self._settled():
            if time.monotonic() > deadline:
                self.result.broken.append(f"{when} it did not come to rest within {SETTLE:g} s")
                self.result.broken += await rest.restless(self.database, nodes=len(self.nodes) > 1)
                self.stuck = True
                await self._check()
                return
            await anyio.sleep(0.1)

    async def _settled(self) -> bool:
        ((found,),) = await self.database.rows(
            f"SELECT count(*) FROM inbox_event WHERE source = 'main/{site.MAILBOX}'"  # noqa: S608
        )
        return found >= len(self.provider.letters()) and await rest.at_rest(self.database)

    async def _left_alone(self) -> None:
        """Let the daemons find out what became of what they can ask the provider about."""
        deadline = time.monotonic() + self.alone
        while time.monotonic() < deadline:
            if not await self._asking() and await self._settled():
                break
            await anyio.sleep(1)
        await self._settle("after it was left alone")
        if await self._asking():
            self.result.broken.append("providers are still to be asked what became of messages")
        for item in invariants.unknown(await self._look()):
            if item.destination in site.ASKED:
                self.result.broken.append(
                    f"{item.destination} {item.id} is unknown, and its provider could be asked"
                )

    async def _asking(self) -> int:
        """Give how many questions to providers, about what became of a message, are open."""
        ((number,),) = await self.database.rows(
            "SELECT count(*) FROM outbox WHERE kind = 'reconcile'"
            " AND state IN ('waiting', 'started', 'unknown')"
        )
        return int(number)

    async def _footprint(self) -> tuple[Any, int]:
        rows = await self.database.rows(
            "SELECT (SELECT count(*) FROM inbox_event), (SELECT count(*) FROM outbox)"
        )
        return tuple(rows[0]), len(self.provider.arrivals())

    async def _count(self) -> None:
        evidence = await self._look()
        counts = self.result.counts
        counts["messages acknowledged"] = sum(len(one.acknowledged) for one in self.town.customers)
        counts["events"] = len(evidence.events)
        counts["events given up and listed"] = len(invariants.dead(evidence))
        counts["letters found by asking"] = len(evidence.letters)
        counts["takeovers"] = sum(one.taken_at is not None for one in self.town.customers)
        counts["effects"] = len(self.provider.effects())
        counts["repeats without effect"] = len(evidence.arrivals) - len(self.provider.effects())
        counts["questions to the model"] = self.provider.asked
        for item in evidence.items.values():
            if item.kind in ("message", "action"):
                self._add(f"{item.kind}s {item.state}")
        for status, times in self.town.answers.items():
            counts[f"webhooks answered {status}" if status else "webhooks not answered"] = times

    def _add(self, name: str) -> None:
        self.result.counts[name] = self.result.counts.get(name, 0) + 1


@asynccontextmanager
async def opened(episode: Episode, folder: Path) -> AsyncIterator[Database]:
    """Open the database of an episode."""
    if episode.store == "sqlite":
        yield SQLiteDatabase(folder / "data" / "router.db")
    else:
        from tests.proof import postgres

        async with postgres.opened() as database:
            yield database
