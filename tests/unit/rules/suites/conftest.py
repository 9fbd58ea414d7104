"""What the tests of suites have in common: rules in files, and suites about them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from router.rules.loading import load_rules
from router.rules.model import Names
from router.rules.policy import Policy
from router.rules.suites.model import Subject, Suite
from router.rules.suites.reading import load_suites
from router.rules.suites.subjects import Subjects


@pytest.fixture
def subject_of(tmp_path: Path, names: Names) -> Callable[..., Subject]:
    """Give the rules of a text; ``default.answer = "assistant"`` is put before it."""

    def build(
        text: str,
        *,
        policy: Policy | None = None,
        name: str = "rules.toml",
        default: str = 'default.answer = "assistant"',
    ) -> Subject:
        file = tmp_path / name
        file.write_text(f"{default}\n{text}", encoding="utf-8")
        return Subject(
            tenant="main",
            files=(file,),
            rules=load_rules([file], names),
            names=names,
            policy=policy or Policy(mode="autopilot"),
        )

    return build


@pytest.fixture
def suite_of(tmp_path: Path, subject_of: Callable[..., Subject]) -> Callable[..., Suite]:
    """Give a suite about the rules of a text."""

    def build(rules: str, cases: str, *, policy: Policy | None = None) -> Suite:
        file = tmp_path / "rules.test.toml"
        file.write_text(cases, encoding="utf-8")
        subject = subject_of(rules, policy=policy)
        [suite] = load_suites([file], Subjects({"main": subject}))
        return suite

    return build
