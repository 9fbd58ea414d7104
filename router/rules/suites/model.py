"""Suites as read and checked: what comes in, what is expected, and which rules it is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.rules.model import Guardrail, Names, Place, Rule, RuleSet
from router.rules.policy import Policy
from router.toml import Part

#: How the files are called, beside the rules that they are about.
PATTERN = "*.test.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The rules that a suite is about, and whose they are.

    :param files: in reading order.
    """

    tenant: str
    files: tuple[Path, ...]
    rules: RuleSet
    names: Names
    policy: Policy

    @property
    def all_rules(self) -> tuple[Rule | Guardrail, ...]:
        """The rules and the guardrails."""
        return (*self.rules.rules, *self.rules.guardrails)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that comes in, and what has to become of it.

    :param facts: those that the case states; others are as in an example.
    :param answer: what the backend answers, where the case says so.
    :param expect: by key of :data:`router.rules.suites.expecting.EXPECT`; never empty.
    :param part: which part of its place the case is pointed at by.
    """

    name: str
    facts: Mapping[str, object]
    answer: Mapping[str, Any] | None
    expect: Mapping[str, Any]
    policy: Policy
    place: Place
    part: Part = "key"

    @property
    def where(self) -> str:
        """The place as ``file:line:column``."""
        at = self.place.document.locate(self.place.key_path, self.part)
        return f"{self.place.document.path}:{at.line}:{at.column}"

    @property
    def line(self) -> int:
        """The line in its file, from 1."""
        return self.place.document.locate(self.place.key_path, self.part).line


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """A mutant that is said to change nothing, and why."""

    mutant: str
    because: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The cases of one file; of a rules file they are its examples."""

    path: Path
    subject: Subject
    cases: tuple[Case, ...]
    exempt: tuple[Exemption, ...] = ()
