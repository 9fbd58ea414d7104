"""Cases written from what happened."""

from collections.abc import Callable
from pathlib import Path

import pytest

from router.errors import ConfigError
from router.rules.suites.model import Subject
from router.rules.suites.subjects import Subjects
from router.rules.suites.writing import Unlike, append, case_text

SubjectOf = Callable[..., Subject]
RULES = """
[[rule]]
id = "in-circles"
when.conversation.bot_turns.above = 5
when.contact.attribute.city = "Cali"
then.escalate = { to = "pager", because = "no help" }

[[rule]]
id = "photo"
when.attachments.above = 0
when.attachments.kind = "image"
then.ticket = {}
"""


def test_what_the_inputs_do_not_bring_is_given(subject_of: SubjectOf) -> None:
    text = case_text(
        subject_of(RULES),
        {"say": 'di "hola"\x7f'},
        {"rule": ["in-circles"], "escalate": {"to": "pager"}},
        {
            "conversation.bot_turns": 6,
            "contact.attribute.city": "Cali",
            "conversation.open_ticket": False,
            "answer.text": "x",
            "text": "cut…",
        },
    )

    assert text == (
        "[[case]]\n"
        'say = "di \\"hola\\"\\u007f"\n'
        'given.contact.attribute.city = "Cali"\n'
        "given.conversation.bot_turns = 6\n"
        "given.conversation.open_ticket = false\n"
        'expect = { rule = ["in-circles"], escalate = { to = "pager" } }\n'
    )


def test_a_field_below_another_one_is_named_whole(subject_of: SubjectOf) -> None:
    text = case_text(
        subject_of(RULES),
        {"say": "mira"},
        {"rule": "photo"},
        {"attachments": 1, "attachments.kind": ["image"], "contact.attribute.su ciudad": "Cali"},
    )

    assert text.splitlines()[2:5] == [
        "given.attachments = 1",
        'given."attachments.kind" = ["image"]',
        'given.contact.attribute."su ciudad" = "Cali"',
    ]


def test_a_case_that_would_do_something_else_is_not_written(subject_of: SubjectOf) -> None:
    with pytest.raises(Unlike) as caught:
        case_text(subject_of(RULES), {"say": "hola"}, {"decision": "ticket"}, {})

    assert str(caught.value) == ('- decision = "ticket"\n+ decision = "answer"\n  by default')


def test_what_cannot_be_a_case_is_not_written(subject_of: SubjectOf) -> None:
    with pytest.raises(ConfigError) as caught:
        case_text(subject_of(RULES), {"say": "hola"}, {"rule": ["gone"]}, {})

    assert [str(each) for each in caught.value.problems] == [
        (
            'the case:3:20: no rule or guardrail "gone" in the rules files. '
            "Known: default, in-circles, photo"
        )
    ]


def test_a_suite_of_another_tenant_names_it(tmp_path: Path, subject_of: SubjectOf) -> None:
    main = subject_of(RULES)
    clinic = Subject(
        tenant="clinic",
        files=main.files,
        rules=main.rules,
        names=main.names,
        policy=main.policy,
    )
    subjects = Subjects({"main": main, "clinic": clinic})
    case = '[[case]]\nsay = "hola"\nexpect = { decision = "answer" }\n'
    own, foreign = tmp_path / "own.test.toml", tmp_path / "main.test.toml"

    append(own, case, clinic, subjects)
    append(own, case, clinic, subjects)
    append(foreign, case, main, subjects)
    with pytest.raises(ConfigError) as caught:
        append(foreign, case, clinic, subjects)

    assert own.read_text(encoding="utf-8") == f'tenant = "clinic"\n\n{case}\n{case}'
    assert foreign.read_text(encoding="utf-8") == case
    assert [str(each) for each in caught.value.problems] == [
        f"{foreign}:5:3: the suite is about other rules than those of clinic. Name another file."
    ]
