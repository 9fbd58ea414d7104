"""``[[example]]``: every input reaches the rules, and every expectation can fail."""

from collections.abc import Callable

import pytest

from router.errors import ConfigError
from router.rules.examples import example_facts, run_example, run_examples, see
from router.rules.model import RuleSet
from router.rules.policy import Policy

Rules = Callable[..., RuleSet]

CATEGORY = '[category.INFO]\nrisk = "low"\n'


@pytest.mark.parametrize(
    ("condition", "example"),
    [
        ("text.words = 'hola'", "say = 'Hola'"),
        ("event.kind = 'message'", "say = 'Hola'"),
        ("contact.address.starts_with = 'tel:+57'", "say = 'Hola'"),
        ("contact.address = 'telegram:12'", "say = 'Hola'\nas = 'telegram:12'"),
        ("contact.address = 'telegram:12'", "say = 'Hola'\nas = { address = 'telegram:12' }"),
        ("contact.name = 'Ana'", "say = 'Hola'\nas.name = 'Ana'"),
        ("contact.tag = 'vip'", "say = 'Hola'\nas.tag = ['vip']"),
        ("language = 'pt'", "say = 'Hola'\nas.language = 'pt'"),
        ("contact.opted_out = true", "say = 'Hola'\nas.opted_out = true"),
        ("contact.attribute.city = 'Cali'", "say = 'Hola'\nas.attribute.city = 'Cali'"),
        ("contact.new = true", "say = 'Hola'"),
        ("contact.new = false", "say = 'Hola'\nhistory = ['antes']"),
        ("channel = 'whatsapp'", "say = 'Hola'\nchannel = 'whatsapp'"),
        ("conversation.owner = 'person'", "say = 'Hola'\nowner = 'person'"),
        ("clock.weekday = 'wed'", "say = 'Hola'"),
        ("clock.time.between = ['22:00', '07:00']", "say = 'Hola'\nat = '23:00'"),
        ("clock.time.between = ['22:00', '07:00']", "say = 'Hola'\nat = 23:00:00"),
        ("clock.weekday = 'sat'", "say = 'Hola'\nat = 'sat 23:00'"),
        ("clock.date = 2026-12-24", "say = 'Hola'\nat = 2026-12-24T10:00:00"),
        ("clock.date = 2026-12-24", "say = 'Hola'\nat = '2026-12-24 10:00'"),
        ("turn.messages = 2", "say = 'Hola'\nhistory = ['antes']"),
        ("turn.text.words = 'antes'", "say = 'Hola'\nhistory = [{ customer = 'antes' }]"),
        ("turn.messages = 1", "say = 'Hola'\nhistory = ['antes', { bot = 'sí' }]"),
        ("conversation.bot_turns = 1", "say = 'Hola'\nhistory = [{ bot = 'sí' }]"),
        (
            "conversation.bot_turns = 0",
            "say = 'Hola'\nhistory = [{ bot = 'sí' }, { person = 'yo' }]",
        ),
        (
            "conversation.since_human.above = '1h'",
            "say = 'Hola'\nhistory = [{ person = 'yo', ago = '2h' }]",
        ),
        ("attachments.kind = 'image'", "event.attachments = ['image', 'audio']"),
        ("attachments = 2", "event = { text = 'x', attachments = ['image', 'audio'] }"),
        ("text.empty = true", "event.kind = 'message'"),
    ],
)
def test_what_an_example_states_reaches_the_rules(
    rules_of: Rules, condition: str, example: str
) -> None:
    rule = f'[[rule]]\nid = "r"\nwhen.{condition}\nthen.tag = "t"\n'
    good = rules_of(f"{rule}[[example]]\n{example}\nexpect = {{ rule = 'r', tag = 't' }}")
    bad = rules_of(f"{rule}[[example]]\n{example}\nexpect = {{ rule = 'r', tag = 'other' }}")

    if "opted_out" in example or "owner" in example:
        good_problems = run_examples(good, Policy())
        assert good_problems == []
        return
    assert run_examples(good, Policy()) == []
    assert len(run_examples(bad, Policy())) == 1


@pytest.mark.parametrize(
    ("condition", "example"),
    [
        ("delivery.status = 'failed'", "event = { kind = 'delivery', status = 'failed' }"),
        ("delivery.code = '63016'", "event = { kind = 'delivery', code = '63016' }"),
        ("text.words = 'hola'", "event = { kind = 'echo', text = 'hola' }"),
    ],
)
def test_other_events_have_examples_too(rules_of: Rules, condition: str, example: str) -> None:
    kind = "delivery" if "delivery" in condition else "echo"
    rules = rules_of(
        f'[[rule]]\nid = "r"\non = "{kind}"\nwhen.{condition}\nthen.ticket = {{}}\n'
        f"[[example]]\n{example}\nexpect = {{ rule = 'r', decision = 'ticket' }}"
    )

    assert run_examples(rules, Policy()) == []


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("rule = 'default'", 'rule should be "default", and is r'),
        ("decision = 'answer'", 'decision should be "answer", and is "reply" by r'),
        ("category = 'OTHER'", 'category should be "OTHER", and is INFO'),
        ("tag = ['t', 'u']", "tag should be t, u, and is t"),
        ("reply = 'adiós'", 'reply should be "adiós", and is ¡Hola!'),
    ],
)
def test_an_expectation_that_fails_says_what_was_seen(
    rules_of: Rules, expect: str, message: str
) -> None:
    rules = rules_of(
        f'{CATEGORY}[[rule]]\nid = "r"\nthen = {{ reply.text = "¡Hola!", tag = "t", '
        f'set.category = "INFO" }}\n[[example]]\nsay = "x"\nexpect = {{ {expect} }}'
    )

    (problem,) = run_examples(rules, Policy())

    assert problem.message == f"the example fails: {message}"
    assert problem.source_line == f"expect = {{ {expect} }}"


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("category = 'INFO'", 'category should be "INFO", and is none'),
        ("tag = 't'", "tag should be t, and is no tag"),
        ("reply = 'x'", 'reply should be "x", and is nothing'),
        ("decision = 'classify'", 'decision should be "classify", and is "answer" by default'),
    ],
)
def test_what_is_not_there_is_said_as_well(rules_of: Rules, expect: str, message: str) -> None:
    rules = rules_of(f'{CATEGORY}[[example]]\nsay = "x"\nexpect = {{ {expect} }}')

    (problem,) = run_examples(rules, Policy())

    assert problem.message == f"the example fails: {message}"


def test_nothing_that_matched_is_no_rule(rules_of: Rules) -> None:
    rules = rules_of(
        '[[rule]]\nid = "r"\nwhen.text.words = "hola"\nthen.classify = "cheap"\n'
        '[[example]]\nsay = "hola"\nexpect = { rule = "default", decision = "classify" }',
    )

    (problem,) = run_examples(rules, Policy())

    assert problem.message == 'the example fails: rule should be "default", and is r'


@pytest.mark.parametrize(
    ("default", "answer", "decision"),
    [
        ("answer", "'Sí.'", "draft"),
        ("answer", "{ text = '', confidence = 0.9 }", "ticket"),
        ("answer", "{ confidence = 1 }", "ticket"),
        ("answer", "{ text = 'Sí.', cites = ['a#1'], category = 'INFO' }", "draft"),
        ("classify", "{ text = 'Sí.', category = 'INFO', confidence = 0.5 }", "draft"),
        ("classify", "{ text = 'Sí.' }", "classify"),
    ],
)
def test_an_example_may_say_what_the_model_answers(
    rules_of: Rules, default: str, answer: str, decision: str
) -> None:
    more = 'classify = "cheap"' if default == "classify" else ""
    rules = rules_of(
        f'[[example]]\nsay = "x"\nanswer = {answer}\nexpect.decision = "{decision}"\n{CATEGORY}',
        default=f'[default]\nanswer = "assistant"\n{more}',
    )

    assert [str(each) for each in run_examples(rules, Policy())] == []
    assert run_example(rules.examples[0], rules, Policy()).trace["facts"]["text"] == "x"


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ("say = ''", '"say" is empty. Say something.'),
        ("say = 1", '"say" takes a text, not a number'),
        ("say = 'x'\nevent.kind = 'message'", "an example has either say or event"),
        ("event = 'x'", '"event" takes a table, not a text'),
        ("event.kind = 'delivry'", 'unknown kind of event "delivry". Did you mean "delivery"?'),
        ("event = { kind = 'delivery', status = 'lost' }", 'unknown delivery status "lost".'),
        ("event = { kind = 'delivery', code = 3 }", '"code" takes a text, not a number'),
        ("say = 'x'\nas = 'Ana'", '"Ana" is not an address. Write scheme:value'),
        ("say = 'x'\nas = 3", '"as" takes a table, not a number'),
        ("say = 'x'\nas = { address = 'x' }", '"x" is not an address.'),
        ("say = 'x'\nas = { attribute = 'x' }", '"attribute" takes a table, not a text'),
        ("say = 'x'\nas = { opted_out = 'no' }", '"opted_out" takes true or false, not a text'),
        ("say = 'x'\nchannel = 'x'", 'no channel "x" in router.toml. Known: phone, whatsapp'),
        ("say = 'x'\nat = 5", "this is no moment."),
        ("say = 'x'\nat = 'xyz 10:00'", "this is no moment."),
        ("say = 'x'\nowner = 'me'", 'unknown owner "me". It is one of: bot, nobody, person'),
        ("say = 'x'\nhistory = 'y'", '"history" takes a list, not a text'),
        ("say = 'x'\nhistory = [3]", '"history" takes a table, not a number'),
        ("say = 'x'\nhistory = [{ bot = 'a', person = 'b' }]", "one of customer, bot and person"),
        ("say = 'x'\nhistory = [{ person = 'b', ago = 'long' }]", '"ago" takes a duration'),
        ("say = 'x'\nhistory = [{ person = 'b', ago = 3 }]", '"ago" takes a duration'),
        ("say = 'x'\nanswer = 3", '"answer" takes a table, not a number'),
        ("say = 'x'\nanswer = { text = 3 }", '"text" takes a text, not a number'),
        ("say = 'x'\nanswer = { confidence = 'x' }", '"confidence" takes a number, not a text'),
        ("say = 'x'\nanswer = { cites = 3 }", '"cites" takes a text or a list of texts'),
        ("say = 'x'\nanswer = { category = 3 }", '"category" takes a text, not a number'),
        ("say = 'x'\nanswr = 'x'", 'unknown key "answr" in an example. Did you mean "answer"?'),
    ],
)
def test_a_mistake_in_an_example_is_told(rules_of: Rules, example: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rules_of(f"[[example]]\n{example}\nexpect.decision = 'answer'")

    (problem,) = caught.value.problems
    assert message in str(problem)


def test_an_example_without_an_expectation_is_a_mistake(rules_of: Rules) -> None:
    with pytest.raises(ConfigError, match="this example expects nothing"):
        rules_of('[[example]]\nsay = "x"')
    with pytest.raises(ConfigError, match='"expect" takes a table, not a text'):
        rules_of('[[example]]\nsay = "x"\nexpect = "x"')


def test_an_example_states_what_a_channel_tells_besides(rules_of: Rules) -> None:
    rules = rules_of(
        """
        [[rule]]
        id = "button"
        when.event.metadata.button_payload = "yes"
        then.ignore = "x"
        [[rule]]
        id = "closed"
        on = "delivery"
        when = { delivery.why = "window_closed", delivery.reason.words = "window" }
        then.ticket = {}
        [[example]]
        event = { text = "ok", metadata = { button_payload = "yes" } }
        expect = { rule = "button" }
        [[example]]
        event = { kind = "delivery", why = "window_closed", reason = "no window" }
        expect = { rule = "closed", decision = "ticket" }
        """
    )

    assert run_examples(rules, Policy()) == []


@pytest.mark.parametrize(
    ("then", "window_open", "decision", "texts"),
    [
        ('reply.text = "¿Seguimos?"', True, "reply", ("¿Seguimos?",)),
        ('reply.text = "¿Seguimos?"', False, "ticket", ()),
        ('reply.template = "t"', False, "reply", ("¿Seguimos?",)),
        ('escalate = { to = "pager", because = "x", say = "Ya." }', False, "escalate", ()),
        ('message = { channel = "whatsapp", text = "Ya." }', False, "reply", ("Ya.",)),
        ('ticket.title = "x"', False, "ticket", ()),
    ],
)
def test_a_text_outside_of_the_window_is_a_ticket_as_it_is_in_the_host(
    rules_of: Rules, then: str, window_open: bool, decision: str, texts: tuple[str, ...]
) -> None:
    rules = rules_of(
        '[template.t]\nref = "HX1"\ntext = "¿Seguimos?"\n'
        f'[[rule]]\nid = "r"\non = "idle"\nthen.{then}\n'
    )
    stated = {"event.kind": "idle", "conversation.window_open": window_open}

    seen = see(rules, Policy(), example_facts(stated, Policy()), None)

    assert (seen.decision, seen.texts) == (decision, texts)
    assert seen.trace["decision"]["outcome"] == decision
