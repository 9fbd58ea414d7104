"""The guide to testing rules: its suite runs, its tables are what there is."""

import re
from pathlib import Path

from router.rules.examples import INPUTS
from router.rules.loading import load_rules
from router.rules.model import Names
from router.rules.policy import Policy
from router.rules.suites.expecting import EXPECT
from router.rules.suites.model import Subject
from router.rules.suites.mutators import MUTATORS
from router.rules.suites.reading import load_suites
from router.rules.suites.running import run
from router.rules.suites.subjects import Subjects

TEXT = (Path(__file__).parents[2] / "rules" / "TESTING.md").read_text(encoding="utf-8")
NAMES = Names(
    channels=frozenset({"phone"}),
    backends=frozenset({"assistant"}),
)


def block(kind: str) -> str:
    [found] = re.findall(rf"^```toml {kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def listed(header: str) -> list[str]:
    """Give what stands in the first column of the table with this header."""
    _, _, table = TEXT.partition(f"| {header} |")
    rows = [row for row in table.split("\n\n")[0].splitlines()[2:] if row.startswith("| ")]
    return [name for row in rows for name in re.findall(r"`(\w[\w-]*)`", row.split("|")[1])]


def test_the_suite_of_the_guide_passes(tmp_path: Path) -> None:
    rules, suite = tmp_path / "shop.toml", tmp_path / "shop.test.toml"
    rules.write_text(block("rules"), encoding="utf-8")
    suite.write_text(block("suite"), encoding="utf-8")
    subject = Subject(
        tenant="main",
        files=(rules,),
        rules=load_rules([rules], NAMES),
        names=NAMES,
        policy=Policy(),
    )

    results = run(load_suites([suite], Subjects({"main": subject})))

    assert [result.report() for result in results if not result.passed] == []
    assert len(results) == 7


def test_the_guide_lists_every_input() -> None:
    assert sorted(listed("input")) == sorted((*INPUTS, "given"))


def test_the_guide_lists_every_expectation() -> None:
    assert listed(["key", "holds if"][0]) == list(EXPECT)


def test_the_guide_lists_every_mutator() -> None:
    assert listed("mutant") == list(MUTATORS)


def test_the_exemption_of_the_guide_is_toml_that_a_suite_may_have(tmp_path: Path) -> None:
    [example] = re.findall(r"^```toml\n(\[\[equivalent\]\].*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    suite = tmp_path / "shop.test.toml"
    suite.write_text(
        f'[[case]]\nsay = "hola"\nexpect.decision = "ticket"\n{example}', encoding="utf-8"
    )
    subject = Subject(
        tenant="main", files=(), rules=load_rules([], NAMES), names=NAMES, policy=Policy()
    )

    [found] = load_suites([suite], Subjects({"main": subject}))

    assert [each.mutant for each in found.exempt] == ["greeting/swap/thanks"]
