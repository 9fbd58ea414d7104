"""kill -9 between any two steps, over and over, on one database: nothing lost, nothing doubled."""

import json
import os
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from router.failpoints import NAMES
from router.pipeline.ask import INTERRUPTIONS
from router.pipeline.control import ask, socket_path
from router.pipeline.worker import MAX_CRASHES
from tests.acceptance import provider as providers
from tests.acceptance.daemon import ARTICLES, Daemon, folder_of, router_toml, signed, wait_for
from tests.acceptance.provider import Provider, Whim

#: ROUTER_CRASHES=200 kills more often; ROUTER_SEED repeats a run's choices.
CRASHES = int(os.environ.get("ROUTER_CRASHES", "40"))
SEED = int(os.environ.get("ROUTER_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)

#: How long a process may take to come to a failpoint while traffic flows.
_PATIENCE = 20.0
_QUESTION = "¿Cuánto cuesta el envío?"

RULES = """
[default]
answer = "assistant"

[category.INFO]
risk = "low"

[[rule]]
id = "repeat"
when.text.starts_with = "repite"
then.reply = { text = "{{ text }}" }

[[rule]]
id = "question"
when.text.contains = "?"
then.set.category = "INFO"
"""

POLICY = """
debounce = "50ms"
debounce_cap = "500ms"
"""


@dataclass
class Customer:
    """Somebody who writes, and whose provider delivers each message until it is acknowledged."""

    address: str
    channel: str
    texts: Iterator[str]
    #: Not acknowledged yet, and in order.
    open: deque[dict[str, str]] = field(default_factory=deque)
    acknowledged: list[dict[str, str]] = field(default_factory=list)

    def next(self) -> dict[str, str]:
        if not self.open:
            number = len(self.acknowledged)
            message = {"id": f"{self.address}/{number}", "from": self.address}
            self.open.append({**message, "text": f"{next(self.texts)} {self.address}/{number}"})
        return self.open[0]


def repeats() -> Iterator[str]:
    while True:
        yield "repite"


def questions() -> Iterator[str]:
    while True:
        yield _QUESTION


def mixed(chance: random.Random) -> Iterator[str]:
    while True:
        yield chance.choice(["repite", "repite", _QUESTION])


class Town:
    """Every customer there ever was."""

    def __init__(self, daemon: Daemon, chance: random.Random) -> None:
        self.daemon = daemon
        self.chance = chance
        self.customers: list[Customer] = []
        # Two write all the time, the others for the life of one process.
        self.regulars = [
            self.newcomer("ledger", mixed(random.Random(chance.random()))),
            self.newcomer("safe", mixed(random.Random(chance.random()))),
        ]

    def newcomer(self, channel: str, texts: Iterator[str]) -> Customer:
        customer = Customer(f"tel:+5730{len(self.customers):08}", channel, texts)
        self.customers.append(customer)
        return customer

    def newcomers(self) -> list[Customer]:
        return [
            self.newcomer("ledger", repeats()),
            self.newcomer("ledger", questions()),
            self.newcomer("safe", repeats()),
            self.newcomer("safe", questions()),
        ]

    async def write(self) -> None:
        """Let people write until the daemon is dead."""
        behind = [customer for customer in self.customers if customer.open]
        writers = {id(one): one for one in (*behind, *self.regulars, *self.newcomers())}
        async with httpx.AsyncClient(timeout=10) as http, anyio.create_task_group() as tasks:
            for customer in writers.values():
                pause = self.chance.uniform(0.02, 0.15)
                twice = self.chance.random() < 0.3
                tasks.start_soon(self._write, http, customer, pause, twice)

    async def _write(
        self, http: httpx.AsyncClient, customer: Customer, pause: float, twice: bool
    ) -> None:
        while await self.deliver(http, customer, customer.next()):
            customer.acknowledged.append(customer.open.popleft())
            if twice:  # a provider that did not see our answer
                await self.deliver(http, customer, customer.acknowledged[-1])
            await anyio.sleep(pause)

    async def deliver(
        self, http: httpx.AsyncClient, customer: Customer, message: dict[str, str]
    ) -> bool:
        """Deliver a webhook; say whether it was acknowledged."""
        body, headers = signed(message)
        url = f"{self.daemon.url}/hooks/{customer.channel}"
        try:
            answer = await http.post(url, content=body, headers=headers)
        except httpx.TransportError:
            # Its connections close a moment before it can be seen to be dead.
            assert await until(lambda: not self.daemon.alive), "it lives, and does not answer"
            return False
        assert answer.status_code == 200, (answer.status_code, answer.text, self.daemon.log)
        return True

    async def finish(self) -> None:
        """Deliver what is still open."""
        async with httpx.AsyncClient(timeout=10) as http:
            for customer in self.customers:
                while customer.open:
                    assert await self.deliver(http, customer, customer.open[0])
                    customer.acknowledged.append(customer.open.popleft())

    async def repeat_everything(self) -> None:
        async with httpx.AsyncClient(timeout=10) as http:
            for customer in self.customers:
                for message in customer.acknowledged:
                    assert await self.deliver(http, customer, message)


# --- dying


@dataclass(frozen=True)
class Death:
    """How a process ends: at a failpoint, or some time after it was started or began to serve."""

    failpoint: str | None = None
    serving: bool = True
    delay: float = 0.0

    def __str__(self) -> str:
        if self.failpoint is not None:
            return f"at {self.failpoint}"
        return f"{self.delay:.3f} s after it {'served' if self.serving else 'was started'}"


def deaths(chance: random.Random, count: int) -> list[Death]:
    """Choose: every failpoint, and at least as many moments that nobody chose."""
    named = [f"{name}:{chance.randint(1, 4)}" for name in NAMES]
    while len(named) < count // 2:
        named.append(f"{chance.choice(NAMES)}:{chance.randint(1, 12)}")
    chosen = [Death(failpoint=name) for name in named]
    for _ in range(max(count - len(named), len(named))):
        if chance.random() < 0.15:
            chosen.append(Death(serving=False, delay=chance.uniform(0.1, 1.2)))
        else:
            chosen.append(Death(delay=chance.uniform(0.0, 1.0)))
    chance.shuffle(chosen)
    return chosen


def mood_of(chance: random.Random) -> providers.Mood:
    """Let the provider have bad moments, a few in a hundred."""
    bad = (
        providers.THROTTLED,
        providers.BROKEN,
        providers.HANGS_UP,
        providers.slow(0.2),
        providers.slow(0.4),
    )

    def mood(_message: dict[str, Any]) -> Whim | None:
        return chance.choice(bad) if chance.random() < 0.06 else None

    return mood


async def die(daemon: Daemon, town: Town, death: Death) -> None:
    """Start the daemon, let people write to it, and see it die."""
    daemon.spawn(failpoint=death.failpoint)
    async with anyio.create_task_group() as tasks:
        if death.failpoint is None and not death.serving:
            tasks.start_soon(_kill_later, daemon, death.delay)
        await until(lambda: bool(daemon.url) or not daemon.alive)
        if daemon.url:
            tasks.start_soon(town.write)
            if death.failpoint is None and death.serving:
                tasks.start_soon(_kill_later, daemon, death.delay)
        stuck = not await until(lambda: not daemon.alive)
        if stuck:
            daemon.kill()
    assert not stuck, f"it never came to die {death}:\n{daemon.log}"
    assert daemon.wait() == -9, f"it ended by itself, before it could die {death}:\n{daemon.log}"


async def until(happened: Callable[[], bool]) -> bool:
    """Poll a condition without keeping others from their work; say whether it came true."""
    with anyio.move_on_after(_PATIENCE):
        while True:
            if happened():
                return True
            await anyio.sleep(0.01)
    return False


async def _kill_later(daemon: Daemon, delay: float) -> None:
    await anyio.sleep(delay)
    if daemon.alive:
        daemon.kill()


# --- looking


def settled(daemon: Daemon) -> bool:
    """Tell whether nothing more will happen until a person acts."""
    ((undone, held),) = daemon.rows(
        "SELECT (SELECT count(*) FROM inbox_event WHERE outcome IS NULL)"
        " + (SELECT count(*) FROM timer WHERE kind = 'turn')"
        " + (SELECT count(*) FROM inbox_event WHERE type = 'message'"
        "    AND outcome IN ('waiting', 'asking')),"
        " (SELECT count(*) FROM outbox o WHERE state = 'started' OR (state = 'waiting'"
        "    AND NOT EXISTS (SELECT 1 FROM outbox u WHERE u.lane = o.lane AND u.seq < o.seq"
        "    AND u.state = 'unknown')))"
    )
    return (undone, held) == (0, 0)


def states(daemon: Daemon) -> dict[str, str]:
    """Give the state of each message of the outbox."""
    return dict(daemon.rows("SELECT id, state FROM outbox WHERE kind = 'message'"))


#: What becomes of a question around which the process was killed too often: a person gets it.
_GIVEN_UP = f'"assistant" failed: the router stopped {INTERRUPTIONS} times while it asked'


#: What becomes of an event that was being worked alone each time: a dead letter, for a person too.
_BLAMED = f"the process died {MAX_CRASHES} times while it was worked"


def check_nothing_lost(daemon: Daemon, town: Town) -> list[dict[str, str]]:
    """See that each message acknowledged is there once, and led to one answer; give those.

    Nobody can tell a process that is killed at an event from one that dies of it, so a few may be
    given up; they are named, and nobody is answered twice for it.
    """
    dead = {
        (lane, seq): error
        for lane, seq, error in daemon.rows(
            "SELECT lane, seq, dead_error FROM inbox_event WHERE dead_at NOTNULL"
        )
    }
    assert set(dead.values()) <= {_BLAMED}
    assert len(dead) <= CRASHES // 20
    listed = daemon.command("events", "list", "--dead", "--limit", "1000", "--json")
    assert sorted(event["event"] for event in json.loads(listed)) == sorted(
        f"{lane}#{seq}" for lane, seq in dead
    )
    events = {
        (source, external_id): (lane, settled or seq, outcome)
        for source, external_id, lane, seq, settled, outcome in daemon.rows(
            "SELECT source, external_id, lane, seq, settled_seq, outcome FROM inbox_event"
            " WHERE type = 'message'"
        )
    }
    items = defaultdict(list)
    for lane, seq, item in daemon.rows(
        "SELECT decided_lane, decided_seq, id FROM outbox WHERE kind = 'message'"
    ):
        items[lane, seq].append(item)
    because = {
        (lane, seq): words
        for lane, seq, words in daemon.rows(
            "SELECT lane, seq, json_extract(body, '$.because') FROM decision"
        )
    }
    answered = []
    for customer in town.customers:
        for message in customer.acknowledged:
            key = (f"main/{customer.channel}", f"message:{message['id']}")
            assert key in events, f"{message} was acknowledged, and is lost"
            lane, seq, outcome = events.pop(key)
            if (lane, seq) in dead:
                assert (outcome, items[lane, seq]) == ("dead", []), message
            elif message["text"].startswith(_QUESTION) and because[lane, seq] == _GIVEN_UP:
                assert (outcome, items[lane, seq]) == ("ticket", []), message
            else:
                assert (outcome, len(items[lane, seq])) == ("reply", 1), message
                answered.append(message)
    assert not events, f"nobody wrote these: {events}"
    return answered


def check_never_twice(daemon: Daemon, provider: Provider) -> None:
    """See that the provider took each item once at most, and nothing that nobody decided."""
    once = {item for (item,) in daemon.rows("SELECT id FROM outbox WHERE destination = 'ledger'")}
    plain = Counter(one.id for one in provider.received() if one.id in once)
    assert [item for item, times in plain.items() if times > 1] == []
    effects = Counter(one.id for one in provider.effects())
    assert [item for item, times in effects.items() if times > 1] == []
    assert effects.keys() <= states(daemon).keys()


def check_told(daemon: Daemon, provider: Provider) -> list[str]:
    """See that what was not received is known not to have been; give what a person must settle."""
    got = {one.id for one in provider.effects()}
    now = states(daemon)
    assert [item for item, state in now.items() if state == "done" and item not in got] == []
    assert set(now.values()) <= {"done", "unknown", "waiting"}
    # What waits does so behind something unknown (see `settled`), and has not left.
    assert [item for item in got if now[item] == "waiting"] == []
    return [item for item, state in now.items() if state == "unknown"]


def check_order(daemon: Daemon, provider: Provider) -> None:
    """See that each customer got the answers in the order in which they were decided."""
    place = {
        item: (lane, seq)
        for item, lane, seq in daemon.rows("SELECT id, lane, seq FROM outbox WHERE kind='message'")
    }
    got: dict[str, list[int]] = defaultdict(list)
    for one in provider.effects():
        lane, seq = place[one.id]
        got[lane].append(seq)
    assert {lane: seqs for lane, seqs in got.items() if seqs != sorted(seqs)} == {}


def settle_unknown(daemon: Daemon, provider: Provider, unknown: list[str]) -> None:
    """Do what a person does, and the provider's receipts: say what became of each."""
    got = {one.id: one for one in provider.effects()}
    for number, item in enumerate(unknown):
        if item in got and number % 2:
            told = {"status": "delivered", "message": f"late-{number}", "item": item}
            assert daemon.post({**told, "to": got[item].to}).status_code == 200
        elif number == 0:
            word = "--sent" if item in got else "--not-sent"
            daemon.command("outbox", "resolve", item, word, "--by", "ana")
        else:
            arguments = {"tenant": "main", "id": item, "sent": item in got, "by": "ana"}
            ask(socket_path(daemon.database), "outbox.resolve", arguments)


@pytest.mark.timeout(60 + 6 * CRASHES)
async def test_nothing_acknowledged_is_lost_or_answered_twice_whenever_the_process_is_killed(
    tmp_path: Path,
) -> None:
    print(f"ROUTER_SEED={SEED} ROUTER_CRASHES={CRASHES}")  # noqa: T201 - shown when it fails
    chance = random.Random(SEED)
    with (
        providers.running() as provider,
        folder_of(
            tmp_path, router_toml(provider.url, policy=POLICY), {"rules.toml": RULES, **ARTICLES}
        ) as daemon,
    ):
        provider.mood = mood_of(random.Random(chance.random()))
        town = Town(daemon, chance)
        for death in deaths(chance, CRASHES):
            await die(daemon, town, death)

        provider.mood = lambda _message: None
        await anyio.to_thread.run_sync(daemon.start)
        await town.finish()
        await anyio.to_thread.run_sync(lambda: wait_for(lambda: settled(daemon), "settled"))

        check_nothing_lost(daemon, town)
        check_never_twice(daemon, provider)
        unknown = check_told(daemon, provider)
        listed = daemon.command("outbox", "list", "--state", "unknown", "--limit", "1000")
        assert [item for item in unknown if item not in listed] == []
        assert unknown, "no process died while a message was leaving: let it run longer"

        # Until here nothing was sent again. Now a person says what became of the unknown ones,
        # which lets what waits behind them leave; in the end everybody has one answer.
        while unknown:
            settle_unknown(daemon, provider, unknown)
            await anyio.to_thread.run_sync(lambda: wait_for(lambda: settled(daemon), "settled"))
            unknown = check_told(daemon, provider)
        answered = check_nothing_lost(daemon, town)
        check_never_twice(daemon, provider)
        check_order(daemon, provider)
        assert set(states(daemon).values()) == {"done"}
        got = Counter(one.text for one in provider.effects())
        for message in answered:
            if message["text"].startswith("repite"):
                assert got[message["text"]] == 1, message

        # A provider that repeats itself after all this changes nothing.
        before = (daemon.rows("SELECT count(*) FROM inbox_event"), provider.received())
        await town.repeat_everything()
        await anyio.to_thread.run_sync(lambda: wait_for(lambda: settled(daemon), "settled"))
        assert (daemon.rows("SELECT count(*) FROM inbox_event"), provider.received()) == before
        assert daemon.stop() == 0
