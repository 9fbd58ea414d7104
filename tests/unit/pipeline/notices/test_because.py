"""Every reason that the router gives of itself is said in the language of the page."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.pipeline.notices.because import REASONS, in_words
from router.web.texts import TEXTS

ROOT = Path(__file__).parents[4] / "router"
#: Where decisions and drafts get their reasons.
SOURCES = (
    *(f"rules/{name}.py" for name in ("engine", "decide", "steps", "effects")),
    *(f"pipeline/triage/{name}.py" for name in ("case", "quiet", "triage", "turns")),
)
#: What gives reasons, or is given them, under other names.
GIVERS = {"apply_mode", "_superseded", "failed"}
NAMES = {"because", "reason", "QUIET", "DOES_NOT_KNOW", "NOTHING_TO_DO"}


def made(node: ast.AST) -> Iterator[ast.expr]:
    """Give what becomes a reason by one piece of code."""
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
            for name, value in zip(names, values, strict=True):
                yield from made(ast.Assign([name], value))
        case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=value):
            if value is not None and named(target) in NAMES:
                yield from value.values if isinstance(value, ast.Dict) else [value]
        case ast.keyword(arg="because", value=value):
            yield value
        case ast.FunctionDef(name=name) if name in GIVERS:
            yield from (
                it.value for it in ast.walk(node) if isinstance(it, ast.Return) and it.value
            )
        case ast.Call(func=function, args=arguments) if named(function) in GIVERS:
            yield from arguments


def named(node: ast.expr) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def sentences(tree: ast.Module) -> Iterator[str]:
    """Give each literal that becomes a reason, with ``{}`` for what is put in."""
    for node in ast.walk(tree):
        yield from (said for it in made(node) if (said := literal(it)) is not None and " " in said)


def literal(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (it.value if isinstance(it, ast.Constant) else "{}" for it in node.values)
        return "".join(map(str, parts))
    return None


def found() -> list[str]:
    """Give every sentence, with something put in; who decided is the default or a rule."""
    said = set()
    for name in SOURCES:
        for each in sentences(ast.parse((ROOT / name).read_text())):
            for who in ('the rule "x"', "the default") if each.startswith("{} ") else ("x",):
                said.add(re.sub(r"\{\}", "x", each.replace("{}", who, 1)))
    return sorted(said)


def test_reasons_are_found_where_they_are_made() -> None:
    assert len(found()) > 25


@pytest.mark.parametrize("language", sorted(TEXTS.keys() - {"en"}))
@pytest.mark.parametrize("sentence", found())
def test_a_reason_is_said_in_the_language_of_the_page(sentence: str, language: str) -> None:
    assert in_words(sentence, language) != sentence
    assert in_words(sentence, "en") == sentence


def test_what_is_put_in_stays_as_it_is() -> None:
    said = in_words('the rule "horarios" writes to the customer through "whatsapp"', "es")

    assert said == "la regla «horarios» escribe al cliente por «whatsapp»"


@pytest.mark.parametrize(
    "reason", ["", "el cliente pide una persona", "{rule}", "the rule decided"]
)
def test_what_a_rule_or_a_person_wrote_stays_as_it_is(reason: str) -> None:
    assert in_words(reason, "es") == reason


def test_every_sentence_is_there_in_every_language_with_the_same_values() -> None:
    def holes(text: str) -> list[str]:
        return sorted(re.findall(r"\{(\w+)\}", text))

    for sentence, said in REASONS.items():
        assert said.keys() == TEXTS.keys() - {"en"}, sentence
        assert all(holes(text) == holes(sentence) for text in said.values()), sentence
