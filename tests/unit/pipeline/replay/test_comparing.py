"""Comparing: what counts as a change, and how careful it is."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from router.pipeline.replay.comparing import (
    Comparison,
    Verdict,
    compare,
    compare_both,
    differences,
)
from router.pipeline.replay.deciding import Decided, Doubt, Replayed
from router.storage.recordings import RecordedEvent, RecordedTurn
from router.storage.store import EventRef

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
REPLY: dict[str, Any] = {
    "outcome": "reply",
    "rule": "hours",
    "because": "it states the answer",
    "replies": [{"text": "De 8 a 18.", "author": "rule"}],
}
TICKET: dict[str, Any] = {
    "outcome": "ticket",
    "ticket": {"queue": "default", "title": "Legal", "priority": "normal"},
}


def turn(
    body: dict[str, Any], *, changes: dict[str, str] | None = None, seq: int = 1
) -> RecordedTurn:
    event = RecordedEvent(
        ref=EventRef("main/tel:+573001234567", seq),
        source="main/phone",
        kind="message",
        payload='{"id": "m", "sender": "tel:+573001234567", "text": "hola"}',
        received_at=NOW,
        conversation="c1",
        outcome=body["outcome"],
        body=body,
        changes=changes or {},
    )
    return RecordedTurn(tenant="main", events=(event,))


def now(body: dict[str, Any], *, word: str | None = None, **changes: str) -> Decided:
    return Decided(word=word or body["outcome"], body=body, changes=changes, trace=b"")


@pytest.mark.parametrize(
    ("then", "again", "verdict"),
    [
        (REPLY, REPLY, "same"),
        (REPLY, {**REPLY, "rule": "opening", "because": "another reason"}, "same"),
        (REPLY, {**REPLY, "replies": [{"text": "De 9 a 18.", "author": "rule"}]}, "different"),
        (REPLY, {**REPLY, "category": "INFO"}, "different"),
        (REPLY, {**REPLY, "tags": ["vip"]}, "different"),
        (REPLY, TICKET, "more careful"),
        (TICKET, REPLY, "less careful"),
        (TICKET, {"outcome": "ignore"}, "less careful"),
        (
            {"outcome": "escalate", "escalation": {"to": "legal", "because": "one reason"}},
            {"outcome": "escalate", "escalation": {"to": "legal", "because": "another"}},
            "same",
        ),
        (
            {"outcome": "escalate", "escalation": {"to": "legal", "because": "one reason"}},
            {"outcome": "escalate", "escalation": {"to": "sales", "because": "one reason"}},
            "different",
        ),
    ],
)
def test_a_decision_is_compared_by_what_becomes_of_it(
    then: dict[str, Any], again: dict[str, Any], verdict: str
) -> None:
    assert compare(turn(then), Replayed(decided=(now(again),))).verdict == verdict


def test_attributes_and_whether_a_conversation_closes_count() -> None:
    ignore = {"outcome": "ignore"}

    kept = compare(turn(ignore, changes={"tema": "a"}), Replayed(decided=(now(ignore, tema="a"),)))
    other = compare(turn(ignore, changes={"tema": "a"}), Replayed(decided=(now(ignore, tema="b"),)))
    closed = compare(turn(ignore), Replayed(decided=(now(ignore, word="closed"),)))

    assert [kept.verdict, other.verdict, closed.verdict] == ["same", "different", "different"]


def test_a_turn_answered_in_parts_is_as_careful_as_the_most_careful_of_them() -> None:
    parts = compare(turn(REPLY), Replayed(decided=(now(TICKET), now(REPLY))))
    alike = compare(turn(REPLY), Replayed(decided=(now(REPLY), now(REPLY))))

    assert (parts.verdict, parts.now) == ("more careful", now(TICKET))
    assert alike.verdict == "different"
    assert alike.because == "the messages of the turn would be answered in 2 parts"


@pytest.mark.parametrize("doubt", list(Doubt))
def test_a_doubt_is_no_decision_and_counts_as_changed(doubt: Doubt) -> None:
    comparison = Comparison()
    comparison.add(compare(turn(REPLY), Replayed(doubt=doubt, because="why")))
    comparison.add(compare(turn(REPLY), Replayed(decided=(now(REPLY),))))

    assert comparison.totals == {Verdict(doubt.value): 1, Verdict.SAME: 1}
    assert (comparison.changed, comparison.share) == (1, 0.5)
    [change] = comparison.most_first()
    assert (change.now, change.because) == (None, "why")


def test_changes_of_one_kind_are_one_with_the_first_as_examples() -> None:
    comparison = Comparison()
    for seq in range(1, 6):
        comparison.add(compare(turn(REPLY, seq=seq), Replayed(decided=(now(TICKET),))))
    comparison.add(compare(turn(TICKET), Replayed(decided=(now(REPLY),))))

    more, less = comparison.most_first()
    assert (more.verdict, more.count, less.verdict, less.count) == (
        "more careful",
        5,
        "less careful",
        1,
    )
    assert [it.turn.decided.ref.seq for it in more.examples] == [1, 2, 3]
    assert comparison.rules["hours"] == {Verdict.MORE_CAREFUL: 5}


def test_what_differs_is_told_by_its_name() -> None:
    other = {**REPLY, "category": "INFO", "replies": []}

    assert differences(turn(REPLY).decided, now(other, tema="a")) == {
        "replies": (REPLY["replies"], []),
        "category": (None, "INFO"),
        "set": (None, {"tema": "a"}),
    }


def test_nothing_at_all_is_nothing_changed() -> None:
    assert (Comparison().turns, Comparison().share) == (0, 0.0)


UNKNOWN = Replayed(doubt=Doubt.UNKNOWN, because="why")
STALE = Replayed(doubt=Doubt.STALE, because="another prompt", asked=("aa", (1,)))


@pytest.mark.parametrize(
    ("before", "after", "verdict", "then"),
    [
        (Replayed(decided=(now(TICKET),)), Replayed(decided=(now(TICKET),)), "same", "ticket"),
        (
            Replayed(decided=(now(TICKET),)),
            Replayed(decided=(now({"outcome": "ignore"}),)),
            "less careful",
            "ticket",
        ),
        (
            Replayed(decided=(now({"outcome": "ignore"}),)),
            Replayed(decided=(now(TICKET),)),
            "more careful",
            "ignore",
        ),
        (
            Replayed(decided=(now(TICKET),)),
            Replayed(decided=(now(TICKET), now(TICKET))),
            "different",
            "ticket",
        ),
        (Replayed(decided=(now(TICKET),)), UNKNOWN, "unknown", "ticket"),
        (UNKNOWN, UNKNOWN, "same", "reply"),
        (UNKNOWN, Replayed(decided=(now(TICKET),)), "more careful", "reply"),
        (STALE, STALE, "same", "reply"),
        (STALE, replace(STALE, asked=("bb", (1,))), "stale", "reply"),
        (UNKNOWN, STALE, "stale", "reply"),
    ],
)
def test_two_configurations_are_compared_where_the_record_speaks_of_neither(
    before: Replayed, after: Replayed, verdict: str, then: str
) -> None:
    comparison = Comparison()

    compared = compare_both(compare(turn(REPLY), after), before, after)
    comparison.add(compared)

    assert compared.verdict == verdict
    assert [it.then.outcome for it in comparison.most_first()] == [then] * (verdict != "same")
