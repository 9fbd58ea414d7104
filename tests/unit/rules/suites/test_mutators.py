"""Mutants: which small mistakes are put into which rules, and which would be none."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from router.rules.loading import load_rules
from router.rules.model import Names
from router.rules.suites.model import Subject
from router.rules.suites.mutators import MUTATORS, mutants_of

SubjectOf = Callable[..., Subject]


def ids(subject: Subject) -> list[str]:
    return [mutant.id for mutant in mutants_of(subject) if mutant.id != "default/outcome"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ('when.text.words = "hola"', ["r/condition/when.text.words"]),
        (
            'when.text.words = ["hola", "buenas"]',
            [
                "r/condition/when.text.words",
                "r/word/when.text.words/hola",
                "r/word/when.text.words/buenas",
                "r/any-all/when.text.words",
            ],
        ),
        (
            "when.attachments.at_least = 2",
            [
                "r/condition/when.attachments.at_least",
                "r/threshold/when.attachments.at_least/3",
                "r/threshold/when.attachments.at_least/1",
            ],
        ),
        (
            'when.clock.time.between = ["23:59", "07:00"]',
            [
                "r/condition/when.clock.time.between",
                "r/threshold/when.clock.time.between.0/00:00",
                "r/threshold/when.clock.time.between.0/23:58",
                "r/threshold/when.clock.time.between.1/07:01",
                "r/threshold/when.clock.time.between.1/06:59",
            ],
        ),
        (
            'when.turn.age.above = "15m"',
            [
                "r/condition/when.turn.age.above",
                "r/threshold/when.turn.age.above/16m",
                "r/threshold/when.turn.age.above/14m",
            ],
        ),
        (
            'when.clock.date = "2026-12-31"',
            [
                "r/condition/when.clock.date",
                "r/threshold/when.clock.date/2027-01-01",
                "r/threshold/when.clock.date/2026-12-30",
            ],
        ),
        (
            'when.any = [{ text.words = "a" }, { contact.tag = "b" }]',
            [
                "r/any-all/when.any",
                "r/condition/when.any",
                "r/condition/when.any.0.text.words",
                "r/condition/when.any.1.contact.tag",
            ],
        ),
        (
            'when.text.words = "a"\nunless.contact.tag = "b"\nunless.contact.new = true',
            [
                "r/unless/unless",
                "r/condition/when.text.words",
                "r/condition/unless.contact.tag",
                "r/condition/unless.contact.new",
            ],
        ),
        (
            'when.text.words = "a"\nunless.contact.tag = "b"',
            ["r/unless/unless", "r/condition/when.text.words"],
        ),
        (
            'when.text = { matches = ["a+", "b+"], exact = true }',
            [
                "r/condition/when.text.matches",
                "r/word/when.text.matches/a+",
                "r/word/when.text.matches/b+",
            ],
        ),
        (
            "when.attachments.between = [2, 2]",
            [
                "r/condition/when.attachments.between",
                "r/threshold/when.attachments.between.0/1",
                "r/threshold/when.attachments.between.1/3",
            ],
        ),
        (
            'when.text = { words = "a", all_words = ["b", "c"] }',
            [
                "r/condition/when.text.words",
                "r/condition/when.text.all_words",
                "r/word/when.text.all_words/b",
                "r/word/when.text.all_words/c",
            ],
        ),
        ('channels = ["phone"]', ["r/condition/channels"]),
        (
            'languages = ["pt"]\nwhen.text.words = "a"',
            ["r/condition/when.text.words", "r/condition/languages"],
        ),
    ],
)
def test_conditions_have_their_mistakes(
    conditions: str, expected: list[str], subject_of: SubjectOf
) -> None:
    subject = subject_of(f'[[rule]]\nid = "r"\n{conditions}\nthen.tag = "x"\n')

    assert ids(subject) == expected


def test_a_limit_with_a_fraction_steps_by_its_last_digit(subject_of: SubjectOf) -> None:
    subject = subject_of(
        '[[guardrail]]\nid = "g"\nwhen.answer.confidence.below = 0.75\nthen.draft = "low"\n'
    )

    assert ids(subject) == [
        "g/condition/when.answer.confidence.below",
        "g/threshold/when.answer.confidence.below/0.76",
        "g/threshold/when.answer.confidence.below/0.74",
        "g/outcome",
    ]


@pytest.mark.parametrize(
    "conditions",
    [
        pytest.param('when.text.words = ["mi pedido", "donde esta mi pedido"]', id="covered"),
        pytest.param('when.text.words = ["Horário", "horario"]', id="folds to the same"),
        pytest.param('when.text.contains = ["garant", "garantia"]', id="contained"),
        pytest.param('when.text.starts_with = ["ho", "hola"]', id="begins alike"),
        pytest.param(
            'when.any = [{ text.words = "a" }, { text.words = ["b", "a"] }]', id="in the other"
        ),
    ],
)
def test_a_word_that_another_one_covers_is_no_mistake(
    conditions: str, subject_of: SubjectOf
) -> None:
    subject = subject_of(f'[[rule]]\nid = "r"\n{conditions}\nthen.tag = "x"\n')

    words = [each for each in ids(subject) if "/word/" in each]
    assert len(words) <= 1


def test_of_all_words_the_longer_one_stands_for_the_shorter(subject_of: SubjectOf) -> None:
    subject = subject_of(
        '[[rule]]\nid = "r"\nwhen.text.all_words = ["pedido", "mi pedido"]\nthen.tag = "x"\n'
    )

    assert [each for each in ids(subject) if "/word/" in each] == [
        "r/word/when.text.all_words/mi pedido"
    ]


@pytest.mark.parametrize(
    ("conditions", "steps"),
    [
        ("when.attachments.at_least = 0", ["1"]),
        ("when.attachments.above = 0", ["1", "-1"]),
        ("when.attachments.at_most = 0", ["1", "-1"]),
        ('when.turn.age.above = "0m"', ["1m"]),
    ],
)
def test_nothing_that_is_counted_is_below_zero(
    conditions: str, steps: list[str], subject_of: SubjectOf
) -> None:
    subject = subject_of(f'[[rule]]\nid = "r"\n{conditions}\nthen.tag = "x"\n')

    found = [each.rpartition("/")[2] for each in ids(subject) if "/threshold/" in each]
    assert found == steps


def test_whether_there_is_a_value_need_not_be_asked_where_it_is_looked_at(
    subject_of: SubjectOf,
) -> None:
    rule = 'when.turn.age.present = true\nwhen.turn.age.above = "5m"\n'
    subject = subject_of(
        f'[[rule]]\nid = "r"\n{rule}then.tag = "x"\n'
        f'[[guardrail]]\nid = "g"\n{rule}then.draft = "slow"\n'
    )

    found = ids(subject)
    assert "r/condition/when.turn.age.present" not in found
    assert "g/condition/when.turn.age.present" in found


def test_a_lexicon_has_a_mistake_for_each_word_that_matters_to_a_rule(
    subject_of: SubjectOf,
) -> None:
    subject = subject_of(
        '[lexicon.order]\nany = ["pedido", "mi pedido", "orden"]\n'
        '[lexicon.unused]\nany = ["a", "b"]\n'
        '[[rule]]\nid = "one"\nwhen.text.lexicon = "order"\nthen.tag = "x"\n'
        '[[rule]]\nid = "two"\nwhen.text.lexicon = "order"\nunless.text.words = "no"\n'
        'then.tag = "y"\n'
    )

    found = {mutant.id: mutant for mutant in mutants_of(subject)}
    words = [each for each in found if "/word/" in each]
    assert words == ["lexicon.order/word/pedido", "lexicon.order/word/orden"]
    assert set(found["lexicon.order/word/orden"].changed) == {"one", "two"}
    place = found["lexicon.order/word/orden"].place.problem("x", below=("any", 2), part="value")
    assert (place.line, place.column) == (3, 31)


RULE = '[[rule]]\nid = "{}"\n{}\nthen.{}\n'


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("when.text.words = 'a'", "reply = { text = 'x' }"), ("", "ticket = {}"), False),
        (
            ("when.channel = 'phone'", "ignore = 'x'"),
            ("when.channel = 'whatsapp'", "ticket = {}"),
            True,
        ),
        (
            ("channels = ['phone']", "ignore = 'x'"),
            ("channels = ['whatsapp']", "ticket = {}"),
            True,
        ),
        (("languages = ['es']", "ignore = 'x'"), ("languages = ['pt']", "ticket = {}"), True),
        (("on = 'echo'", "ignore = 'x'"), ("on = 'delivery'", "ignore = 'y'"), True),
        (
            ("when.contact.new = true", "ignore = 'x'"),
            ("when.contact.new = false", "ticket = {}"),
            True,
        ),
        (
            ("when.contact.new = true", "ignore = 'x'"),
            ("unless.contact.new = true", "ticket = {}"),
            True,
        ),
        (
            ("when.text.words = 'a'", "ignore = 'x'"),
            ("unless.text.words = 'b'", "ticket = {}"),
            False,
        ),
        (("", "tag = 'x'"), ("", "tag = 'y'"), True),
        (("", "tag = 'x'"), ("", "untag = 'x'"), False),
        (("", "tag = 'x'"), ("when.conversation.tag = 'x'", "tag = 'y'"), False),
        (("", "set.category = 'A'"), ("", "set.category = 'B'"), False),
        (("", "set.category = 'A'"), ("", "tag = 'x'"), True),
        (("", "set.category = 'A'"), ("when.risk = 'low'", "tag = 'x'"), False),
        (("", "set.priority = 'low'"), ("", "set.priority = 'low'"), True),
        (("", "set.priority = 'low'"), ("", "set.priority = 'high'"), False),
        (("", "set.contact.attribute.a = 'x'"), ("", "set.contact.attribute.b = 'y'"), True),
        (("", "set.contact.attribute.a = 'x'"), ("", "set.contact.attribute.a = 'y'"), False),
        (("", "set.contact.attribute.a = '{{ category }}'"), ("", "tag = 'x'"), False),
        (("", "use = { backend = 'cheap' }"), ("", "use = { backend = 'assistant' }"), False),
        (("", "run = [{ action = 'anything' }]"), ("", "run = [{ action = 'anything' }]"), False),
        (("", "classify = 'cheap'"), ("", "tag = 'x'"), False),
    ],
)
def test_neighbours_change_places_where_that_matters(
    one: tuple[str, str], other: tuple[str, str], same: bool, subject_of: SubjectOf
) -> None:
    categories = '[category.A]\nrisk = "low"\n[category.B]\nrisk = "high"\n'
    subject = subject_of(
        categories
        + RULE.format("one", *one).replace("'", '"')
        + RULE.format("two", *other).replace("'", '"')
    )

    assert ("one/swap/two" in ids(subject)) is not same


@pytest.mark.parametrize(
    ("rule", "after"),
    [
        ('then.escalate = { to = "pager", because = "x" }', "ticket in default"),
        ('then.ticket = { queue = "billing" }', "draft"),
        ('then.draft = { text = "x" }', "reply"),
        ('then.draft = { answer = "cheap" }', "answer by cheap"),
        ('then.reply = { text = "x" }', "ignore"),
        ('then.answer = "cheap"', "ignore"),
    ],
)
def test_a_rule_leads_to_what_is_one_step_less_careful(
    rule: str, after: str, subject_of: SubjectOf
) -> None:
    subject = subject_of(f'[[rule]]\nid = "r"\nwhen.text.words = "a"\n{rule}\n')

    [mutant] = [each for each in mutants_of(subject) if each.id == "r/outcome"]
    assert mutant.what.startswith(f'"r" leads to {after} in place of ')


@pytest.mark.parametrize(
    ("verdict", "after"),
    [
        ('then.escalate = { to = "pager", because = "x" }', "ticket in default"),
        ("then.ticket = {}", "draft"),
        ('then.draft = "x"', "nothing"),
        ('then.replace = { text = "x" }', "nothing"),
        ("stage = 'input'\nthen.ticket = {}", "nothing"),
        ("stage = 'input'\nthen.no_ai = true", "nothing"),
        ("stage = 'input'\nthen.opt_out = true", "nothing"),
        ("stage = 'input'\nthen.ignore = 'x'", None),
    ],
)
def test_a_guardrail_is_one_step_less_careful_or_is_not_there(
    verdict: str, after: str | None, subject_of: SubjectOf
) -> None:
    subject = subject_of(f'[[guardrail]]\nid = "g"\nwhen.text.words = "a"\n{verdict}\n')

    found = [each.what for each in mutants_of(subject) if each.id == "g/outcome"]
    assert bool(found) is (after is not None)
    assert all(what.startswith(f'"g" leads to {after} in place of ') for what in found)


def test_the_default_has_a_mistake_too(subject_of: SubjectOf) -> None:
    found = [mutant.what for mutant in mutants_of(subject_of("")) if mutant.default]

    assert found == ["the default leads to ignore in place of answer by assistant"]


def test_a_default_that_does_nothing_has_none(subject_of: SubjectOf) -> None:
    assert list(mutants_of(subject_of("", default='default.ignore = "x"'))) == []


def test_a_lexicon_with_a_word_twice_loses_neither(subject_of: SubjectOf) -> None:
    subject = subject_of(
        '[lexicon.order]\nany = ["pedido", "pedido", "orden"]\n'
        '[[rule]]\nid = "one"\nwhen.text.lexicon = "order"\nthen.tag = "x"\n'
    )

    assert [each for each in ids(subject) if "/word/" in each] == ["lexicon.order/word/orden"]


def test_words_that_another_file_adds_to_a_lexicon_are_lost_there(
    tmp_path: Path, names: Names, subject_of: SubjectOf
) -> None:
    text = '[lexicon.order]\nany = ["pedido"]\n[[rule]]\nid = "r"\nwhen.text.lexicon = "order"\n'
    main = subject_of(f'{text}then.tag = "x"\n')
    more = tmp_path / "mx.toml"
    more.write_text('[lexicon.order]\nadd = ["encargo"]\n', encoding="utf-8")
    files = (*main.files, more)
    subject = replace(main, files=files, rules=load_rules(files, names))

    [*_, mutant] = [each for each in mutants_of(subject) if each.mutator == "word"]

    assert mutant.id == "lexicon.order/word/encargo"
    assert mutant.key[0] == str(more)


def test_every_mutant_is_of_a_mutator_that_is_told_and_has_a_name_of_its_own(
    subject_of: SubjectOf,
) -> None:
    subject = subject_of(
        '[[rule]]\nid = "a"\nwhen.any = [{ text.words = ["x", "y"] }, { attachments.above = 1 }]\n'
        'unless.contact.tag = "z"\nthen.tag = "t"\n'
        '[[rule]]\nid = "b"\nwhen.conversation.tag = "t"\nthen.ticket = {}\n'
    )

    mutants = list(mutants_of(subject))

    assert {mutant.mutator for mutant in mutants} == set(MUTATORS)
    assert len({mutant.key for mutant in mutants}) == len(mutants)
    assert [mutant.id for mutant in mutants_of(subject)] == [mutant.id for mutant in mutants]
