"""Pages: one after the other they are the whole list, whatever is written meanwhile."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from router.domain.draft import DraftState
from router.storage import (
    conversations,
    drafts,
    escalations,
    events,
    keyset,
    messages,
    outbox,
    tickets,
)
from router.storage.tables import conversation, draft, escalation, ticket
from tests.unit.storage.conftest import Shop

#: Moments of the rows, several of them the same.
AGES = (0, 0, 0, 1, 1, 2, 3, 3, 3)


def threads(shop: Shop) -> Sequence[str]:
    made = [
        shop.thread(f"tel:+57{n}", last_activity_at=shop.ago(hours=h)) for n, h in enumerate(AGES)
    ]
    shop.thread("tel:+570", tenant="clinica")
    return made


def row_of(shop: Shop, thread: str, n: int, hours: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"row-{n}",
        "tenant": "main",
        "conversation": thread,
        "event_lane": "main/x",
        "event_seq": n,
        "created_at": shop.ago(hours=hours),
        **more,
    }


def drafted(shop: Shop) -> None:
    thread = shop.thread()
    more: dict[str, Any] = {"author": "bot", "text": "t", "because": "b", "sources": []}
    more["state"] = DraftState.PENDING
    shop.database.insert(draft, *(row_of(shop, thread, n, h, **more) for n, h in enumerate(AGES)))


def called(shop: Shop) -> None:
    thread = shop.thread()
    rows = (row_of(shop, thread, n, h, to="x", because="b") for n, h in enumerate(AGES))
    shop.database.insert(escalation, *rows)


def ticketed(shop: Shop) -> None:
    thread = shop.thread()
    for n, hours in enumerate(AGES):
        more = {"queue": "q", "title": "t", "priority": "low", "state": "NEW", "number": n + 1}
        row = row_of(shop, thread, n, hours, **more, updated_at=shop.ago(hours=hours))
        shop.database.insert(ticket, row)


def came(shop: Shop) -> None:
    for n, hours in enumerate(AGES):
        shop.event(n + 1, lane=f"main/tel:+57{n % 2}", received_at=shop.ago(hours=hours))


def left(shop: Shop) -> None:
    for hours in AGES:
        shop.item(created_at=shop.ago(hours=hours))


def said(shop: Shop) -> None:
    thread = shop.thread(id="the-thread")
    for n, hours in enumerate(AGES):
        seq = None if n % 3 == 0 else n // 2
        direction = "in" if n % 2 else "out"
        lane = None if seq is None else "main/x"
        values = {"event_lane": lane, "event_seq": seq, "direction": direction}
        shop.line(thread, "hola", created_at=shop.ago(hours=hours), **values)


LISTS: dict[str, tuple[Callable[[Shop], Any], Callable[..., list[Any]], Callable[[Any], Any]]] = {
    "conversations": (
        threads,
        lambda it, **more: conversations.list_conversations(it, "main", **more),
        lambda it: (it.last_activity_at, it.id),
    ),
    "drafts": (
        drafted,
        lambda it, **more: drafts.list_drafts(it, "main", **more),
        lambda it: (it.created_at, it.id),
    ),
    "escalations": (
        called,
        lambda it, **more: escalations.list_escalations(it, "main", **more),
        lambda it: (it.created_at, it.id),
    ),
    "tickets": (
        ticketed,
        lambda it, **more: tickets.list_tickets(it, "main", **more),
        lambda it: (it.updated_at, it.number),
    ),
    "events": (
        came,
        lambda it, **more: events.list_events(it, "main", **more),
        lambda it: (it.received_at, it.event.lane, it.event.seq),
    ),
    "outbox": (
        left,
        lambda it, **more: outbox.list_items(it, "main", **more),
        lambda it: (it.created_at, it.id),
    ),
    "messages": (
        said,
        lambda it, **more: messages.list_messages(it, "main", "the-thread", **more),
        messages.message_place,
    ),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("size", [1, 2, 4, 20])
def test_pages_are_the_whole_list_in_its_order(shop: Shop, name: str, size: int) -> None:
    fill, read, place = LISTS[name]
    fill(shop)
    whole = shop.database.do(read, limit=100)
    assert len(whole) == len(AGES)

    found: list[Any] = []
    before = None
    while page := shop.database.do(read, limit=size, before=before):
        found += page
        before = place(page[-1])

    assert found == whole


def test_what_comes_in_between_two_pages_moves_nothing(shop: Shop) -> None:
    made = threads(shop)
    read = LISTS["conversations"][1]
    first = shop.database.do(read, limit=4)
    shop.thread("tel:+99", last_activity_at=shop.now + timedelta(hours=1))

    rest = shop.database.do(read, limit=100, before=LISTS["conversations"][2](first[-1]))

    assert sorted(view.id for view in (*first, *rest)) == sorted(made)


def test_a_place_has_a_value_for_each_column() -> None:
    with pytest.raises(ValueError) as caught:
        keyset.behind([(conversation.c.id, True)], ["a", "b"])

    assert str(caught.value) == "a place in an order of 1 columns has 2 values"
