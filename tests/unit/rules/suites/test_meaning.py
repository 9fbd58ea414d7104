"""Meaning: what is taken for the same does the same, whatever a customer writes."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.rules.facts import Facts
from router.rules.loading import build_rules
from router.rules.model import Names, Rule
from router.rules.policy import Policy
from router.rules.suites.leaves import Compiler, leaves, table_of
from router.rules.suites.meaning import Meaning
from router.rules.suites.model import Subject
from router.rules.suites.mutators import _Maker
from router.toml import loads

PHRASES = ("pedido", "mi pedido", "pedid*", "mi ... pedido", "pedido roto", "roto", "Mí", "rot*")
TEXTS = (
    "",
    "pedido",
    "pedidos",
    "mi pedido",
    "mi gran pedido",
    "mi muy gran y viejo pedido",
    "mi pedido roto",
    "pedido muy roto",
    "rotos",
    "mi roto",
    "mi",
)

lists = st.lists(st.sampled_from(PHRASES), min_size=1, max_size=4)
operators = st.sampled_from(["words", "all_words", "contains", "starts_with", "equals", "lexicon"])


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    kinds = ["text", "number", *(["any", "all", "unless"] if depth else [])]
    found: dict[str, Any] = {}
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=2, unique=True)):
        if kind == "text":
            operator = draw(operators)
            value = "things" if operator == "lexicon" else draw(lists)
            found["text"] = {operator: value}
            if draw(st.booleans()) and operator != "lexicon":
                found["text"]["exact"] = True
        elif kind == "number":
            operator = draw(st.sampled_from(["above", "below", "at_least", "at_most", "present"]))
            limit = True if operator == "present" else draw(st.integers(0, 2))
            found["attachments"] = {operator: limit}
        elif kind == "unless":
            found["unless"] = draw(conditions(depth=depth - 1))
        else:
            inner = conditions(depth=depth - 1)
            found[kind] = draw(st.lists(inner, min_size=1, max_size=3))
    return found


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {toml(each)}' for key, each in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def subject_of(table: dict[str, Any], kind: str) -> Subject:
    then = 'then.tag = "x"' if kind == "rule" else 'then.ticket = {}\nstage = "input"'
    text = (
        'default.ignore = "x"\n[lexicon.things]\nany = ["pedido", "mi pedido", "rot*"]\n'
        f'[[{kind}]]\nid = "r"\nwhen = {toml(table)}\n{then}\n'
    )
    return Subject(
        tenant="main",
        files=(Path(tempfile.gettempdir()),),
        rules=build_rules([loads(text, "rules.toml")], Names()),
        names=Names(),
        policy=Policy(),
    )


def holds(compiler: Compiler, what: Any, table: dict[str, Any]) -> list[bool]:
    found = compiler.conditions(what, table)
    assert found is not None
    return [
        all(condition.test(Facts({"text": text, "attachments": number})) for condition in found)
        for text in TEXTS
        for number in (None, 0, 1, 2, 3)
    ]


@pytest.mark.parametrize("kind", ["rule", "guardrail"])
@example(  # a missing value is nothing that is counted, and makes a guardrail hold
    table={
        "attachments": {"present": True},
        "any": [{"unless": {"attachments": {"above": 0}}, "attachments": {"at_least": 0}}],
    }
)
@given(table=conditions())
def test_a_mistake_that_is_left_out_makes_no_difference(kind: str, table: dict[str, Any]) -> None:
    subject = subject_of(table, kind)
    [what] = subject.all_rules
    maker = _Maker(subject)
    meaning = Meaning(maker.compiler, guard=not isinstance(what, Rule))
    own = table_of(what.place)
    before = holds(maker.compiler, what, own)

    for _, _, _, changed, _, _, _ in maker._tables(own):
        if meaning.of(changed) == meaning.of(own):
            assert holds(maker.compiler, what, changed) == before


@given(table=conditions())
def test_the_conditions_that_are_found_are_those_that_are_compiled(table: dict[str, Any]) -> None:
    subject = subject_of(table, "rule")
    [rule] = subject.rules.rules
    compiler = Compiler(subject)

    found = list(leaves(table_of(rule.place)))

    compiled = {path for condition in rule.conditions for path in condition.fields}
    assert {leaf.dotted for leaf in found} == compiled
    assert all(len(compiler.conditions(rule, leaf.alone()) or ()) == 1 for leaf in found)
