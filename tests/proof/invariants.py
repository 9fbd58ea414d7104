"""What was promised, checked on what is left when everything has settled."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from router.clock import from_micros
from router.pipeline.ai.ask import INTERRUPTIONS
from router.pipeline.triage.worker import MAX_CRASHES
from tests.proof.database import Database
from tests.proof.load import Customer, Written
from tests.proof.provider import MARK, Arrival, Letter
from tests.proof.site import MAILBOX, ORDER, QUESTION, SURE, TIMEOUT

#: What becomes of an event around which processes were killed again and again while it was worked
#: alone: nobody can tell one that is killed at an event from one that dies of it.
BLAMED = f"the process died {MAX_CRASHES} times while it was worked"
#: And of a question: a person gets it.
GIVEN_UP = f"the router stopped {INTERRUPTIONS} times while it asked"

#: Outcomes after which nothing more is to come.
_FINAL = frozenset(
    ("reply", "draft", "ticket", "escalate", "ignore", "recorded", "superseded", "closed", "dead")
)


@dataclass(frozen=True, slots=True)
class Event:
    lane: str
    seq: int
    source: str
    external_id: str
    sort: str
    outcome: str | None
    settled_seq: int | None
    dead_error: str | None
    #: Of the decision that settled it.
    because: str | None


@dataclass(frozen=True, slots=True)
class Item:
    id: str
    lane: str
    seq: int
    kind: str
    conversation: str | None
    decided: tuple[str, int] | None
    author: str
    destination: str
    state: str
    attempt: int
    started_at: Any


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that can be seen from outside.

    :param owned_since: by contact's thread key, since when a person owns the conversation.
    :param refused: items of which a person said that they had not been sent.
    """

    customers: Sequence[Customer]
    arrivals: Sequence[Arrival]
    events: Sequence[Event]
    items: Mapping[str, Item]
    owned_since: Mapping[str, Any]
    keys: Mapping[str, str]
    leases: int
    unfinished: int
    turns: int
    resent: frozenset[str] = frozenset()
    letters: Sequence[Letter] = ()


async def gather(
    database: Database,
    customers: Sequence[Customer],
    arrivals: Sequence[Arrival],
    resent: frozenset[str] = frozenset(),
    letters: Sequence[Letter] = (),
) -> Evidence:
    """Read everything that the checks look at."""
    events = await database.rows(
        "SELECT e.lane, e.seq, e.source, e.external_id, e.type, e.outcome, e.settled_seq,"
        " e.dead_error, CAST(d.body AS TEXT) FROM inbox_event e LEFT JOIN decision d"
        " ON d.lane = e.lane AND d.seq = coalesce(e.settled_seq, e.seq)"
    )
    items = await database.rows(
        "SELECT id, lane, seq, kind, conversation, decided_lane, decided_seq, author,"
        " destination, state, attempt, started_at FROM outbox"
    )
    owned = await database.rows(
        "SELECT v.id, c.key, v.owner, v.owner_since FROM conversation v"
        " JOIN contact c ON c.id = v.contact"
    )
    # Questions to providers are for later, and for nobody once a person has settled the matter. One
    # may just be put.
    ((leases, unfinished),) = await database.rows(
        "SELECT sum(CASE WHEN lease_owner IS NOT NULL THEN 1 ELSE 0 END),"
        " sum(CASE WHEN done_seq < last_seq AND NOT parked THEN 1 ELSE 0 END) FROM lane l"
        " WHERE NOT EXISTS"
        " (SELECT 1 FROM outbox o WHERE o.lane = l.key AND o.kind = 'reconcile')"
    )
    ((turns,),) = await database.rows("SELECT count(*) FROM timer WHERE kind = 'turn'")
    return Evidence(
        customers=customers,
        arrivals=arrivals,
        events=[Event(*row) for row in events],
        items={row[0]: _item(row) for row in items},
        owned_since={row[1]: row[3] for row in owned if row[2] not in ("bot", "nobody")},
        keys={row[0]: row[1] for row in owned},
        leases=leases or 0,
        unfinished=unfinished or 0,
        turns=turns,
        resent=resent,
        letters=letters,
    )


def _item(row: Sequence[Any]) -> Item:
    decided = None if row[5] is None else (row[5], row[6])
    return Item(row[0], row[1], row[2], row[3], row[4], decided, *row[7:])


def broken(evidence: Evidence) -> list[str]:
    """Give a sentence for each promise that was not kept."""
    return [sentence for check in _CHECKS for sentence in check(evidence)]


def unknown(evidence: Evidence) -> list[Item]:
    """Give what a person must settle."""
    return [item for item in evidence.items.values() if item.state == "unknown"]


def dead(evidence: Evidence) -> list[Event]:
    """Give the events that were given up."""
    return [event for event in evidence.events if event.outcome == "dead"]


# --- what came in


def _nothing_is_lost(it: Evidence) -> Iterator[str]:
    stored = Counter((event.source, event.external_id) for event in it.events)
    known = {_letter(number) for number in range(len(it.letters))}
    for customer, written in _written(it):
        key = _key(customer, written)
        known.add(key)
        if stored[key] != 1:
            yield f"lost: {key} was acknowledged, and is stored {stored[key]} times"
    for event in it.events:
        if event.sort == "message" and (event.source, event.external_id) not in known:
            yield f"nobody wrote {event.source} {event.external_id}"


def _every_event_ends(it: Evidence) -> Iterator[str]:
    errors = {(event.lane, event.seq): event.dead_error for event in it.events}
    for event in it.events:
        if event.outcome not in _FINAL:
            yield f"{event.lane}#{event.seq} ({event.sort}) has the outcome {event.outcome}"
        # With a message that is given up ends the turn in which it stood.
        error = errors.get((event.lane, event.settled_seq or event.seq))
        if event.outcome == "dead" and error != BLAMED:
            yield f"{event.lane}#{event.seq} died of {error!r}"


def _each_message_has_its_answer(it: Evidence) -> Iterator[str]:
    answers: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for item in it.items.values():
        if item.decided is not None:
            answers[item.decided][item.kind] += 1
    events = {(event.source, event.external_id): event for event in it.events}
    for customer, written in _written(it):
        event = events.get(_key(customer, written))
        if event is None or event.outcome == "dead":
            continue
        decided = answers[event.lane, event.settled_seq or event.seq]
        where = f"{written.text!r} ({event.lane}#{event.seq}, {event.outcome})"
        if written.after_takeover and event.outcome == "reply":
            yield f"{where} was answered although a person had taken over"
        if customer.taken_before is None and not customer.by_command:
            expected = {"reply"} if written.sort != QUESTION else {"reply", "ticket"}
            if event.outcome not in expected:
                yield f"{where} should have been {expected}: {event.because}"
        if event.outcome == "reply" and decided["message"] != 1:
            yield f"{where} has {decided['message']} answers"
        orders = 1 if written.sort == ORDER else 0
        if event.outcome == "reply" and decided["action"] != orders and written.sort != QUESTION:
            yield f"{where} has {decided['action']} actions"


def _turns_are_worked_in_order(it: Evidence) -> Iterator[str]:
    events = {(event.source, event.external_id): event for event in it.events}
    for customer in it.customers:
        found = [events.get(_key(customer, written)) for written in customer.acknowledged]
        numbers = [event.seq for event in found if event is not None]
        if numbers != sorted(numbers):
            yield f"{customer.address}'s messages were stored in the order {numbers}"


def _letters_are_found_once_and_in_order(it: Evidence) -> Iterator[str]:
    found: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in it.events:
        found[event.source, event.external_id].append(event)
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, letter in enumerate(it.letters):
        events = found[_letter(number)]
        if len(events) != 1:
            yield f"letter {number} could be asked for, and is stored {len(events)} times"
        for event in events:
            numbers[letter.sender].append(event.seq)
            if event.outcome not in ("ignore", "dead"):
                yield f"letter {number} should have been ignored: {event.outcome}"
    for sender, stored in numbers.items():
        if stored != sorted(stored):
            yield f"{sender}'s letters were stored in the order {stored}"


# --- what left


def _nothing_happens_twice(it: Evidence) -> Iterator[str]:
    for (service, key), times in Counter((one.service, one.key) for one in _effects(it)).items():
        if times > 1:
            yield f"{service} {key} happened {times} times"
        if key not in it.items:
            yield f"{service} {key} was decided by nobody"
    # What has neither key nor query is not even tried again, unless a person said so.
    tried = Counter(one.key for one in it.arrivals if one.service not in SURE)
    for key, times in tried.items():
        if times > 1 + (key in it.resent):
            yield f"{key} was sent again silently: {times} times in all"


def _what_is_told_is_true(it: Evidence) -> Iterator[str]:
    happened = {one.key for one in _effects(it)}
    given_up = {(one.lane, one.seq) for one in dead(it)}
    for item in it.items.values():
        if item.kind not in ("message", "action"):
            continue
        if item.state == "done" and item.id not in happened:
            yield f"{item.destination} {item.id} is called done, and nobody got it"
        if item.state in ("withdrawn", "waiting", "refused", "dead") and item.id in happened:
            yield f"{item.destination} {item.id} is called {item.state}, and was sent"
        # Nobody can be told there that a letter was given up.
        apology = item.destination == MAILBOX and item.decided in given_up
        if item.state == "dead" or (item.state == "refused" and not apology):
            yield f"{item.destination} {item.id} is {item.state}, for no reason of the provider's"


def _answers_come_in_order(it: Evidence) -> Iterator[str]:
    lanes: dict[str, list[Item]] = defaultdict(list)
    for one in _effects(it):
        item = it.items.get(one.key)
        if item is not None and item.kind == "message":
            lanes[item.lane].append(item)
    for lane, items in lanes.items():
        numbers = [item.seq for item in items]
        if numbers != sorted(numbers):
            yield f"{lane} got its messages in the order {numbers}"
        causes = [item.decided[1] for item in items if item.decided is not None]
        if causes != sorted(causes):
            yield f"{lane} got answers to the events in the order {causes}"
    for customer in it.customers:
        marks = [
            int(one.text.rpartition("/")[2])
            for one in _effects(it)
            if one.service == customer.channel
            and f"{MARK}{customer.digits}/" in one.text
            and not one.text.startswith("Respuesta")
        ]
        if marks != sorted(marks):
            yield f"{customer.address} got the answers of its rules in the order {marks}"


def _moment(value: Any) -> datetime:
    """Give a moment as a row of either database has it."""
    return value if isinstance(value, datetime) else from_micros(value)


def _people_are_left_alone(it: Evidence) -> Iterator[str]:
    for customer in it.customers:
        if customer.taken_at is None:
            continue
        since = it.owned_since.get(customer.address)
        if since is None:
            yield f"{customer.address} was taken over, and is the bot's"
            continue
        for one in _effects(it):
            item = it.items.get(one.key)
            if item is None or item.kind != "message" or item.author == "person":
                continue
            if it.keys.get(item.conversation or "") != customer.address:
                continue
            late = one.at > customer.taken_at
            # Its sender had given up waiting before the person came, and the provider did it then.
            given_up = one.at - one.waited + TIMEOUT
            lost = one.waited > TIMEOUT and given_up <= customer.taken_at
            if not late or lost or item.id in customer.under_way:
                continue
            # What had been started could not be called back; a command waits for it, an echo
            # cannot. Its row's own moment says nothing: it was read before the conversation could
            # be locked.
            assert customer.taken_on is not None
            if customer.by_command or _moment(item.started_at) > customer.taken_on:
                yield (
                    f"{customer.address} got {one.text!r} {one.at - customer.taken_at:.3f} s after "
                    f"a person had taken over (started {_moment(item.started_at)}, answered "
                    f"{customer.taken_on})"
                )


def _nothing_is_left_over(it: Evidence) -> Iterator[str]:
    if it.leases:
        yield f"{it.leases} leases are left"
    if it.unfinished:
        yield f"{it.unfinished} lanes are not at their end, and not parked"
    if it.turns:
        yield f"{it.turns} turns wait for ever"
    blocked: dict[str, int] = {}
    for item in unknown(it):
        blocked[item.lane] = min(item.seq, blocked.get(item.lane, item.seq))
    for item in it.items.values():
        if item.kind == "reconcile":
            continue
        if item.state == "started":
            yield f"{item.kind} {item.id} is still under way"
        if item.state == "waiting" and not item.seq > blocked.get(item.lane, item.seq):
            yield f"{item.kind} {item.id} waits, and for nothing"


_CHECKS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    _nothing_is_lost,
    _every_event_ends,
    _each_message_has_its_answer,
    _turns_are_worked_in_order,
    _letters_are_found_once_and_in_order,
    _nothing_happens_twice,
    _what_is_told_is_true,
    _answers_come_in_order,
    _people_are_left_alone,
    _nothing_is_left_over,
)


def _written(it: Evidence) -> Iterator[tuple[Customer, Written]]:
    for customer in it.customers:
        for written in customer.acknowledged:
            yield customer, written


def _key(customer: Customer, written: Written) -> tuple[str, str]:
    return f"main/{customer.channel}", f"message:{written.id}"


def _letter(number: int) -> tuple[str, str]:
    return f"main/{MAILBOX}", f"message:{number}"


def _effects(it: Evidence) -> list[Arrival]:
    return [one for one in it.arrivals if one.new]
