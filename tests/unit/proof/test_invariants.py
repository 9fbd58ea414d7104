"""The checks of the crash proof see what they are there to see."""

from dataclasses import replace
from typing import Any

import pytest

from router.clock import from_micros
from tests.proof.invariants import BLAMED, Event, Evidence, Item, broken
from tests.proof.load import Customer, Written
from tests.proof.provider import Arrival, Letter
from tests.proof.site import ORDER, REPEAT

DIGITS = "573010000000"
KEY = f"tel:+{DIGITS}"
LANE = f"main/{KEY}"


def written(number: int, sort: str = REPEAT, *, late: bool = False) -> Written:
    return Written(f"SM{number}", number, sort, f"{sort} #{DIGITS}/{number}", late)


def customer(channel: str = "safe", **values: Any) -> Customer:
    one = Customer(DIGITS, channel, (REPEAT, ORDER), values.pop("taken_before", None))
    one.acknowledged = values.pop("acknowledged", [written(0), written(1, ORDER)])
    for name, value in values.items():
        setattr(one, name, value)
    return one


def event(number: int, **values: Any) -> Event:
    base = Event(
        lane=LANE,
        seq=number + 1,
        source="main/safe",
        external_id=f"message:SM{number}",
        sort="message",
        outcome="reply",
        settled_seq=None,
        dead_error=None,
        because=None,
    )
    return replace(base, **values)


def item(name: str, number: int, **values: Any) -> Item:
    base = Item(
        id=name,
        lane=f"main/safe/{KEY}",
        seq=number + 1,
        kind="message",
        conversation="talk",
        decided=(LANE, number + 1),
        author="rule",
        destination="safe",
        state="done",
        attempt=1,
        started_at=100 + number,
    )
    return replace(base, **values)


def arrival(name: str, number: int, **values: Any) -> Arrival:
    text = f"{REPEAT if number == 0 else ORDER} #{DIGITS}/{number}"
    return replace(Arrival(10.0 + number, name, "safe", KEY, text, new=True), **values)


def letter(number: int, **values: Any) -> Event:
    named = {"source": "main/mailbox", "external_id": f"message:{number}", "outcome": "ignore"}
    return event(number, lane="main/tel:+573020000000", **named | values)


LETTERS = [Letter("tel:+573020000000", "carta 0"), Letter("tel:+573020000000", "carta 1")]
A, B = item("a", 0), item("b", 1)
CRM = item("crm", 1, kind="action", destination="crm", lane="item/crm", seq=1)
TOLD = arrival("crm", 1, service="crm")
APOLOGY = item(
    "sorry",
    0,
    destination="mailbox",
    lane="main/mailbox/tel:+573020000000",
    decided=(letter(0).lane, letter(0).seq),
    state="refused",
)


def evidence(**values: Any) -> Evidence:
    """Give what is left when all went well, with some of it changed."""
    items = values.pop("items", (A, B, CRM))
    whole: dict[str, Any] = {
        "customers": [customer()],
        "arrivals": [arrival("a", 0), arrival("b", 1), TOLD],
        "events": [event(0), event(1)],
        "items": {one.id: one for one in items},
        "owned_since": {},
        "keys": {"talk": KEY},
        "leases": 0,
        "unfinished": 0,
        "turns": 0,
    }
    return Evidence(**(whole | values))


def taken(on: int = 105, **values: Any) -> dict[str, Any]:
    """Give the changes for somebody whom a person took over between two messages."""
    one = customer(
        taken_before=1,
        acknowledged=[written(0)],
        taken_at=10.5,
        taken_on=from_micros(on),
        **values,
    )
    return {
        "customers": [one],
        "events": [event(0)],
        "items": (A,),
        "arrivals": [arrival("a", 0)],
        "owned_since": {KEY: 105},
    }


GOOD = {
    "all is well": evidence(),
    "a repeat that changed nothing": evidence(
        arrivals=[arrival("a", 0), arrival("a", 0, new=False), arrival("b", 1), TOLD]
    ),
    "a letter that was given up, for which nobody can be told so": evidence(
        events=[event(0), event(1), letter(0, outcome="dead", dead_error=BLAMED)],
        letters=LETTERS[:1],
        items=(A, B, CRM, APOLOGY),
    ),
    "given up, and listed": evidence(
        events=[event(0), event(1, outcome="dead", dead_error=BLAMED)],
        items=(A,),
        arrivals=[arrival("a", 0)],
    ),
    "given up, and its turn with it": evidence(
        events=[
            event(0, outcome="dead", settled_seq=2),
            event(1, outcome="dead", dead_error=BLAMED),
        ],
        items=(),
        arrivals=[],
    ),
    "letters": evidence(events=[event(0), event(1), letter(0), letter(1)], letters=LETTERS),
    "unknown, and what waits behind it": evidence(
        items=(replace(A, state="unknown"), replace(B, state="waiting"), CRM),
        arrivals=[arrival("a", 0), TOLD],
    ),
    "taken over": evidence(**taken()),
    "started before it was taken over": evidence(
        **taken() | {"arrivals": [arrival("a", 0, at=10.6)]}
    ),
    "taken by command, after the provider's answer was given up": evidence(
        **taken(by_command=True) | {"arrivals": [arrival("a", 0, at=11.0, waited=2.5)]}
    ),
}

BAD = {
    "lost": (evidence(events=[event(0)]), "was acknowledged, and is stored 0 times"),
    "made up": (
        evidence(events=[event(0), event(1), event(2)]),
        "nobody wrote main/safe message:SM2",
    ),
    "a letter that was not found": (
        evidence(events=[event(0), event(1), letter(0)], letters=LETTERS),
        "letter 1 could be asked for, and is stored 0 times",
    ),
    "a letter that was found twice": (
        evidence(events=[event(0), event(1), letter(0), letter(0)], letters=LETTERS[:1]),
        "letter 0 could be asked for, and is stored 2 times",
    ),
    "letters in another order": (
        evidence(events=[event(0), event(1), letter(0, seq=2), letter(1, seq=1)], letters=LETTERS),
        "tel:+573020000000's letters were stored in the order [2, 1]",
    ),
    "a letter that was answered": (
        evidence(events=[event(0), event(1), letter(0, outcome="reply")], letters=LETTERS[:1]),
        "letter 0 should have been ignored: reply",
    ),
    "a letter that nobody wrote": (
        evidence(events=[event(0), event(1), letter(0)]),
        "nobody wrote main/mailbox message:0",
    ),
    "without an end": (evidence(events=[event(0), event(1, outcome=None)]), "has the outcome None"),
    "still waiting": (
        evidence(events=[event(0), event(1, outcome="asking")]),
        "has the outcome asking",
    ),
    "dead of something else": (
        evidence(events=[event(0), event(1, outcome="dead", dead_error="KeyError")]),
        "died of 'KeyError'",
    ),
    "dead with its turn, of something else": (
        evidence(events=[event(0, outcome="dead", settled_seq=2), event(1)]),
        "died of None",
    ),
    "answered twice": (
        evidence(
            items=(A, B, CRM, item("c", 2, decided=(LANE, 2))),
            arrivals=[arrival("a", 0), arrival("b", 1), TOLD, arrival("c", 1)],
        ),
        "has 2 answers",
    ),
    "not answered": (evidence(items=(A, CRM), arrivals=[arrival("a", 0), TOLD]), "has 0 answers"),
    "not answered by its rule": (
        evidence(events=[event(0, outcome="ticket"), event(1)]),
        "should have been {'reply'}",
    ),
    "an action too few": (evidence(items=(A, B), arrivals=[arrival("a", 0)]), "has 0 actions"),
    "stored in another order": (
        evidence(events=[event(0, seq=2), event(1, seq=1)]),
        "were stored in the order [2, 1]",
    ),
    "sent twice": (
        evidence(arrivals=[arrival("a", 0), arrival("a", 0), arrival("b", 1), TOLD]),
        "safe a happened 2 times",
    ),
    "done twice": (
        evidence(arrivals=[arrival("a", 0), arrival("b", 1), TOLD, TOLD]),
        "crm crm happened 2 times",
    ),
    "sent by nobody": (
        evidence(arrivals=[arrival("a", 0), arrival("b", 1), TOLD, arrival("x", 1)]),
        "safe x was decided by nobody",
    ),
    "sent again silently": (
        evidence(
            arrivals=[arrival("a", 0), arrival("b", 1), TOLD]
            + [arrival("b", 1, service="ledger", new=False)] * 2
        ),
        "b was sent again silently: 2 times in all",
    ),
    "called done": (evidence(arrivals=[arrival("a", 0), TOLD]), "b is called done, and nobody"),
    "called withdrawn": (
        evidence(items=(A, replace(B, state="withdrawn"), CRM)),
        "b is called withdrawn, and was sent",
    ),
    "a letter's answer refused, which was not given up": (
        evidence(
            events=[event(0), event(1), letter(0)], letters=LETTERS[:1], items=(A, B, CRM, APOLOGY)
        ),
        "mailbox sorry is refused, for no reason",
    ),
    "refused for no reason": (
        evidence(items=(A, replace(B, state="refused"), CRM), arrivals=[arrival("a", 0), TOLD]),
        "b is refused, for no reason",
    ),
    "in another order": (
        evidence(arrivals=[arrival("b", 1), arrival("a", 0), TOLD]),
        "got its messages in the order [2, 1]",
    ),
    "decided in another order": (
        evidence(items=(replace(A, seq=2), replace(B, seq=1), CRM)),
        "got its messages in the order [2, 1]",
    ),
    "answers in another order": (
        evidence(items=(replace(A, decided=(LANE, 2)), replace(B, decided=(LANE, 1)), CRM)),
        "got answers to the events in the order [2, 1]",
    ),
    "taken, and answered later": (
        evidence(**taken(on=99) | {"arrivals": [arrival("a", 0, at=11.0)]}),
        "0.500 s after a person had taken over",
    ),
    "taken by command, and still under way": (
        evidence(**taken(by_command=True) | {"arrivals": [arrival("a", 0, at=11.0)]}),
        "0.500 s after a person had taken over",
    ),
    "taken by command, while the provider's answer was waited for": (
        evidence(**taken(by_command=True) | {"arrivals": [arrival("a", 0, at=11.0, waited=2.2)]}),
        "0.500 s after a person had taken over",
    ),
    "taken, and the bot's": (evidence(**taken() | {"owned_since": {}}), "and is the bot's"),
    "taken, and decided": (
        evidence(customers=[customer(acknowledged=[written(0), written(1, ORDER, late=True)])]),
        "was answered although a person had taken over",
    ),
    "a lease": (evidence(leases=1), "1 leases are left"),
    "a lane": (evidence(unfinished=1), "1 lanes are not at their end"),
    "a turn": (evidence(turns=1), "1 turns wait"),
    "under way": (evidence(items=(A, replace(B, state="started"), CRM)), "b is still under way"),
    "waiting for nothing": (
        evidence(items=(A, replace(B, state="waiting"), CRM), arrivals=[arrival("a", 0), TOLD]),
        "b waits, and for nothing",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_as_it_should_be_passes(name: str) -> None:
    assert broken(GOOD[name]) == []


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_as_it_should_be_is_named(name: str) -> None:
    evidence_, sentence = BAD[name]

    assert [one for one in broken(evidence_) if sentence in one] != []
