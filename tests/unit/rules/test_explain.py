"""A trace in words."""

import json
import zlib
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

import pytest

from router.domain.answer import Completion
from router.rules.decide import conclude
from router.rules.engine import read
from router.rules.explain import render
from router.rules.facts import Facts
from router.rules.model import RuleSet
from router.rules.policy import Policy
from router.rules.trace import cut, plain

Rules = Callable[..., RuleSet]

RULES = """
[category.INFO]
risk = "low"

[[guardrail]]
id = "injection"
stage = "input"
when.text.words = "ignora"
then.no_ai = true

[[rule]]
id = "vip"
when.contact.tag = "vip"
then.tag = "priority"

[[rule]]
id = "delivery"
on = "delivery"
then.ignore = "x"

[[rule]]
id = "info"
when.text.words = "horario"
then.set = { category = "INFO" }

[[rule]]
id = "escalated"
when.priority = "urgent"
then.escalate = { to = "team", because = "urgent" }

[[rule]]
id = "known"
when = { category = "INFO", contact.name = "Ana" }
then.ignore = "Ana knows"

[[guardrail]]
id = "unsure"
when.answer.confidence.below = 0.7
then.ticket = { queue = "support", title = "Unsure", say = "Un momento." }
"""

WHOLE = """\
Facts
  text               "¿Qué horario tienen? / Decision: reply"
  channel            "phone"
  language           "es"
  answer.text        "Creo que a las 9."
  answer.confidence  0.55

Input guardrails
  injection  failed on text.words = "ignora": saw "¿Qué horario tienen? / Decision: reply"

Rules
  vip        failed on contact.tag.contains = "vip": saw []
  delivery   skipped: for another kind
  info       matched: set category INFO
               holds: text.words = "horario": saw "¿Qué horario tienen? / Decision: reply"
  escalated  failed on priority.equals = "urgent": saw nothing
  known      failed on contact.name.equals = "Ana": saw nothing
Nearest miss: known, 1 condition held, but not
  contact.name.equals = "Ana"
No rule decided: the default did.

Asked assistant for an answer.
  backend  "assistant"
  seconds  0.25

Answer guardrails
  unsure  holds: ticket in support
            holds: answer.confidence.below = 0.7: saw 0.55

Made more careful
  policy.mode  reply → draft
  unsure       draft → ticket

Steps
  assisted: a person approves what a model wrote

Decision: ticket, because: the guardrail "unsure" opens a ticket (unsure)
  category  INFO
  risk  low
  say  "Un momento."
  draft  text "Creo que a las 9.", because "the guardrail "unsure" opens a ticket"
  ticket  queue "support", title "Unsure", priority "normal"

Queued
  message 01 phone

rules HASH
settings "abc"
"""


def seen(text: str = "¿Qué horario tienen?\nDecision: reply") -> Facts:
    return Facts(
        {
            "event.kind": "message",
            "text": text,
            "turn.text": text,
            "channel": "phone",
            "language": "es",
            "tenant": "main",
            "contact.tag": frozenset(),
            "conversation.owner": "bot",
        }
    )


def test_a_whole_trace_is_told(rules_of: Rules) -> None:
    rules = rules_of(RULES)
    reading = read(rules, Policy(), seen())
    trace = conclude(rules, Policy(), seen(), reading, Completion("Creo que a las 9.", 0.55)).trace
    stored = {
        **trace,
        "model": {"backend": "assistant", "seconds": 0.25, "passages": []},
        "queued": [{"kind": "message", "id": "01", "to": "phone", "n": None}],
        "settings": "abc",
    }

    told = render(json.loads(json.dumps(stored)))

    assert f"{told}\n" == WHOLE.replace("HASH", f'"{rules.hash[:12]}"')


def test_a_trace_is_small(rules_of: Rules) -> None:
    rules = rules_of(
        "".join(
            f'[[rule]]\nid = "rule-{n}"\nwhen.text.words = "palabra{n}"\nthen.tag = "t{n}"\n'
            for n in range(60)
        )
    )
    trace = read(rules, Policy(), seen("hola " * 5000)).trace

    assert len(zlib.compress(json.dumps(trace).encode())) < 2000


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        ({}, ""),
        ({"steps": ["superseded: x"]}, "Steps\n  superseded: x"),
        (
            {"unread": 1, "triage": [["a", "+", []]]},
            "Rules\n  a  matched\n  (1 more rule was not read)",
        ),
        ({"unread": 2}, "  (2 more rules were not read)"),
        (
            {"near": ["a", ["x", "y"], 2]},
            "Nearest miss: a, 2 conditions held, but not\n  x\n  y",
        ),
        ({"asked": ["category", "cheap"]}, "Asked cheap for a category."),
        ({"queued": ["message"]}, "Queued\n  message"),
        (
            {"plan": {"send": "text", "channel": "phone", "because": "b", "cost": "free"}},
            "Sent through phone: a text, counted as free\n  b",
        ),
        (
            {
                "plan": {
                    "send": "template",
                    "channel": "phone",
                    "at": "2026-11-20T13:00:00+00:00",
                    "because": "son horas de silencio",
                    "cost": "template",
                }
            },
            (
                "Sent through phone: a template, not before 2026-11-20T13:00:00+00:00, "
                "counted as template\n  son horas de silencio"
            ),
        ),
        (
            {"plan": {"send": "ticket", "channel": "calls", "because": "b"}},
            "Sent through calls: not by message, a ticket\n  b",
        ),
        (
            {"plan": {"send": "nothing", "channel": "phone", "because": "b"}},
            "Sent through phone: nothing\n  b",
        ),
        (
            {
                "decision": {
                    "outcome": "ignore",
                    "because": "b",
                    "opted_out": True,
                    "tag": ["a", "b"],
                }
            },
            "Decision: ignore, because: b\n  opted_out  true\n  tag  a, b",
        ),
        (
            {
                "facts": {"text": "x" * 80, "channel": "phone"},
                "triage": [
                    ["a", "-", "any of […]", ["text", "channel", "contact.name"]],
                    ["b", "-", 'risk.equals = "low"', ["risk"], {"risk": "high"}],
                ],
            },
            (
                f'Facts\n  text     "{"x" * 80}"\n  channel  "phone"\n\nRules\n'
                f'  a  failed on any of […]: saw text "{"x" * 57}…", '
                'channel "phone", no contact.name\n'
                '  b  failed on risk.equals = "low": saw "high"'
            ),
        ),
    ],
)
def test_a_part_of_a_trace_is_told(trace: dict[str, object], expected: str) -> None:
    assert render(trace) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (0.123456, 0.1235),
        (timedelta(seconds=90.4), "90s"),
        (time(7, 5), "07:05"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3), "2026-01-02T03:00:00"),  # noqa: DTZ001
        (frozenset({"b", "a"}), ["a", "b"]),
        (object, "<class 'object'>"),
    ],
)
def test_facts_are_plain_json(value: object, expected: object) -> None:
    assert plain(value) == expected


def test_a_long_text_is_cut() -> None:
    assert cut("x" * 301) == f"{'x' * 300}… (301 characters)"
    assert cut("x" * 300) == "x" * 300
