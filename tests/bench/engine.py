"""The engine without HTTP: what a store takes in, and works to the end, in a second.

The work is as small as work can be, one reply decided without looking at rules, so that what is
measured is the store. It is measured twice:

- *end to end* is what the goal names: an event of a thread that exists is taken in, claimed with
  its thread, and decided; its outcome, the decision with its trace and an item of the outbox are
  written, and the lanes of both. The thread itself does not change.
- *end to end, whole thread* is what a conversation comes to: customers that nobody has met get a
  contact and a conversation, every event changes its conversation and adds two lines to it.

Each has a ceiling of its own, the very rows that it wrote, written once more without an engine.
Rates are what this machine has left; the processor's time for an event, writer, loop and database
together, says more where others use it, too.
"""

import asyncio
import json
import time
import zlib
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from random import Random
from statistics import median
from typing import Any

import sqlalchemy as sa

from router.domain.conversation import Contact, Conversation
from router.domain.decision import Decision, Outcome, Reply
from router.domain.event import MessageReceived
from router.domain.identity import Address
from router.domain.message import Author, Direction
from router.domain.outbox import ItemKind
from router.ids import new_id
from router.storage.store import IN, OUT, Commit, NewEvent, NewItem, NewMessage, Store, Tx, Work
from router.storage.tables import contact, conversation, lane
from tests.bench import rows
from tests.bench.load import Sample
from tests.bench.stores import Database

PRODUCERS = 64
#: Customers who write, and have an open conversation where the measure wants one.
_CUSTOMERS = 20_000
#: Conversations in the database while growth is measured.
SIZES = (1_000, 100_000, 1_000_000)
#: How often each of them is measured.
_TURNS = 3
_TEXT = "Hola, buenas tardes, ¿me puede decir hasta qué hora abren los sábados? Gracias"
_REPLY = "Abrimos de lunes a sábado, de 9:00 a 19:00."
_BATCH = 64
#: Batches whose commits may be under way at once, as in the daemon's worker.
_DEPTH = 4
_DECISION = Decision(
    outcome=Outcome.REPLY, because="hours", rule="hours", replies=(Reply(text=_REPLY),)
)
#: The trace of a pass over thirty rules is about this big before it is packed.
_TRACE = zlib.compress(
    json.dumps(
        {"rules": [{"id": f"rule-{n}", "hit": False, "saw": _TEXT[:20]} for n in range(30)]}
    ).encode(),
    1,
)


def address(number: int) -> Address:
    """Give the address of a customer."""
    return Address("tel", f"+57{3_000_000_000 + number}")


def events(run: str, customers: Iterator[int]) -> Iterator[NewEvent]:
    """Give endless messages, each of the next customer."""
    for number in count():
        sender = address(next(customers))
        yield NewEvent(
            lane=f"main/{sender}",
            tenant="main",
            source="main/bench",
            external_id=f"{run}-{number}",
            event=MessageReceived(f"{run}-{number}", sender, _TEXT),
            received_at=datetime.now(UTC),
        )


def new_customers() -> Iterator[int]:
    """Give customers that nobody has met."""
    return count()


def known_customers(number: int, first: int = 0) -> Iterator[int]:
    """Give customers out of so many, at random, the same ones in each run."""
    random = Random(number)
    while True:
        yield first + random.randrange(number)


async def intake(store: Store, offered: Iterator[NewEvent], *, seconds: float) -> Sample:
    """Store events one by one from 64 producers; each offers its next when the last is on disk."""
    times: list[float] = []
    began = time.perf_counter()

    async def produce() -> None:
        while (start := time.perf_counter()) < began + seconds:
            await store.enqueue([next(offered)])
            times.append((time.perf_counter() - start) * 1000)

    await asyncio.gather(*(produce() for _ in range(PRODUCERS)))
    return Sample(time.perf_counter() - began, times)


async def through(
    store: Store,
    offered: Iterator[NewEvent],
    *,
    seconds: float,
    decide: Callable[[Work], Commit],
) -> Sample:
    """Store events and work them as they come; the times are those until each is decided."""
    times: list[float] = []
    began = time.perf_counter()
    stored = 0
    depth = asyncio.Semaphore(_DEPTH)
    ended = asyncio.Event()

    async def produce() -> None:
        nonlocal stored
        while time.perf_counter() < began + seconds:
            await store.enqueue([next(offered)])
            stored += 1

    async def work(works: list[Work]) -> None:
        await store.complete([decide(work) for work in works])
        now = datetime.now(UTC)
        times.extend((now - work.received_at).total_seconds() * 1000 for work in works)
        depth.release()
        if producers.done() and len(times) >= stored:
            ended.set()

    async def consume() -> None:
        while True:
            await depth.acquire()
            works = await store.claim(_BATCH)
            tasks.add(task := asyncio.create_task(work(works)))
            task.add_done_callback(tasks.discard)

    tasks: set[asyncio.Task[None]] = set()
    producers = asyncio.gather(*(produce() for _ in range(PRODUCERS)))
    consumer = asyncio.create_task(consume())
    await producers
    while len(times) < stored:
        ended.clear()
        await asyncio.wait_for(ended.wait(), 60)
    consumer.cancel()
    return Sample(time.perf_counter() - began, times)


async def drained(store: Store) -> int:
    """Work everything that waits; give how much that was."""
    done = 0
    while True:
        try:
            works = await asyncio.wait_for(store.claim(_BATCH), 0.5)
        except TimeoutError:
            return done
        await store.complete([decision(work) for work in works])
        done += len(works)


def decision(work: Work) -> Commit:
    """Decide to reply in a thread that exists, without thinking, and write no more than that."""
    event = work.event
    assert isinstance(event, MessageReceived)
    assert work.conversation is not None
    return Commit(
        work=work,
        outcome="reply",
        conversation=work.conversation,
        decision=_DECISION,
        trace=_TRACE,
        items=(_item(event),),
    )


def answer(work: Work) -> Commit:
    """Decide to reply, without thinking, with all that a thread keeps of it."""
    event = work.event
    assert isinstance(event, MessageReceived)
    thread = work.conversation or Conversation(
        id=new_id(),
        contact=work.contact or Contact(id=new_id(), key=str(event.sender)),
        channel="bench",
        address=event.sender,
    )
    item = _item(event)
    said = _line(new_id(), Direction.IN, Author.CUSTOMER, event.text, thread)
    reply = _line(item.id, Direction.OUT, Author.RULE, _REPLY, thread, status="queued")
    return Commit(
        work=work,
        outcome="reply",
        conversation=replace(thread, last_in_at=work.received_at),
        messages=(said, reply),
        decision=_DECISION,
        trace=_TRACE,
        items=(item,),
    )


def _item(event: MessageReceived) -> NewItem:
    return NewItem(
        id=new_id(),
        kind=ItemKind.MESSAGE,
        lane=f"main/bench/{event.sender}",
        author=Author.RULE,
        destination="bench",
        body=json.dumps({"text": _REPLY, "recipient": str(event.sender)}),
    )


def _line(
    name: str,
    direction: Direction,
    author: Author,
    text: str,
    thread: Conversation,
    status: str | None = None,
) -> NewMessage:
    return NewMessage(
        id=name,
        direction=direction,
        author=author,
        text=text,
        channel="bench",
        address=thread.address,
        status=status,
    )


async def grow(store: Store, first: int, last: int) -> None:
    """Let customers ``first`` to ``last`` have an open conversation each, and lanes that rest."""
    step = 5000
    for start in range(first, last, step):
        await store.write(partial(_open, range(start, min(start + step, last))))


def _open(numbers: range, tx: Tx) -> None:
    ids = [new_id() for _ in numbers]
    people = [
        {
            "id": f"c{name}"[:26],
            "tenant": "main",
            "key": str(address(number)),
            "tags": [],
            "attributes": {},
            "created_at": tx.now,
        }
        for number, name in zip(numbers, ids, strict=True)
    ]
    threads = [
        {
            "id": f"v{name}"[:26],
            "tenant": "main",
            "contact": f"c{name}"[:26],
            "channel": "bench",
            "address": str(address(number)),
            "status": "active",
            "source": "inbound",
            "owner": "bot",
            "tags": [],
            "attributes": {},
            "created_at": tx.now,
            "last_activity_at": tx.now,
        }
        for number, name in zip(numbers, ids, strict=True)
    ]
    lanes = [
        {"kind": kind, "key": key, "tenant": "main", "last_seq": 1, "done_seq": 1}
        for number in numbers
        for kind, key in ((IN, f"main/{address(number)}"), (OUT, f"main/bench/{address(number)}"))
    ]
    tx.connection.execute(sa.insert(lane), lanes)
    tx.connection.execute(sa.insert(contact), people)
    tx.connection.execute(sa.insert(conversation), threads)


async def paced(store: Store, offered: Iterator[NewEvent], *, seconds: float) -> Sample:
    """Store a hundred events a second; the times are those until a handler has each in hand."""
    times: list[float] = []

    async def handle() -> None:
        while True:
            works = await store.claim(_BATCH)
            now = datetime.now(UTC)
            times.extend((now - work.received_at).total_seconds() * 1000 for work in works)
            await store.complete([answer(work) for work in works])

    handler = asyncio.create_task(handle())
    start = time.perf_counter()
    tasks: set[asyncio.Task[object]] = set()
    for number in range(int(100 * seconds)):
        await asyncio.sleep(max(0.0, start + number / 100 - time.perf_counter()))
        tasks.add(task := asyncio.create_task(store.enqueue([next(offered)])))
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    await asyncio.sleep(0.2)
    handler.cancel()
    return Sample(time.perf_counter() - start, times)


async def measure(database: Database, seconds: float) -> dict[str, Any]:
    """Measure a store, and its database without it."""
    store = database.store
    await through(store, events("warm", new_customers()), seconds=0.5, decide=answer)
    slow = await paced(store, events("slow", known_customers(1000)), seconds=max(seconds, 5))
    await grow(store, _CUSTOMERS, 2 * _CUSTOMERS)
    customers = known_customers(_CUSTOMERS, _CUSTOMERS)
    taken = await _costed(database, intake(store, events("in", customers), seconds=seconds))
    await drained(store)
    customers = known_customers(_CUSTOMERS, _CUSTOMERS)
    run = through(store, events("on", customers), seconds=seconds, decide=decision)
    decided = await _costed(database, run)
    customers = known_customers(_CUSTOMERS)
    run = through(store, events("all", customers), seconds=seconds, decide=answer)
    whole = await _costed(database, run)
    return {
        "durable enqueue": taken,
        "end to end": decided,
        "end to end, whole thread": whole,
        "enqueue to handler at 100/s": _figures(slow),
        "rows of an event": await database.ceiling(rows.INTAKE, "in"),
        "rows of its decision": await database.ceiling(rows.DECIDED, "on"),
        "rows of its thread": await database.ceiling(rows.WHOLE, "all"),
    }


async def _costed(database: Database, run: Coroutine[Any, Any, Sample]) -> dict[str, float]:
    """Give a run's figures, with the processor's time that an event took."""
    before = database.cpu()
    sample = await run
    cost = (database.cpu() - before) / len(sample.times)
    return {**_figures(sample), "cpu_us": cost * 1e6}


def _figures(sample: Sample) -> dict[str, float]:
    return {
        "per_s": sample.rate,
        "p50_ms": sample.percentile(50),
        "p99_ms": sample.percentile(99),
    }


async def growth(databases: Sequence[Database], seconds: float) -> dict[str, Any]:
    """Measure the same load on a thousand, a hundred thousand and a million conversations.

    The load is a thousand customers who write, wherever their conversations stand among the
    others; its cost is the processor's time for an event, the database's processes included. It
    is measured on one after the other and all over again, so that whatever else the machine does
    falls on each of them; the medians are told.

    :param databases: as many as there are sizes, all empty.
    """
    runs: dict[int, list[dict[str, float]]] = {size: [] for size in SIZES}
    for size, database in zip(SIZES, databases, strict=True):
        await grow(database.store, 0, size)
        await through(database.store, events("warm", _some(size)), seconds=seconds, decide=answer)
    for turn in range(_TURNS):
        for size, database in zip(SIZES, databases, strict=True):
            offered = events(f"run-{turn}", _some(size))
            run = through(database.store, offered, seconds=seconds, decide=answer)
            runs[size].append(await _costed(database, run))
    found = {
        f"{size:,} conversations": {
            figure: median(run[figure] for run in taken) for figure in taken[0]
        }
        for size, taken in runs.items()
    }
    small, *_, large = (figures["cpu_us"] for figures in found.values())
    found["cost of a million conversations"] = {"ratio": large / small}
    return found


def _some(size: int) -> Iterator[int]:
    """Give a thousand customers out of so many, again and again."""
    writing = Random(size).sample(range(size), SIZES[0])
    return (writing[place] for place in known_customers(len(writing)))
