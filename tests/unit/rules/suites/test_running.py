"""Cases run as the router runs a message, and what is seen on the way."""

from collections.abc import Callable

from router.rules.policy import Policy
from router.rules.suites.model import Suite
from router.rules.suites.running import case_facts, run, see_case, watch

SuiteOf = Callable[..., Suite]
RULES = """
[[rule]]
id = "hello"
when.text.words = "hola"
then.tag = "polite"

[[rule]]
id = "price"
when.text.words = "precio"
when.text.contains = "?"
then.reply = { text = "10" }

[[rule]]
id = "late"
when.text.words = "late"
then.ticket = {}
"""


def test_a_turn_of_several_messages_is_read_as_a_whole_before_a_model_is_asked(
    suite_of: SuiteOf,
) -> None:
    case = (
        '[[case]]\nhistory = ["hola"]\nsay = "tengo una duda"\n'
        'expect = { rule = "hello", decision = "answer" }\n'
    )

    [waiting] = run([suite_of(RULES, case)])
    at_once = Policy().debounce * 0
    [hasty] = run([suite_of(RULES, case, policy=Policy(debounce=at_once))])

    assert waiting.passed
    assert [each.key for each in hasty.differences] == ["rule"]


def test_a_message_that_decides_is_not_read_with_what_came_before(suite_of: SuiteOf) -> None:
    [result] = run(
        [
            suite_of(
                RULES,
                '[[case]]\nhistory = ["hola"]\nsay = "¿precio?"\n'
                'expect = { rule = "price", no_rule = "hello", decision = "reply" }\n',
            )
        ]
    )

    assert result.passed


def test_watching_sees_each_rule_that_is_read_though_its_words_are_not_there(
    suite_of: SuiteOf,
) -> None:
    suite = suite_of(
        RULES,
        '[[case]]\nsay = "hola"\nexpect.decision = "answer"\n'
        '[[case]]\nsay = "¿precio?"\nexpect.decision = "reply"\n',
    )

    first, second = watch([suite])

    assert list(first.saw) == ["hello", "price", "late"]
    assert first.by_default
    assert list(second.saw) == ["hello", "price"]
    assert not second.by_default
    assert all(len(saw) == 1 for saw in first.saw.values())


def test_watching_changes_nothing(suite_of: SuiteOf) -> None:
    suite = suite_of(RULES, '[[case]]\nsay = "hola"\nexpect.decision = "answer"\n')
    [case] = suite.cases
    before = see_case(suite.subject.rules, case, case_facts(case))

    watch([suite])

    assert see_case(suite.subject.rules, case, case_facts(case)) == before
