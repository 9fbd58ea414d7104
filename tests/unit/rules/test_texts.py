"""Texts that rules state, by language and filled in."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rules.facts import Facts
from router.rules.texts import Text, TextError, check, nested, render

FACTS = Facts(
    {
        "contact.name": "Ana",
        "contact.tag": frozenset({"vip", "b2b"}),
        "contact.attribute.city": "Cali",
        "attachments": 2,
        "attachments.kind": frozenset({"image"}),
        "turn.age": timedelta(minutes=1),
        "text": "{{ contact.name }}",
    }
)


@pytest.mark.parametrize(
    ("stated", "languages", "expected"),
    [
        ("Hola", ("en",), "Hola"),
        ({"es": "Hola", "en": "Hello"}, ("en", "es"), "Hello"),
        ({"es": "Hola", "en": "Hello"}, (None, "", "fr", "en"), "Hello"),
        ({"es": "Hola", "pt-BR": "Oi"}, ("pt",), "Oi"),
        ({"es": "Hola", "pt": "Olá", "pt-BR": "Oi"}, ("PT-br",), "Oi"),
        ({"es": "Hola", "pt": "Olá"}, ("pt-BR",), "Olá"),
        ({"es": "Hola", "pt": "Olá"}, ("fr",), "Hola"),
        ({}, ("fr",), ""),
    ],
)
def test_a_text_is_picked_by_language(
    stated: str | dict[str, str], languages: tuple[str | None, ...], expected: str
) -> None:
    assert Text.of(stated).render(FACTS, *languages) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no braces {here}", "no braces {here}"),
        ("Hola {{ contact.name }}", "Hola Ana"),
        ("{{ contact.attribute.city }}", "Cali"),
        ("{{ contact.attribute.zip or '' }}{{ delivery.code | default('x') }}", "x"),
        ("{% if contact.language == 'es' or contact.attribute.zip %}x{% endif %}", ""),
        ("{% if contact.name %}x{% endif %}", "x"),
        ("{{ contact.tag | join(', ') }}", "b2b, vip"),
        ("{{ attachments }} {{ attachments.kind | first }}", "2 image"),
        ("{{ text }}", "{{ contact.name }}"),
        ("{% if attachments > 1 %}many{% endif %}", "many"),
        ("{% for tag in contact.tag %}{{ tag }};{% endfor %}", "b2b;vip;"),
    ],
)
def test_a_text_is_filled_in(text: str, expected: str) -> None:
    assert check(text) is None
    assert render(text, FACTS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ contact.nmae }}", 'the text looks at "contact.nmae", which is no field.'),
        ("{{ name }}", 'the text looks at "name", which is no field.'),
        ("{{ text", "the text cannot be filled in: unexpected end of template"),
        ("{% if %}", "the text cannot be filled in: Expected an expression"),
        ("{{ text | shout }}", "the text cannot be filled in: No filter named 'shout'"),
        ("{{ text.__class__ }}", 'the text looks at "text.__class__", which is no field.'),
        ("{{ text['__class__'] }}", "the text cannot be filled in: access to attribute"),
        ("{{ text + 1 }}", "the text cannot be filled in: can only concatenate str"),
        ("{{ 1 / 0 }}", "the text cannot be filled in: division by zero"),
        ("{{ attachments | xmlattr }}", "the text cannot be filled in: AttributeError"),
        ("{% include 'x' %}", "the text cannot be filled in"),
    ],
)
def test_what_cannot_be_filled_in_is_told_at_load(text: str, expected: str) -> None:
    reason = check(text)

    assert reason is not None
    assert reason.startswith(expected)


def test_what_fails_later_is_a_text_error() -> None:
    text = "{{ 10 // (attachments - 2) }}"

    assert check(text) is None
    with pytest.raises(TextError, match="by zero"):
        render(text, FACTS)


@pytest.mark.parametrize(
    "shown", ["zip", "zip | upper", "zip | trim", "zip ~ '.'", "zip.of.what", "city or zip"]
)
def test_a_value_that_is_missing_is_a_gap_only_where_one_may_be(shown: str) -> None:
    facts = Facts({"contact.attribute.age": "7"})
    text = f"{{{{ contact.attribute.{shown.replace('or ', 'or contact.attribute.')} }}}}"

    with pytest.raises(TextError, match='there is no value for "zip"'):
        render(text, facts)
    assert render(text, facts, gaps=True).strip(".") == ""


def test_a_number_with_fields_below_stays_a_number() -> None:
    tree = nested({"attachments.kind": frozenset({"b", "a"}), "attachments": 2})

    assert tree["attachments"] == 2
    assert tree["attachments"].kind == ["a", "b"]


@given(st.text())
def test_any_text_is_checked_without_raising(text: str) -> None:
    check("{{" + text)
    check(text)
