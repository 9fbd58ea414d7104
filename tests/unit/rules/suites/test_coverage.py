"""Coverage: what no case is for, with its place."""

from collections.abc import Callable
from dataclasses import replace

from router.rules.loading import load_rules
from router.rules.model import Names
from router.rules.suites.coverage import Coverage, cover
from router.rules.suites.model import Subject, Suite
from router.rules.suites.running import watch

SuiteOf = Callable[..., Suite]
RULES = """
[[rule]]
id = "late"
when.clock.time.between = ["22:00", "07:00"]
then.reply = { text = "Mañana." }

[[rule]]
id = "order"
when.any = [
  { text.words = "pedido" },
  { text.words = "orden", unless = { contact.tag = "vip" } },
]
unless.contact.opted_out = true
then.ticket = {}

[[rule]]
id = "rest"
then.reply = { text = "¿Sí?" }

[[guardrail]]
id = "unsure"
when.answer.confidence.below = 0.5
then.draft = "low confidence"
"""


def covered(suite: Suite) -> Coverage:
    return cover([suite.subject], watch([suite]))


def told(coverage: Coverage, suite: Suite) -> list[str]:
    return [str(problem).replace(f"{suite.path.parent}/", "") for problem in coverage.problems]


def test_each_gap_is_named_with_its_line(suite_of: SuiteOf) -> None:
    suite = suite_of(RULES, '[[case]]\nsay = "mi orden"\nexpect.decision = "ticket"\n')

    coverage = covered(suite)

    assert told(coverage, suite) == [
        (
            "rules.toml:1:1: no case is for the default: none reads it. "
            'Add one that expects rule = "default".'
        ),
        (
            'rules.toml:4:6: no case is for the rule "late": 1 read it. '
            'Add one that expects rule = "late".'
        ),
        (
            'rules.toml:5:17: when.clock.time.between of "late" never holds in the cases. '
            "Add a case in which it does."
        ),
        (
            'rules.toml:11:10: when.any.0.text.words of "order" never holds in the cases. '
            "Add a case in which it does."
        ),
        (
            'rules.toml:12:10: when.any.1.text.words of "order" always holds in the cases. '
            "Add a case in which it does not."
        ),
        (
            'rules.toml:12:46: when.any.1.unless.contact.tag of "order" never holds in the cases. '
            "Add a case in which it does."
        ),
        (
            'rules.toml:14:16: unless.contact.opted_out of "order" never holds in the cases. '
            "Add a case in which it does."
        ),
        (
            'rules.toml:18:6: no case is for the rule "rest": none reads it. '
            'Add one that expects rule = "rest".'
        ),
        (
            'rules.toml:22:6: no case is for the guardrail "unsure": none reads it. '
            'Add one that expects rule = "unsure".'
        ),
        (
            'rules.toml:23:24: when.answer.confidence.below of "unsure" is never looked at in the '
            'cases. Add a case that gets to "unsure".'
        ),
    ]
    assert coverage.percent == 20.0


def test_a_rule_that_a_case_is_for_is_covered_and_a_condition_that_is_met_both_ways(
    suite_of: SuiteOf,
) -> None:
    suite = suite_of(
        '[[rule]]\nid = "order"\nwhen.text.words = "pedido"\nthen.tag = "order"\n',
        '[[case]]\nsay = ["mi pedido", "hola"]\nexpect.decision = "answer"\n',
    )

    coverage = covered(suite)

    assert coverage.problems == []
    assert coverage.percent == 100.0
    assert [(each.id, each.read, each.matched) for each in coverage.rules] == [
        ("order", 2, 1),
        ("default", 2, 2),
    ]
    assert [(each.text, each.held, each.failed) for each in coverage.conditions] == [
        ("when.text.words", 1, 1)
    ]


def test_without_rules_there_is_nothing_to_cover(subject_of: Callable[..., Subject]) -> None:
    subject = replace(subject_of(""), rules=load_rules([], Names()))

    coverage = cover([subject], [])

    assert (list(coverage.rules), coverage.problems, coverage.percent) == ([], [], 100.0)


def test_a_missing_value_counts_in_a_guardrail_as_it_does_there(suite_of: SuiteOf) -> None:
    suite = suite_of(
        RULES.split("[[rule]]", 1)[0] + "[[guardrail]]" + RULES.split("[[guardrail]]")[1],
        '[[case]]\nsay = "hola"\nanswer = "Sí."\nexpect.rule = "unsure"\n',
    )

    [condition] = covered(suite).conditions

    assert (condition.held, condition.failed) == (1, 0)
