"""``python -m tests.bench --only triage``: how well rules alone tell what customers want.

Precision, recall and macro-F1 of the shipped rules on the corpus in ``tests/corpus``, and how
often a guardrail stops what is harmless. Nothing is timed: the same rules give the same numbers.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from router.domain.answer import Completion
from router.plugin.loading import load_plugins
from router.rules.decide import conclude
from router.rules.engine import Reading, read
from router.rules.facts import Facts
from router.rules.model import OTHER, RuleSet
from router.rules.policy import Policy
from router.settings.loading import load_settings

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus"
CATEGORIES = (
    "OTHER", "SMALLTALK", "INFO", "SALES", "TRACKING",
    "BILLING", "COMPLAINT", "HUMAN", "LEGAL", "OPT_OUT",
)  # fmt: skip
KINDS = ("plain", "no-accents", "typo", "slang", "voice-note", "voseo", "trap")
HALVES = ("tune", "held")
_POLICY = Policy(mode="autopilot")


def half(text: str) -> str:
    """Give the half that a text belongs to, whoever asks and whenever."""
    return HALVES[hashlib.sha256(text.encode()).digest()[-1] % 2]


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a customer wrote, and the category that it has for people."""

    category: str
    language: str
    country: str
    kind: str
    text: str

    @property
    def half(self) -> str:
        return half(self.text)


@dataclass(frozen=True, slots=True)
class Harmless:
    """What no guardrail may stop: a customer's message, or a model's answer."""

    side: str
    language: str
    text: str

    @property
    def half(self) -> str:
        return half(self.text)


def _rows(name: str) -> list[dict[str, str]]:
    with (CORPUS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def utterances() -> list[Utterance]:
    """Give every labelled utterance, in the order of the file."""
    return [Utterance(**row) for row in _rows("triage.tsv")]


def harmless() -> list[Harmless]:
    """Give every harmless text, in the order of the file."""
    return [Harmless(**row) for row in _rows("harmless.tsv")]


@lru_cache(maxsize=1)
def shipped() -> RuleSet:
    """Give the rules of the shipped ``router.toml``."""
    settings = load_settings(ROOT / "router.toml", load_plugins(), run=True, environ={})
    return settings.tenants["main"].rules


def reading(rules: RuleSet, text: str) -> Reading:
    """Read the rules about a new customer's first message."""
    facts: dict[str, Any] = {
        "event.kind": "message",
        "text": text,
        "turn.text": text,
        "turn.messages": 1,
        "attachments": 0,
        "attachments.kind": frozenset(),
        "contact.tag": frozenset(),
        "contact.opted_out": False,
        "contact.new": True,
        "conversation.owner": "bot",
        "conversation.status": "active",
        "conversation.bot_turns": 0,
        "conversation.tag": frozenset(),
        "conversation.open_ticket": False,
        "tenant": "main",
        "channel": "phone",
        "language": "es",
    }
    return read(rules, _POLICY, Facts(facts))


def category(rules: RuleSet, text: str) -> str:
    """Give the category that the rules alone find; no category is OTHER."""
    return reading(rules, text).category or OTHER


@dataclass(frozen=True, slots=True)
class Score:
    """Of one category: how many were meant, found, and both."""

    meant: int
    found: int
    right: int

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.meant if self.meant else 0.0

    @property
    def f1(self) -> float:
        both = self.meant + self.found
        return 2 * self.right / both if both else 0.0


Pair = tuple[str, str]


def scores(pairs: Iterable[Pair]) -> dict[str, Score]:
    """Give the score of each category that is meant, from (meant, found)."""
    pairs = list(pairs)
    meant = Counter(pair[0] for pair in pairs)
    found = Counter(pair[1] for pair in pairs)
    right = Counter(pair[0] for pair in pairs if pair[0] == pair[1])
    return {
        each: Score(meant[each], found[each], right[each]) for each in CATEGORIES if meant[each]
    }


def macro_f1(pairs: Iterable[Pair]) -> float:
    """Give the mean F1 over the categories that are meant."""
    of_each = scores(pairs).values()
    return sum(each.f1 for each in of_each) / len(of_each) if of_each else 0.0


def judged(rules: RuleSet, corpus: Sequence[Utterance]) -> list[tuple[Utterance, str]]:
    """Give each utterance with the category that the rules find."""
    return [(each, category(rules, each.text)) for each in corpus]


def stopped(rules: RuleSet, each: Harmless) -> list[str]:
    """Give the guardrails that hold for something harmless; there should be none."""
    if each.side == "message":
        entries = reading(rules, each.text).trace.get("input", ())
        return [entry[0] for entry in entries if entry[1] == "+"]
    asked = reading(rules, "¿Me ayudan con una duda?")
    if asked.ask is None:
        return ["default"]
    facts = Facts({"event.kind": "message", "text": "…", "language": each.language})
    completion = Completion(text=each.text, confidence=0.9, category="INFO", citations=("a#1",))
    trace = conclude(rules, _POLICY, facts, asked, completion).trace
    return [entry[0] for entry in trace.get("guards", ()) if entry[1] == "+"]


# The report ───────────────────────────────────────────────────────────────────────────────────


def measure() -> dict[str, Any]:
    """Give every number, as JSON would have it."""
    rules = shipped()
    found: dict[str, Any] = {}
    all_judged = judged(rules, utterances())
    alarms = [(each, stopped(rules, each)) for each in harmless()]
    for name in HALVES:
        here = [pair for pair in all_judged if pair[0].half == name]
        found[name] = {
            "messages": len(here),
            "macro_f1": macro_f1(_pairs(here)),
            "accuracy": sum(a.category == b for a, b in here) / len(here),
            "category": {
                key: {"precision": each.precision, "recall": each.recall, "f1": each.f1}
                for key, each in scores(_pairs(here)).items()
            },
            "language": _by(here, lambda each: each.language),
            "country": _by(here, lambda each: each.country),
            "kind": _by(here, lambda each: each.kind),
            "false_alarms": _rate([hit for each, hit in alarms if each.half == name]),
        }
    return found


def _rate(hits: Sequence[Sequence[str]]) -> dict[str, Any]:
    wrong = sum(bool(each) for each in hits)
    return {"texts": len(hits), "stopped": wrong, "rate": wrong / len(hits)}


def _pairs(found: Iterable[tuple[Utterance, str]]) -> list[Pair]:
    return [(each.category, category_) for each, category_ in found]


def _by(
    found: Sequence[tuple[Utterance, str]], key: Callable[[Utterance], str]
) -> dict[str, dict[str, float]]:
    groups: dict[str, list[Pair]] = {}
    for each, category_ in found:
        groups.setdefault(key(each), []).append((each.category, category_))
    return {
        name: {
            "messages": len(groups[name]),
            "accuracy": sum(a == b for a, b in groups[name]) / len(groups[name]),
            "macro_f1": macro_f1(groups[name]),
        }
        for name in sorted(groups)
    }


def table(found: dict[str, Any]) -> str:
    """Give the numbers as people read them."""
    lines = ["Triage by the shipped rules alone", ""]
    lines.append(f"{'':12} {'messages':>9} {'macro-F1':>9} {'accuracy':>9} {'false alarms':>14}")
    for name in HALVES:
        here = found[name]
        alarm = here["false_alarms"]
        alarms = f"{alarm['stopped']} of {alarm['texts']}"
        lines.append(
            f"{name:12} {here['messages']:9} {here['macro_f1']:9.3f} {here['accuracy']:9.3f}"
            f" {alarms:>14}"
        )
    lines += ["", f"{'':12}" + "".join(f" {f'{n}: P':>8} {'R':>6} {'F1':>6}" for n in HALVES)]
    for each in CATEGORIES:
        row = f"{each:12}"
        for name in HALVES:
            of = found[name]["category"][each]
            row += f" {of['precision']:8.3f} {of['recall']:6.3f} {of['f1']:6.3f}"
        lines.append(row)
    for key in ("language", "country", "kind"):
        lines += [
            "",
            f"{key:12}" + "".join(f" {f'{n}: n':>8} {'acc':>6} {'F1':>6}" for n in HALVES),
        ]
        for each in sorted({*found["tune"][key], *found["held"][key]}):
            row = f"{each:12}"
            for name in HALVES:
                of = found[name][key].get(each)
                row += (
                    f" {of['messages']:8} {of['accuracy']:6.3f} {of['macro_f1']:6.3f}"
                    if of
                    else f" {0:8} {'':6} {'':6}"
                )
            lines.append(row)
    return "\n".join(lines)


def errors() -> str:
    """Give what is wrong on the tune half; the other half's errors are nobody's to see."""
    rules = shipped()
    lines = [
        f"{each.category:10} seen as {found:10} {each.country} {each.kind:10} {each.text}"
        for each, found in judged(rules, utterances())
        if each.half == "tune" and each.category != found
    ]
    lines += [
        f"{each.side} stopped by {', '.join(hits)}: {each.text}"
        for each in harmless()
        if each.half == "tune" and (hits := stopped(rules, each))
    ]
    return "\n".join(lines)
