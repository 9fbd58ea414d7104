"""Killing: a mutant is noticed exactly if some case fails with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from router.rules.suites.differences import passes
from router.rules.suites.killing import kill
from router.rules.suites.model import Subject, Suite
from router.rules.suites.mutators import mutants_of
from router.rules.suites.reading import load_suites
from router.rules.suites.running import case_facts, run, see_case, watch
from router.rules.suites.subjects import Subjects

SuiteOf = Callable[..., Suite]

RULES = """
[lexicon.order]
any = ["pedido", "orden", "mi envio"]

[category.TRACKING]
risk = "low"

[category.BILLING]
risk = "medium"

[[rule]]
id = "vip"
when.contact.tag = "vip"
then.tag = "vip"

[[rule]]
id = "order"
when.text.lexicon = "order"
then.set.category = "TRACKING"

[[rule]]
id = "money"
channels = ["phone"]
when.any = [{ text.words = ["factura", "cobro"] }, { text.contains = "$", attachments.above = 0 }]
unless.category = "TRACKING"
then.set.category = "BILLING"

[[rule]]
id = "urgent"
when.conversation.tag = "vip"
when.conversation.bot_turns.at_least = 3
then.escalate = { to = "pager", because = "a vip waits" }

[[rule]]
id = "classified"
when.ai.category = "BILLING"
then.ticket = { queue = "billing" }

[[rule]]
id = "ask"
when.text.contains = "???"
then.classify = "cheap"

[[guardrail]]
id = "unsure"
when.answer.confidence.below = 0.5
then.draft = "low confidence"

[[guardrail]]
id = "quiet"
stage = "input"
when.text.equals = ["baja", "stop"]
then.opt_out = { say = "Listo." }
"""
CASES = """
[[case]]
say = ["mi pedido", "una orden"]
expect = { rule = "order", category = "TRACKING", decision = "answer" }

[[case]]
say = ["la factura", "un cobro"]
channel = "phone"
expect = { rule = "money", category = "BILLING" }

[[case]]
say = "la factura de mi pedido"
channel = "phone"
expect = { no_rule = "money", category = "TRACKING" }

[[case]]
event = { text = "son $ 10", attachments = ["image"] }
channel = "phone"
expect = { category = "BILLING" }

[[case]]
say = "hola"
as = { tag = "vip" }
given.conversation.bot_turns = 3
expect = { rule = "vip", decision = "escalate" }

[[case]]
say = "hola"
as = { tag = "vip" }
given.conversation.bot_turns = 2
expect = { decision = "answer" }

[[case]]
say = "cobran???"
answer = { text = "Sí.", category = "BILLING", confidence = 0.9 }
expect = { rule = "classified", decision = "ticket" }

[[case]]
say = "hola"
answer = { text = "Sí.", confidence = 0.4, category = "TRACKING" }
expect = { rule = "unsure", decision = "draft" }

[[case]]
say = "hola"
answer = { text = "Sí.", confidence = 0.5, category = "TRACKING" }
expect = { decision = "reply" }

[[case]]
say = "STOP"
expect = { rule = "quiet", opted_out = true }
"""


def test_what_is_noticed_is_what_trying_every_case_would_notice(suite_of: SuiteOf) -> None:
    """The cases that are passed over as not concerned are really none that would notice."""
    suite = suite_of(RULES, CASES)
    assert all(result.passed for result in run([suite]))
    survivors = {
        mutant.id
        for mutant in mutants_of(suite.subject)
        if all(
            passes(
                case.expect,
                see_case(mutant.applied(suite.subject.rules), case, case_facts(case)),
            )
            for case in suite.cases
        )
    }

    killing = kill([suite.subject], [suite], watch([suite]))

    assert {mutant.id for mutant in killing.survivors} == survivors
    assert killing.count == len(list(mutants_of(suite.subject)))
    assert killing.killed > len(survivors)


def test_a_survivor_is_told_with_its_place_and_what_to_add(suite_of: SuiteOf) -> None:
    suite = suite_of(
        '[[rule]]\nid = "order"\nwhen.text.words = ["pedido", "orden"]\nthen.ticket = {}\n',
        '[[case]]\nsay = "mi pedido"\nexpect.decision = "ticket"\n'
        '[[case]]\nsay = "hola"\nexpect.decision = "answer"\n',
    )

    killing = kill([suite.subject], [suite], watch([suite]))

    assert [str(each).replace(f"{suite.path.parent}/", "") for each in killing.problems] == [
        (
            'rules.toml:4:30: no case fails when "order" goes without "orden" in when.text.words. '
            'Add a case for "orden" alone. Mutant: order/word/when.text.words/orden'
        )
    ]
    assert (killing.killed, killing.count) == (5, 6)
    assert round(killing.percent, 1) == 83.3


def test_without_a_mutant_all_of_them_are_noticed(suite_of: SuiteOf) -> None:
    suite = suite_of("", '[[case]]\nsay = "hola"\nexpect.decision = "answer"\n')

    assert kill([], [suite], []).percent == 100.0


@pytest.mark.parametrize(
    ("mutant", "wrong"),
    [
        ("greeting/swap/thanks", None),
        ("greeting/outcome", 'a case fails with the mutant "greeting/outcome". Leave this out.'),
        ("greting/outcome", 'there is no mutant "greting/outcome". Leave this out.'),
    ],
)
def test_a_mutant_may_be_said_to_change_nothing_while_no_case_notices_it(
    mutant: str, wrong: str | None, suite_of: SuiteOf
) -> None:
    suite = suite_of(
        '[[rule]]\nid = "greeting"\nwhen.text.matches = "^hola$"\nthen.reply = { text = "x" }\n'
        '[[rule]]\nid = "thanks"\nwhen.text.matches = "^gracias$"\nthen.reply = { text = "y" }\n',
        '[[case]]\nsay = "hola"\nexpect = { says = "x" }\n'
        '[[case]]\nsay = "gracias"\nexpect = { says = "y" }\n'
        '[[case]]\nsay = "otra"\nexpect = { decision = "answer" }\n'
        f'[[equivalent]]\nmutant = "{mutant}"\nbecause = "no text is both"\n',
    )

    killing = kill([suite.subject], [suite], watch([suite]))

    assert [each.id for each in killing.survivors] == [
        *(() if wrong is None else ("greeting/swap/thanks",))
    ]
    assert [str(each) for each in killing.wrong] == (
        [] if wrong is None else [f"{suite.path}:11:10: {wrong}"]
    )
    assert len(killing.exempt) == (wrong is None)


def test_a_mistake_in_a_shared_file_is_noticed_by_any_of_the_suites_about_it(
    tmp_path: Path, subject_of: Callable[..., Subject]
) -> None:
    subject_of('[[rule]]\nid = "order"\nwhen.text.words = ["pedido", "orden"]\nthen.ticket = {}\n')
    main = subject_of("", name="main.toml")
    files: list[Path] = []
    for word, other in (("pedido", "mx"), ("orden", "co")):
        rule = f'[[rule]]\nid = "{other}"\nwhen.text.words = "{other}"\nthen.tag = "x"\n'
        (tmp_path / f"{other}.toml").write_text(rule, encoding="utf-8")
        file = tmp_path / f"{other}.test.toml"
        file.write_text(
            f'rules = ["rules.toml", "{other}.toml"]\n'
            f'[[case]]\nsay = ["{word}", "{word} {other}"]\n'
            f'expect = {{ no_rule = "{other}", decision = "ticket" }}\n'
            f'[[case]]\nsay = "{other}"\nexpect = {{ rule = "{other}", decision = "answer" }}\n'
            f'[[case]]\nsay = "x"\nexpect = {{ no_rule = "{other}", decision = "answer" }}\n',
            encoding="utf-8",
        )
        files.append(file)
    suites = load_suites(files, Subjects({"main": main}))
    assert all(result.passed for result in run(suites))

    killing = kill([suite.subject for suite in suites], suites, watch(suites))

    assert list(killing.problems) == []
    assert killing.killed == len({m.key for s in suites for m in mutants_of(s.subject)})
