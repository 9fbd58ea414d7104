"""Suites as files say them: where their rules are from, what every case has, several texts."""

from collections.abc import Callable
from datetime import time, timedelta
from pathlib import Path

import pytest

from router.rules.fields import FIELDS, Field, Stage, Type
from router.rules.model import Names
from router.rules.policy import Policy
from router.rules.suites.model import Subject, Suite
from router.rules.suites.reading import examples_of, load_suites, nearest_name
from router.rules.suites.subjects import Subjects

SuiteOf = Callable[..., Suite]
SubjectOf = Callable[..., Subject]


def test_a_list_of_texts_is_a_case_for_each(suite_of: SuiteOf) -> None:
    suite = suite_of(
        "",
        '[[case]]\nsay = ["hola", "buenas"]\nexpect = { decision = "answer" }\n'
        '[[case]]\nname = "bye"\nsay = ["chao",\n "adiós"]\nexpect = { decision = "answer" }\n',
    )

    assert [case.name for case in suite.cases] == ["hola", "buenas", "bye: chao", "bye: adiós"]
    assert [case.line for case in suite.cases] == [2, 2, 6, 7]
    assert suite.cases[3].where == f"{suite.path}:7:2"


def test_a_case_without_a_name_is_called_by_its_text_or_event(suite_of: SuiteOf) -> None:
    suite = suite_of(
        "",
        '[[case]]\nsay = "hola\\n  que tal"\nexpect = { decision = "answer" }\n'
        '[[case]]\nevent = { kind = "delivery" }\nexpect = { decision = "ignore" }\n',
    )

    assert [case.name for case in suite.cases] == ["hola que tal", "delivery"]


def test_what_is_common_is_in_every_case_and_its_own_wins_key_by_key(suite_of: SuiteOf) -> None:
    suite = suite_of(
        "",
        'common = { channel = "phone", as = { name = "Ana", language = "pt" }, '
        "given = { conversation = { bot_turns = 2 } } }\n"
        '[[case]]\nsay = "hola"\nexpect = { decision = "answer" }\n'
        '[[case]]\nsay = "hola"\nchannel = "whatsapp"\nas.language = "en"\n'
        'given.conversation.open_ticket = true\nexpect = { decision = "answer" }\n',
    )

    first, second = (case.facts for case in suite.cases)
    assert (first["channel"], second["channel"]) == ("phone", "whatsapp")
    assert (first["contact.name"], second["contact.name"]) == ("Ana", "Ana")
    assert (first["language"], second["language"]) == ("pt", "en")
    assert (first["conversation.bot_turns"], second["conversation.bot_turns"]) == (2, 2)
    assert second["conversation.open_ticket"] is True


def test_what_is_given_wins_over_the_history(suite_of: SuiteOf) -> None:
    suite = suite_of(
        "",
        '[[case]]\nsay = "hola"\nhistory = [{ bot = "¡Hola!" }]\n'
        'given.conversation.bot_turns = 9\nexpect = { decision = "answer" }\n',
    )

    assert suite.cases[0].facts["conversation.bot_turns"] == 9


def test_a_suite_may_have_a_policy_of_its_own(suite_of: SuiteOf) -> None:
    suite = suite_of(
        "",
        'policy = { mode = "assisted", autopilot_categories = [], confidence_threshold = 0.5, '
        'review_fixed_texts = true, while_owned = "notify", language = "pt" }\n'
        '[[case]]\nsay = "hola"\nexpect = { decision = "answer" }\n',
    )

    expected = Policy(
        mode="assisted",
        autopilot_categories=frozenset(),
        confidence_threshold=0.5,
        review_fixed_texts=True,
        while_owned="notify",
        language="pt",
    )
    assert suite.cases[0].policy == expected
    assert suite.subject.policy == Policy(mode="autopilot")


def test_a_suite_may_name_rules_that_are_not_configured(
    tmp_path: Path, subject_of: SubjectOf, names: Names
) -> None:
    configured = subject_of('[[rule]]\nid = "one"\nthen.tag = "x"\n')
    pack = tmp_path / "pack"
    pack.mkdir()
    text = 'default.answer = "cheap"\n[[rule]]\nid = "two"\nthen.tag = "x"\n'
    (pack / "mx.toml").write_text(text, encoding="utf-8")
    case = '[[case]]\nsay = "hola"\nexpect = { rule = "two", asked = "cheap" }\n'
    for name in "ab":
        (pack / f"{name}.test.toml").write_text(f'rules = "mx.toml"\n{case}', encoding="utf-8")
    (pack / "c.test.toml").write_text(
        'rules = "../rules.toml"\n[[case]]\nsay = "hola"\nexpect.rule = "one"\n', encoding="utf-8"
    )

    first, second, third = load_suites(
        sorted(pack.glob("*.test.toml")), Subjects({"main": configured})
    )

    assert [rule.id for rule in first.subject.rules.rules] == ["two"]
    assert first.subject is second.subject
    assert third.subject is configured


def test_a_suite_may_be_about_another_tenant(tmp_path: Path, subject_of: SubjectOf) -> None:
    main = subject_of("")
    text = '[[rule]]\nid = "own"\nwhen.tenant = "clinica"\nthen.reply = { text = "¡Hola!" }\n'
    clinic = subject_of(text, name="clinica.toml")
    clinic = Subject(
        tenant="clinica",
        files=clinic.files,
        rules=clinic.rules,
        names=clinic.names,
        policy=clinic.policy,
    )
    file = tmp_path / "clinica.test.toml"
    case = '[[case]]\nsay = "hola"\nexpect.rule = "own"\n'
    file.write_text(f'tenant = "clinica"\n{case}', encoding="utf-8")

    [suite] = load_suites([file], Subjects({"main": main, "clinica": clinic}))

    assert suite.subject is clinic
    assert suite.cases[0].facts["tenant"] == "clinica"


def test_examples_are_cases_each_once(subject_of: SubjectOf) -> None:
    subject = subject_of(
        '[[rule]]\nid = "hi"\nwhen.text.words = "hola"\nthen.tag = ["a", "b"]\n'
        '[[example]]\nsay = "hola"\nexpect = { rule = "hi", tag = "a", decision = "answer" }\n'
    )

    [suite] = examples_of([subject, subject])

    [case] = suite.cases
    assert (case.name, case.line) == ("hola", 6)
    assert suite.path == subject.files[0]


def test_a_name_that_is_nearly_one_is_guessed(suite_of: SuiteOf) -> None:
    suite = suite_of("", '[[case]]\nname = "greeting"\nsay = "hola"\nexpect.decision = "answer"\n')

    assert nearest_name("greting", [suite]) == ' Did you mean "greeting"?'
    assert nearest_name("xyz", [suite]) == ""


SAMPLES = {
    Type.TEXT: ('"x"', "x"),
    Type.WORD: ('"x"', "x"),
    Type.LANGUAGE: ('"pt"', "pt"),
    Type.NUMBER: ("3", 3),
    Type.DURATION: ('"3m"', timedelta(minutes=3)),
    Type.FLAG: ("true", True),
    Type.SET: ('["x"]', frozenset({"x"})),
    Type.HOSTS: ('["x"]', frozenset({"x"})),
    Type.TIME: ('"23:30"', time(23, 30)),
    Type.DATE: ('"2026-12-24"', None),
}
NAMED = {"channels": "phone", "categories": "OTHER", "languages": "pt", "countries": "CO"}
EVENTS = {"message": 'say = "hola"', "echo": 'event = { kind = "echo", text = "hola" }'}


def sample(field: Field) -> tuple[str, object]:
    written, value = SAMPLES[field.type]
    word = field.choices[0] if field.choices else NAMED.get(field.names or "")
    if word is not None and isinstance(value, frozenset):
        return f'["{word}"]', frozenset({word})
    return (f'"{word}"', word) if word is not None else (written, value)


@pytest.mark.parametrize(
    "field", [f for f in FIELDS.values() if f.known is Stage.EVENT], ids=lambda field: field.path
)
def test_every_field_of_an_event_can_be_given(field: Field, suite_of: SuiteOf) -> None:
    path = field.path.replace(".NAME", ".city").replace(".WINDOW", ".10m")
    kind = "message" if "message" in field.kinds else min(field.kinds)
    event = EVENTS.get(kind, f'event = {{ kind = "{kind}" }}')
    written, value = sample(field)

    suite = suite_of(
        "", f'[[case]]\n{event}\ngiven.{path} = {written}\nexpect = {{ no_rule = "default" }}\n'
    )

    found = suite.cases[0].facts[path]
    assert found == value if value is not None else str(found) == "2026-12-24"
