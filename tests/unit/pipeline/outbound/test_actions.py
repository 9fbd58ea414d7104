"""What is stored to run an action, and what it is told of the customer."""

import json

import pytest

from router.domain.message import Author
from router.domain.outbox import ItemKind
from router.pipeline.outbound.actions import action_item, contact_of


@pytest.mark.parametrize(("name", "told"), [("Ana Gómez", "Ana Gómez"), (None, "")])
def test_an_action_is_told_who_the_customer_is_and_where_they_write(
    name: str | None, told: str
) -> None:
    contact = contact_of(name, "tel:+573001234567", "whatsapp")

    assert contact == {"name": told, "address": "tel:+573001234567", "channel": "whatsapp"}


def test_an_action_has_a_lane_of_its_own_and_says_why_it_runs() -> None:
    contact = contact_of("Ana", "tel:+573001234567", "whatsapp")

    item = action_item(
        "pager",
        {"title": "¡Ojo!"},
        conversation="c-1",
        contact=contact,
        because="amenaza legal",
        ids=lambda: "id-1",
    )

    assert (item.id, item.kind, item.lane) == ("id-1", ItemKind.ACTION, "item/id-1")
    assert (item.author, item.destination) == (Author.RULE, "pager")
    assert json.loads(item.body) == {
        "params": {"title": "¡Ojo!"},
        "conversation": "c-1",
        "contact": contact,
        "because": "amenaza legal",
    }
