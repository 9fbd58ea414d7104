"""Whether an echo is something that we sent: words against words, files against files."""

from typing import Any

import pytest

from router.domain.event import MessageEchoed
from router.domain.identity import Address
from router.domain.message import Attachment, Author
from router.pipeline.outbound.messages import file_items, message_items
from router.rules.media import file_at
from router.storage.echoes import SAME, likeness

ANA = Address("tel", "+573001234567")
SENT: dict[str, Any] = {"tenant": "main", "channel": "phone", "recipient": ANA}
PRICES = file_at("https://shop.example/precios.pdf")
PHOTO = file_at("https://shop.example/local.jpg")
VOICE = file_at("https://shop.example/hola.ogg")
NO_SUFFIX = file_at("https://shop.example/files/1")
#: The address at which a provider keeps what it was sent.
KEPT = "https://provider.example/f/1"


def file_body(file: Attachment = PHOTO, *, own_echoes: bool = True) -> str:
    ((item, _),) = file_items([file], author=Author.RULE, own_echoes=own_echoes, **SENT)
    return item.body


def text_body(text: str, **more: Any) -> str:
    ((item, _),) = message_items(text, author=Author.RULE, max_text=100, **SENT, **more)
    return item.body


def echo(text: str = "", *files: Attachment) -> MessageEchoed:
    return MessageEchoed("app-1", ANA, text, attachments=files)


def kept(kind: str, **more: Any) -> Attachment:
    return Attachment(kind=kind, url=KEPT, **more)


@pytest.mark.parametrize(
    ("body", "event"),
    [
        pytest.param(text_body("¡Listo!"), echo(" ¡LISTO! "), id="words"),
        pytest.param(text_body("Mire"), echo("Mire", kept("image")), id="words with a preview"),
        pytest.param(text_body("Mire", media=[PHOTO]), echo("Mire"), id="words of a file"),
        pytest.param(file_body(), echo("", PHOTO), id="a file"),
        pytest.param(file_body(own_echoes=False), echo("", PHOTO), id="never announced"),
        pytest.param(file_body(), echo(PHOTO.url or ""), id="an address for the words"),
        pytest.param(file_body(own_echoes=False), echo(PHOTO.url or ""), id="the same, elsewhere"),
    ],
)
def test_an_echo_with_the_words_or_the_address_of_a_message_is_that_message(
    body: str, event: MessageEchoed
) -> None:
    assert likeness(body, event) == SAME


@pytest.mark.parametrize(
    ("file", "event"),
    [
        pytest.param(PHOTO, echo("", kept("image")), id="another address"),
        pytest.param(PHOTO, echo(" ", kept("image", name="x.jpg")), id="another name"),
        pytest.param(PHOTO, echo("", Attachment(kind="image")), id="no address"),
        pytest.param(PHOTO, echo(), id="nothing but that it was"),
        pytest.param(PHOTO, echo("", kept("document")), id="a picture as a document"),
        pytest.param(PRICES, echo("", kept("image")), id="a document as a picture"),
        pytest.param(VOICE, echo("", kept("audio")), id="a voice note"),
        pytest.param(VOICE, echo("", kept("document")), id="a voice note as a document"),
        pytest.param(NO_SUFFIX, echo("", kept("audio")), id="a file of which nothing is known"),
    ],
)
def test_a_providers_form_of_our_file_is_ours_only_where_our_own_comes_back(
    file: Attachment, event: MessageEchoed
) -> None:
    assert likeness(file_body(file), event) is not None
    assert likeness(file_body(file, own_echoes=False), event) is None


@pytest.mark.parametrize(
    ("body", "event"),
    [
        pytest.param(file_body(), echo("Hola, soy Eva"), id="words"),
        pytest.param(file_body(), echo("Hola, soy Eva", PHOTO), id="words with our file"),
        pytest.param(file_body(), echo("", kept("audio")), id="a voice note for a picture"),
        pytest.param(file_body(PRICES), echo("", kept("audio")), id="a voice note for a document"),
        pytest.param(file_body(), echo("", Attachment(kind="location")), id="a place"),
        pytest.param(file_body(), echo("", Attachment(kind="contact")), id="a card"),
        pytest.param(file_body(), echo("https://shop.example/x.jpg"), id="another address"),
        pytest.param(text_body("¡Listo!"), echo("", kept("image")), id="a file for words"),
        pytest.param(text_body("\N{ZERO WIDTH SPACE}"), echo("", kept("image")), id="for no words"),
        pytest.param(text_body("Mire", media=[PHOTO]), echo("", PHOTO), id="a file without words"),
        pytest.param(text_body("¡Listo!"), echo(), id="nothing"),
    ],
)
def test_what_a_person_sends_is_no_message_of_ours(body: str, event: MessageEchoed) -> None:
    assert likeness(body, event) is None


def test_of_two_files_the_echo_is_the_one_that_it_is_more_like() -> None:
    shown = [
        PHOTO,
        kept("image", name="local.jpg"),
        kept("image"),
        kept("document"),
    ]

    found = [likeness(file_body(), echo("", each)) for each in shown]
    found.append(likeness(file_body(), echo()))

    assert None not in found
    assert found == sorted(set(found))  # type: ignore[type-var]
