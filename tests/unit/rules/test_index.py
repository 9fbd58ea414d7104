"""Skipping rules whose words are not there: nothing that could match is missed, and all is told."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rules.engine import Reading, read
from router.rules.facts import Facts
from router.rules.loading import build_rules
from router.rules.model import Names, RuleSet
from router.rules.policy import Policy
from router.rules.trace import packed, unpacked
from router.toml import loads

Rules = Callable[..., RuleSet]

WORDS = ("hola", "pedido", "factura", "roto", "juicio", "precio")
NAMES = Names(channels=frozenset({"phone", "web"}), backends=frozenset({"assistant"}))
CONDITIONS = (
    'text.words = "{0}"',
    'text.words = ["{0}", "{1}"]',
    'text.all_words = ["{0}", "{1}"]',
    'text.lexicon = "l"',
    'turn.text.words = "{0}"',
    'text.contains = "{0}"',
    "attachments.at_least = 1",
    'conversation.tag = "seen"',
    'any = [{{ text.words = "{0}" }}, {{ turn.text.words = "{1}" }}]',
    'any = [{{ text.words = "{0}" }}, {{ attachments.at_least = 1 }}]',
    'all = [{{ text.words = "{0}" }}, {{ text.words = "{1}" }}]',
    'any = [{{ text.words = "{0}", attachments = 0 }}, {{ text.lexicon = "l" }}]',
    'unless.text.words = "{0}"',
    "category.present = true",
)
GUARDRAILS = """
[[guardrail]]
id = "shouting"
stage = "input"
when.text.words = "roto"
when.text.contains = "juicio"
then.tag = "loud"
then.ticket = { queue = "support" }

[[guardrail]]
id = "elsewhere"
stage = "input"
channels = "web"
when.conversation.tag = "seen"
then.no_ai = true
"""

condition = st.builds(
    lambda form, one, two: form.format(one, two),
    st.sampled_from(CONDITIONS),
    st.sampled_from(WORDS),
    st.sampled_from(WORDS),
)


@st.composite
def rule_files(draw: st.DrawFn) -> str:
    lines = ['default.answer = "assistant"', '[lexicon.l]\nany = ["precio", "hola"]']
    lines.append('[category.A]\nrisk = "low"')
    for number in range(draw(st.integers(1, 8))):
        lines.append(f'[[rule]]\nid = "r{number}"')
        if draw(st.booleans()):
            lines.append(draw(st.sampled_from(['channels = "web"', 'on = ["message", "echo"]'])))
        stated = {each.split(" ")[0]: each for each in draw(st.lists(condition, max_size=3))}
        lines += [each if each.startswith("unless") else f"when.{each}" for each in stated.values()]
        effects = ['then.tag = "seen"', 'then.set.category = "A"', "then.stop = true"]
        decides = ['then.ignore = "x"', 'then.reply.text = "Hola"']
        # What always decides would hide the rules behind it.
        lines.append(draw(st.sampled_from(effects + (decides if stated else []))))
    return "\n".join(lines)


@given(
    rule_files(),
    st.lists(st.sampled_from(WORDS), max_size=3),
    st.lists(st.sampled_from(WORDS), max_size=2),
    st.integers(0, 1),
    st.sampled_from(["message", "echo", "idle"]),
)
def test_what_is_skipped_could_not_have_matched(
    text: str, said: list[str], before: list[str], attachments: int, kind: str
) -> None:
    rules = build_rules([loads(text, "rules.toml")], NAMES)
    facts = Facts(
        {
            "event.kind": kind,
            "text": " ".join(said),
            "turn.text": " ".join([*before, *said]),
            "attachments": attachments,
            "channel": "phone",
            "conversation.tag": frozenset(),
        }
    )

    skipping, looking = (read(rules, Policy(), facts, every=every) for every in (False, True))

    assert skipping.decision == looking.decision
    assert skipping.ask == looking.ask
    assert skipping.added == looking.added
    assert skipping.trace.get("near") == looking.trace.get("near")
    assert [entry[:2] for entry in told(skipping)] == [entry[:2] for entry in told(looking)]
    assert matched(skipping) == matched(looking)
    # What a trace says has stopped a rule does not hold.
    conditions = looking.trace["conditions"]
    for entry in told(skipping):
        if entry[1] == "-" and "category" not in entry[3] and "conversation.tag" not in entry[3]:
            assert [entry[2], False] in [seen[:2] for seen in conditions[entry[0]]]


def told(reading: Reading) -> list[Any]:
    return list(reading.trace["triage"])


def matched(reading: Reading) -> list[Any]:
    return [entry for entry in told(reading) if entry[1] == "+"]


@given(
    rule_files(),
    st.lists(st.sampled_from(WORDS), max_size=3),
    st.sampled_from(["phone", "web"]),
    st.sampled_from(["", "a" * 3000]),
)
def test_a_stored_trace_is_read_back_as_it_was(
    text: str, said: list[str], channel: str, more: str
) -> None:
    rules = build_rules([loads(text + GUARDRAILS, "rules.toml")], NAMES)
    facts = Facts({"event.kind": "message", "text": " ".join(said), "channel": channel})
    trace = {**read(rules, Policy(), facts).trace, "more": more}

    assert packed(trace) == packed(trace)
    assert unpacked(packed({**trace, "settings": "abc"})) == {
        **json.loads(json.dumps(trace)),
        "settings": "abc",
    }


def test_a_trace_without_rules_is_stored_too() -> None:
    assert unpacked(packed({"steps": ["ñ \ud800"]})) == {"steps": ["ñ ?"]}


def test_what_is_no_trace_is_refused() -> None:
    with pytest.raises(ValueError, match="incorrect header"):
        unpacked(b"rubbish")


def test_the_trace_of_a_message_that_no_rule_is_for_is_small(rules_of: Rules) -> None:
    rules = rules_of(
        "".join(
            f'[[rule]]\nid = "rule-{n}"\nwhen.text.lexicon = "l{n % 9}"\nthen.tag = "t{n}"\n'
            for n in range(60)
        )
        + "".join(f'[lexicon.l{n}]\nany = ["palabra{n}", "otra{n}"]\n' for n in range(9))
    )
    facts = Facts({"event.kind": "message", "text": "hola " * 5000, "channel": "phone"})

    assert len(packed(read(rules, Policy(), facts).trace)) < 800


def test_a_condition_that_looks_at_nothing_is_always_asked(rules_of: Rules) -> None:
    from dataclasses import replace

    from router.rules.conditions import Condition

    rules = rules_of('[[rule]]\nid = "r"\nwhen.text.words = "hola"\nthen.tag = "x"')
    asked: list[Facts] = []

    def watch(facts: Facts) -> bool:
        asked.append(facts)
        return True

    rule = rules.rules[0]
    watched = replace(rule, conditions=(Condition(watch, "", ()), *rule.conditions))
    read(replace(rules, rules=(watched,)), Policy(), Facts({"text": "nada"}))

    assert asked
