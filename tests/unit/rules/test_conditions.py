"""Every operator on every type of field, in rules and in guardrails."""

from collections.abc import Callable
from datetime import date, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rules.conditions import shown
from router.rules.durations import duration_text, parse_duration
from router.rules.facts import Facts
from router.rules.fields import FIELDS, OPERATORS, OPERATORS_OF, Type, find, is_prefix
from router.rules.loading import build_rules
from router.rules.model import Names, RuleSet
from router.rules.source import sort_of
from router.toml import loads

Rules = Callable[..., RuleSet]

FACTS = {
    "event.kind": "message",
    "text": "Hola,  quiero la FACTURA de Señor Ñandú. Pedido AB1234",
    "turn.text": "",
    "turn.messages": 3,
    "turn.age": timedelta(minutes=5),
    "attachments": 2,
    "attachments.kind": frozenset({"image", "audio"}),
    "contact.opted_out": False,
    "contact.language": "pt-BR",
    "contact.tag": frozenset(),
    "contact.attribute": {"city": "Bogotá"},
    "conversation.attribute.plan": "Oro",
    "channel": "phone",
    "language": "es",
    "clock.time": time(23, 15),
    "clock.weekday": "sat",
    "clock.date": date(2026, 12, 24),
    "conversation.owner": "bot",
}

HOLDS = """
text.words = "factura"
text.words = ["nada", "señor nandu"]
text.words = "hola quiero"
text.words = "hola kiero"
text.all_words = ["factura", "hola"]
text.lexicon = "docs"
text.lexicon = ["other", "docs"]
text.contains = "actur"
text.contains = ["x?", "HOLA, QUIERO"]
text.starts_with = "hola,"
text.equals = "hola, quiero la factura de senor nandu. pedido ab1234"
text.matches = 'pedido [a-z]{2}\\d+'
text.matches = ["nope", "Ñandú"]
text = { words = "Señor", exact = true }
text = { all_words = ["FACTURA", "Ñandú"], exact = true }
text = { lexicon = "names", exact = true }
text = { contains = "FACTURA", exact = true }
text = { starts_with = "Hola, quiero", exact = true }
text = { matches = '[A-Z]{2}\\d{4}', exact = true }
text.empty = false
text.present = true
turn.text.empty = true
turn.messages.above = 2
turn.messages.below = 3.5
turn.messages.at_least = 3
turn.messages.at_most = 3
turn.messages.between = [1, 3]
turn.messages = 3
turn.messages.present = true
turn.age.above = "4m"
turn.age.below = "0.1h"
turn.age.at_least = "300s"
turn.age.at_most = "300000ms"
turn.age.between = ["1s", "7d"]
attachments = 2
attachments.kind = "image"
attachments.kind.any_of = ["video", "audio"]
attachments.kind.none_of = ["video"]
attachments.kind.empty = false
attachments.kind.present = true
contact.opted_out = false
contact.opted_out.equals = false
contact.tag.empty = true
contact.attribute.city = "bogota"
contact.attribute.city.words = "Bogotá"
conversation.attribute.plan.starts_with = "or"
contact.name.present = false
contact.language = "pt"
contact.language.any_of = ["PT-br", "es"]
contact.language.none_of = ["pt-PT"]
channel = "phone"
channel.any_of = ["phone", "whatsapp"]
channel.none_of = ["whatsapp"]
channel.present = true
clock.time.between = ["22:00", "07:00"]
clock.time.between = ["23:15", "23:16"]
clock.time.at_least = 23:00:00
clock.time.at_most = "23:15"
clock.weekday.any_of = ["sat", "sun"]
clock.date = "2026-12-24"
clock.date.between = [2026-12-20, 2026-12-31]
clock.date.any_of = ["2026-12-24", "2026-12-25"]
clock.date.none_of = ["2026-12-25"]
clock.date.at_least = 2026-12-24
any = [{ text.words = "nada" }, { channel = "phone" }]
any = [{ text.words = "hola", channel = "phone" }]
all = [{ text.words = "hola" }, { unless.channel = "whatsapp" }]
all = [{ any = [{ all = [{ any = [{ channel = "phone" }] }] }] }]
unless.channel = "whatsapp"
""".strip().splitlines()

FAILS = """
text.words = "factur"
text.contains = "faktura"
text.matches = "faktura"
text = { words = "FAKTURA", exact = true }
text.all_words = ["factura", "nada"]
text.lexicon = "other"
text.contains = "nada"
text.starts_with = "quiero"
text.equals = "hola"
text.matches = "^quiero"
text = { words = "señor", exact = true }
text = { all_words = ["FACTURA", "ñandú"], exact = true }
text = { contains = "factura", exact = true }
text = { equals = "hola", exact = true }
text = { matches = '[A-Z]{3}\\d{4}', exact = true }
text.empty = true
text.present = false
turn.text.empty = false
turn.messages.above = 3
turn.messages.below = 3
turn.messages.at_least = 4
turn.messages.at_most = 2
turn.messages.between = [4, 9]
turn.messages.equals = 2
turn.age.above = "5m"
attachments.kind = "video"
attachments.kind.none_of = ["audio"]
contact.opted_out = true
contact.tag = "vip"
contact.tag.any_of = ["vip"]
contact.language = "es"
contact.language.none_of = ["pt"]
channel = "whatsapp"
channel.none_of = ["phone"]
clock.time.between = ["07:00", "22:00"]
clock.time.between = ["22:00", "23:15"]
clock.weekday = "sun"
clock.date.at_most = 2026-12-23
clock.date.none_of = [2026-12-24]
any = [{ text.words = "nada" }, { channel = "whatsapp" }]
any = [{ text.words = "hola", channel = "whatsapp" }]
all = [{ text.words = "hola" }, { channel = "whatsapp" }]
unless.channel = "phone"
unless = { any = [{ channel = "phone" }, { text.words = "nada" }] }
""".strip().splitlines()

LEXICONS = """
[lexicon.docs]
any = ["factura", "boleta"]
[lexicon.other]
any = ["otra cosa"]
[lexicon.names]
any = ["Ñandú"]
"""


def holds(rules: RuleSet, facts: Facts) -> bool:
    (rule,) = rules.rules
    return all(condition.test(facts) for condition in rule.conditions)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [*((each, True) for each in HOLDS), *((each, False) for each in FAILS)],
)
def test_a_condition_holds_or_fails(rules_of: Rules, condition: str, expected: bool) -> None:
    rules = rules_of(f'[[rule]]\nid = "r"\nwhen.{condition}\nthen.tag = "t"\n{LEXICONS}')

    assert holds(rules, Facts(FACTS)) is expected


@pytest.mark.parametrize(
    "condition",
    [
        each
        for each in HOLDS
        if "present" not in each and not each.startswith(("any", "all", "unless"))
    ],
)
def test_a_missing_value_is_false_in_triage_and_true_in_a_guardrail(
    rules_of: Rules, condition: str
) -> None:
    body = f'id = "r"\nwhen.{condition}\nthen'
    rules = rules_of(f'[[rule]]\n{body}.tag = "t"\n{LEXICONS}')
    guards = rules_of(f'[[guardrail]]\n{body}.draft = "because"\n{LEXICONS}')
    nothing = Facts({})
    (guardrail,) = guards.answer_guardrails

    assert not holds(rules, nothing)
    assert all(each.test(nothing) for each in guardrail.conditions)


@pytest.mark.parametrize(
    ("condition", "rule", "guardrail"),
    [
        ("unless.answer.cites = 'refunds'", None, True),
        ("unless.contact.tag = 'vip'", True, True),
        ("unless.unless.contact.tag = 'vip'", False, True),
        ("when.any = [{ contact.tag = 'vip' }, { contact.name = 'x' }]", False, True),
        ("when.all = [{ contact.tag = 'vip' }, { contact.name = 'x' }]", False, True),
        ("when.contact.name.present = false", True, True),
        ("when.contact.name.present = true", False, False),
    ],
)
def test_missing_values_in_exceptions_never_calm_a_guardrail(
    rules_of: Rules, condition: str, rule: bool | None, guardrail: bool
) -> None:
    if rule is not None:
        rules = rules_of(f'[[rule]]\nid = "r"\n{condition}\nthen.tag = "t"')
        assert holds(rules, Facts({})) is rule
    guards = rules_of(f'[[guardrail]]\nid = "g"\n{condition}\nthen.draft = "d"')
    (found,) = guards.answer_guardrails

    assert all(each.test(Facts({})) for each in found.conditions) is guardrail


def test_every_type_has_operators_and_every_operator_a_type() -> None:
    assert set(OPERATORS_OF) == set(Type)
    assert {name for names in OPERATORS_OF.values() for name in names} == set(OPERATORS)
    assert {field.type for field in FIELDS.values()} == set(Type)


def test_fields_are_found_by_path() -> None:
    city = find("contact.attribute.city")

    assert city is FIELDS["contact.attribute.NAME"]
    assert find("contact.attribute") is None
    assert find("contact.attribute.") is None
    assert find("text.NAME") is None
    assert find("city") is None
    assert is_prefix("contact.attribute")
    assert not is_prefix("city")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        (" 1.5h ", timedelta(minutes=90)),
        ("2w", timedelta(days=14)),
        ("250ms", timedelta(milliseconds=250)),
        ("5 m", None),
        ("m", None),
        ("-5m", None),
        ("9999999999999999d", None),
    ],
)
def test_durations_are_read(text: str, expected: timedelta | None) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        (False, "false"),
        ("x", '"x"'),
        (1.50, "1.5"),
        (3, "3"),
        ([1, "a"], '[1, "a"]'),
        (frozenset({"b", "a"}), '["a", "b"]'),
        (time(7), '"07:00"'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (timedelta(hours=36), '"36h"'),
        (timedelta(), '"0s"'),
        (timedelta(milliseconds=1500), '"1.5s"'),
    ],
)
def test_values_are_shown_as_files_write_them(value: object, expected: str) -> None:
    assert shown(value) == expected


@given(st.integers(0, 10**7))
def test_a_duration_is_read_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)

    assert parse_duration(duration_text(duration)) == duration


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true or false"),
        ("", "a text"),
        (1, "a number"),
        ([], "a list"),
        ({}, "a table"),
        (date(2026, 1, 1), "a date or time"),
    ],
)
def test_sorts_of_values_have_names(value: object, expected: str) -> None:
    assert sort_of(value) == expected


EVERYTHING = "\n".join(
    f'[[rule]]\nid = "r{number}"\nwhen.{condition}\nthen.tag = "t"'
    for number, condition in enumerate((*HOLDS, *FAILS))
)


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_no_text_makes_a_condition_raise(text: str) -> None:
    facts = Facts({**FACTS, "text": text, "contact.name": text, "contact.attribute.city": text})

    for rule in _EVERY_RULE.rules:
        for condition in rule.conditions:
            assert condition.test(facts) in {True, False}


_EVERY_RULE = build_rules(
    [loads(f'default.answer = "a"\n{EVERYTHING}\n{LEXICONS}', "x")],
    Names(backends=frozenset({"a"}), channels=frozenset({"phone", "whatsapp"})),
)
