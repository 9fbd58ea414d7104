"""The guide to the rules: its examples run, its reference is the language's own."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from router.rules.examples import run_examples
from router.rules.fields import FIELDS, OPERATORS
from router.rules.loading import build_rules, load_rules
from router.rules.model import Names, RuleSet
from router.rules.policy import Policy
from router.rules.reference import insert, main, reference
from router.toml import loads

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "rules" / "README.md"
BLOCKS = re.findall(
    r"^```toml\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
NAMES = Names(
    channels=frozenset({"phone"}),
    backends=frozenset({"assistant"}),
)


PACK = [ROOT / "rules" / f"{name}.toml" for name in ("triage", "pt", "en", "guardrails")]


def shipped() -> RuleSet:
    return load_rules(PACK, NAMES)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_of_the_guide_loads_and_does_what_it_says(number: int) -> None:
    rules = build_rules([loads(BLOCKS[number], f"block {number + 1}")], NAMES)

    assert rules.examples
    assert [str(problem) for problem in run_examples(rules, Policy())] == []


def test_the_reference_in_the_guide_is_the_language_as_it_is() -> None:
    text = GUIDE.read_text(encoding="utf-8")

    assert insert(text) == text, "run: python -m router.rules.reference rules/README.md"


def test_the_reference_names_every_field_and_operator() -> None:
    text = reference()

    assert [name for name in (*FIELDS, *OPERATORS) if f"| `{name}` |" not in text] == []


def test_a_page_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="marker"):
        insert("no place")


def test_the_reference_is_written_or_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    guide = GUIDE.read_text(encoding="utf-8")
    page.write_text(guide.replace(reference(), "old"), encoding="utf-8")

    assert main([str(page)]) == 0
    assert page.read_text(encoding="utf-8") == guide
    assert main([]) == 0
    assert capsys.readouterr().out == f"{reference()}\n"


@pytest.mark.parametrize("mode", ["assisted", "autopilot"])
def test_the_examples_of_the_shipped_pack_pass(mode: str) -> None:
    policy = Policy(mode="autopilot") if mode == "autopilot" else Policy()

    assert [problem.render() for problem in run_examples(shipped(), policy)] == []


def test_every_shipped_rule_has_an_example() -> None:
    rules = shipped()
    expected = {example.expect.get("rule") for example in rules.examples}
    ids = {rule.id for rule in rules.rules} | {each.id for each in rules.guardrails}

    assert ids - expected == set()


def test_the_shipped_pack_means_the_same_whatever_the_order_of_its_files() -> None:
    for order in permutations(PACK):
        assert run_examples(load_rules(order, NAMES), Policy()) == []


def test_the_spanish_pack_stands_alone() -> None:
    alone = load_rules([PACK[0], PACK[-1]], NAMES)

    assert run_examples(alone, Policy()) == []


@pytest.mark.parametrize("country", ["ar", "cl", "co", "es", "mx", "pe"])
def test_a_country_stands_before_the_pack(country: str) -> None:
    rules = load_rules([ROOT / "rules" / "countries" / f"{country}.toml", *PACK], NAMES)

    assert run_examples(rules, Policy()) == []


def stated(value: object) -> Iterator[object]:
    """Give every text that the customer may be told."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key in {"text", "say"}:
                yield below
            else:
                yield from stated(below)


def test_the_shipped_pack_states_every_text_in_three_languages() -> None:
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in PACK]
    rules = [
        each for table in tables for key in ("rule", "guardrail") for each in table.get(key, ())
    ]

    texts = [text for each in rules for text in stated(each["then"])]

    assert texts
    assert all(isinstance(text, dict) and text.keys() >= {"es", "pt", "en"} for text in texts)


def test_importing_the_rules_brings_nothing_heavy() -> None:
    code = (
        "import sys, router.rules.loading, router.rules.decide\n"
        "print([m for m in ('jinja2', 'pydantic', 'tree_sitter', 'tomli', 'holidays',"
        " 'phonenumbers', 'stdnum') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert done.stdout == "[]\n"
