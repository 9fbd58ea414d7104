"""What is stored to send a text, and what the channel is then asked to send."""

import json
from itertools import count

import pytest

from router.domain.identity import Address
from router.domain.message import Attachment, Author, OutboundMessage, Template
from router.domain.outbox import ItemKind
from router.pipeline.outbound.messages import file_items, message_items, outbound_message

ANA = Address("tel", "+5213312345678")
PHOTO = Attachment(kind="image", url="https://example.org/a.jpg")


def test_a_long_text_becomes_several_items_each_with_its_line() -> None:
    numbers = count(1)

    pairs = message_items(
        "Uno dos. Tres cuatro.",
        tenant="main",
        channel="whatsapp",
        recipient=ANA,
        author=Author.PERSON,
        max_text=14,
        media=[PHOTO],
        in_reply_to="m1",
        ids=lambda: f"id-{next(numbers)}",
    )

    assert [(item.id, line.id, line.text) for item, line in pairs] == [
        ("id-1", "id-1", "Uno dos."),
        ("id-2", "id-2", "Tres cuatro."),
    ]
    assert [json.loads(item.body) for item, _ in pairs] == [
        {
            "text": "Uno dos.",
            "recipient": "tel:+5213312345678",
            "media": [{"kind": "image", "url": "https://example.org/a.jpg"}],
            "in_reply_to": "m1",
        },
        {"text": "Tres cuatro.", "recipient": "tel:+5213312345678"},
    ]
    item, line = pairs[0]
    assert (item.kind, item.lane, item.destination, item.author) == (
        ItemKind.MESSAGE,
        "main/whatsapp/tel:+5213312345678",
        "whatsapp",
        Author.PERSON,
    )
    assert (line.direction, line.status, line.attachments) == ("out", "queued", (PHOTO,))


def test_a_long_text_is_cut_by_what_the_channel_counts() -> None:
    pairs = message_items(
        "Año nuevo. Año viejo.",
        tenant="main",
        channel="whatsapp",
        recipient=ANA,
        author=Author.PERSON,
        max_text=21,
        text_unit="bytes",
    )

    assert [line.text for _, line in pairs] == ["Año nuevo.", "Año viejo."]


def test_each_file_is_a_message_of_its_own_without_a_text() -> None:
    brochure = Attachment(kind="document", url="https://example.org/b.pdf", name="b.pdf")
    numbers = count(1)

    pairs = file_items(
        [PHOTO, brochure],
        tenant="main",
        channel="whatsapp",
        recipient=ANA,
        author=Author.RULE,
        ids=lambda: f"id-{next(numbers)}",
    )

    assert [outbound_message(item.id, item.body) for item, _ in pairs] == [
        OutboundMessage(id="id-1", recipient=ANA, media=(PHOTO,)),
        OutboundMessage(id="id-2", recipient=ANA, media=(brochure,)),
    ]
    assert [(line.id, line.text, line.attachments) for _, line in pairs] == [
        ("id-1", "", (PHOTO,)),
        ("id-2", "", (brochure,)),
    ]
    assert {item.lane for item, _ in pairs} == {"main/whatsapp/tel:+5213312345678"}
    assert {item.kind for item, _ in pairs} == {ItemKind.MESSAGE}
    assert {(line.direction, line.status, line.channel) for _, line in pairs} == {
        ("out", "queued", "whatsapp")
    }


@pytest.mark.parametrize("own_echoes", [False, True])
def test_a_file_has_no_words_and_knows_whether_it_comes_back(own_echoes: bool) -> None:
    ((item, line),) = file_items(
        [PHOTO],
        tenant="main",
        channel="whatsapp",
        recipient=ANA,
        author=Author.RULE,
        own_echoes=own_echoes,
    )

    body = json.loads(item.body)
    assert (body["text"], body.get("own_echoes", False)) == ("", own_echoes)
    assert body["media"] == [{"kind": "image", "url": PHOTO.url}]
    assert (outbound_message(item.id, item.body).text, line.text) == ("", "")


def test_a_template_is_never_cut() -> None:
    template = Template("HX1", {"1": "Ana"})

    ((item, line),) = message_items(
        "Hola Ana, su pedido llegó.",
        tenant="acme",
        channel="wa",
        recipient=ANA,
        author=Author.RULE,
        max_text=5,
        template=template,
    )

    assert line.text == "Hola Ana, su pedido llegó."
    assert outbound_message(item.id, item.body) == OutboundMessage(
        id=item.id, recipient=ANA, text="Hola Ana, su pedido llegó.", template=template
    )


def test_what_was_stored_is_what_the_channel_is_asked_to_send() -> None:
    ((item, _),) = message_items(
        "¡Listo! 👍",
        tenant="main",
        channel="wa",
        recipient=ANA,
        author=Author.BOT,
        max_text=100,
        media=[PHOTO],
        in_reply_to="m1",
    )

    assert outbound_message(item.id, item.body) == OutboundMessage(
        id=item.id, recipient=ANA, text="¡Listo! 👍", media=(PHOTO,), in_reply_to="m1"
    )
