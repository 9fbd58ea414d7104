"""What a case may expect: each key holds where it should, and a difference is told where not."""

from collections.abc import Callable

import pytest

from router.rules.suites.model import Suite
from router.rules.suites.running import run

RULES = """
[category.LEGAL]
risk = "high"

[[rule]]
id = "always"
then.tag = ["seen", "new"]
then.untag = "old"
then.set = { priority = "high", contact.attribute.city = "Cali" }
then.run = [{ action = "crm", customer = "{{ contact.name }}", stage = "won" }]

[[rule]]
id = "legal"
when.text.words = ["juicio", "abogado"]
then.set.category = "LEGAL"
then.escalate.to = "pager"
then.escalate.because = "a legal threat"
then.escalate.say = "Ya te escriben, {{ contact.name }}."

[[rule]]
id = "invoice"
when.text.words = "factura"
channels = ["phone"]
then.ticket = { queue = "billing", title = "La factura" }

[[rule]]
id = "cheap"
when.text.words = "barato"
then.answer = "cheap"

[[guardrail]]
id = "unsure"
when.answer.confidence.below = 0.5
then.draft = "low confidence"

[[guardrail]]
id = "leave"
stage = "input"
when.text.equals = "baja"
then.opt_out = true
"""
LEGAL = 'say = "Nos vemos en JUICIO"\nas = { name = "Ana" }\n'
INVOICE = 'say = "la factura"\nas = { name = "Ana" }\nchannel = "phone"\n'
ANSWERED = (
    'say = "hola"\nas = { name = "Ana" }\nanswer = { text = "Sí, claro.", confidence = 0.2 }\n'
)
ASKED = 'say = "algo barato"\nas = { name = "Ana", language = "es" }\n'
LEFT = 'say = "baja"\n'


@pytest.mark.parametrize(
    ("case", "expect"),
    [
        (LEGAL, 'rule = "legal"'),
        (LEGAL, 'rule = ["always", "legal"]'),
        (LEGAL, 'no_rule = "invoice"'),
        (LEGAL, 'by = "legal"'),
        (ASKED, 'by = "cheap"'),
        (ANSWERED, 'by = "unsure"'),
        ('say = "hola"', 'by = "default"'),
        ('say = "hola"', 'rule = "default"'),
        (LEGAL, 'decision = "escalate"'),
        (ASKED, 'decision = "answer"'),
        (ASKED, 'asked = "cheap"'),
        (LEGAL, 'category = "LEGAL"'),
        (LEGAL, 'risk = "high"'),
        (ASKED, 'priority = "high"'),
        (LEGAL, 'tag = "seen"'),
        (ASKED, 'tag = ["seen", "new"]'),
        (LEGAL, 'untag = "old"'),
        (LEGAL, 'set = { contact.attribute.city = "Cali" }'),
        (LEGAL, 'reply = "ya TE escriben"'),
        (LEGAL, 'reply = ["escriben", "ana"]'),
        (ANSWERED, 'reply = "claro"'),
        (LEGAL, 'no_reply = "robot"'),
        (LEGAL, 'says = "Ya te escriben, Ana."'),
        (INVOICE, "says = []"),
        (ANSWERED, "draft = true"),
        (ANSWERED, 'draft = "claro"'),
        (LEGAL, "draft = false"),
        (INVOICE, "ticket = true"),
        (INVOICE, 'ticket = { queue = "billing", title = "FACTURA", priority = "high" }'),
        (LEGAL, "ticket = false"),
        (LEGAL, 'escalate = { to = "pager", because = "LEGAL threat" }'),
        (INVOICE, "escalate = false"),
        (LEGAL, 'run = "crm"'),
        (LEGAL, 'run = [{ action = "crm", customer = "Ana" }]'),
        (LEFT, "opted_out = true"),
        (LEGAL, "opted_out = false"),
    ],
)
def test_what_is_as_expected_passes(case: str, expect: str, suite_of: Callable[..., Suite]) -> None:
    suite = suite_of(RULES, f"[[case]]\n{case}\nexpect = {{ {expect} }}\n")

    [result] = run([suite])

    assert result.differences == ()


@pytest.mark.parametrize(
    ("case", "expect", "told"),
    [
        (
            LEGAL,
            'rule = "invoice"',
            [
                '- rule = "invoice"',
                '+ rule = ["always", "legal"]',
                "  invoice: not read, legal decided before it",
            ],
        ),
        (
            ASKED,
            'rule = ["legal", "cheap"]',
            [
                '- rule = ["legal", "cheap"]',
                '+ rule = ["always", "cheap"]',
                '  legal: failed on text.words = ["juicio", "abogado"]: saw text "algo barato"',
            ],
        ),
        (
            ASKED,
            'rule = "invoice"',
            [
                '- rule = "invoice"',
                '+ rule = ["always", "cheap"]',
                "  invoice: skipped, it is for another channel",
            ],
        ),
        (
            ASKED,
            'rule = "unsure"',
            [
                '- rule = "unsure"',
                '+ rule = ["always", "cheap"]',
                "  unsure: not asked, a model is to answer first; add answer = { … }",
            ],
        ),
        (
            LEGAL,
            'rule = "default"',
            ['- rule = "default"', '+ rule = ["always", "legal"]', "  legal decided"],
        ),
        (
            LEGAL,
            'no_rule = ["invoice", "legal"]',
            ['- no_rule = ["invoice", "legal"]', '+ no_rule = "legal" matched'],
        ),
        (LEGAL, 'by = "default"', ['- by = "default"', '+ by = "legal"']),
        (
            LEGAL,
            'decision = "ticket"',
            [
                '- decision = "ticket"',
                '+ decision = "escalate"',
                "  by legal, because: a legal threat",
            ],
        ),
        (
            ASKED,
            'decision = "reply"',
            ['- decision = "reply"', '+ decision = "answer"', "  by cheap"],
        ),
        (LEGAL, 'asked = "cheap"', ['- asked = "cheap"', "+ asked = none"]),
        (ASKED, 'category = "LEGAL"', ['- category = "LEGAL"', "+ category = none"]),
        (LEGAL, 'risk = "low"', ['- risk = "low"', '+ risk = "high"']),
        (LEGAL, 'priority = "low"', ['- priority = "low"', '+ priority = "high"']),
        (LEGAL, 'language = "pt"', ['- language = "pt"', "+ language = none"]),
        (LEGAL, 'tag = ["vip", "seen"]', ['- tag = ["seen", "vip"]', '+ tag = ["new", "seen"]']),
        (LEGAL, 'untag = "vip"', ['- untag = "vip"', '+ untag = "old"']),
        (
            LEGAL,
            'set = { contact.attribute.city = "Lima" }',
            [
                '- set = { contact.attribute.city = "Lima" }',
                '+ set = { contact.attribute.city = "Cali" }',
            ],
        ),
        (
            LEGAL,
            'reply = ["escriben", "mañana"]',
            ['- reply = "mañana"', '+ reply = "Ya te escriben, Ana."'],
        ),
        (INVOICE, 'reply = "mañana"', ['- reply = "mañana"', "+ reply = []"]),
        (LEGAL, 'no_reply = "ANA"', ['- no_reply = "ANA"', '+ no_reply = "Ya te escriben, Ana."']),
        (LEGAL, "says = []", ["- says = []", '+ says = "Ya te escriben, Ana."']),
        (ASKED, "draft = true", ["- draft = true", "+ draft = false"]),
        (ANSWERED, 'draft = "no"', ['- draft = "no"', '+ draft = "Sí, claro."']),
        (
            INVOICE,
            'ticket = { queue = "sales" }',
            [
                '- ticket = { queue = "sales" }',
                '+ ticket = { queue = "billing", title = "La factura", priority = "high" }',
            ],
        ),
        (LEGAL, "ticket = true", ["- ticket = true", "+ ticket = false"]),
        (
            LEGAL,
            'escalate = { to = "crm" }',
            [
                '- escalate = { to = "crm" }',
                '+ escalate = { to = "pager", because = "a legal threat" }',
            ],
        ),
        (
            LEGAL,
            "run = []",
            ["- run = []", '+ run = [{ action = "crm", customer = "Ana", stage = "won" }]'],
        ),
        (
            LEGAL,
            'run = { action = "crm", stage = "lost" }',
            [
                '- run = [{ action = "crm", stage = "lost" }]',
                '+ run = [{ action = "crm", customer = "Ana", stage = "won" }]',
            ],
        ),
        (LEGAL, "opted_out = true", ["- opted_out = true", "+ opted_out = false"]),
    ],
)
def test_what_is_not_as_expected_is_told(
    case: str, expect: str, told: list[str], suite_of: Callable[..., Suite]
) -> None:
    suite = suite_of(RULES, f"[[case]]\n{case}\nexpect = {{ {expect} }}\n")

    [result] = run([suite])

    assert [line for each in result.differences for line in each.lines()] == told


def test_a_failure_is_told_with_its_place(suite_of: Callable[..., Suite]) -> None:
    suite = suite_of(
        RULES,
        '[[case]]\nname = "threat"\nsay = "hola"\n'
        'expect = { decision = "escalate", category = "LEGAL" }\n',
    )

    [result] = run([suite])

    assert result.report() == (
        f'{suite.path}:1:3: the case "threat" fails. Expected (-), found (+):\n'
        '    - decision = "escalate"\n'
        '    + decision = "answer"\n'
        "      by default\n"
        '    - category = "LEGAL"\n'
        "    + category = none"
    )
