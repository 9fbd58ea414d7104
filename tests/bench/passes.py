"""``python -m tests.bench.passes``: what one message costs the rules, without a store.

A full pass: the facts, folding, the phrases of 200 rules, the guardrails, the reading, the trace
as it is stored. Every message is measured alone, by a clock of nanoseconds, and the median given.
"""

import argparse
import json
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from router.domain.conversation import Contact, Conversation, Turn, TurnMessage
from router.domain.identity import Address
from router.pipeline.triage.facts import message_facts, speaking, thread_facts
from router.rules.engine import read
from router.rules.loading import build_rules
from router.rules.model import Names, RuleSet
from router.rules.policy import Policy
from router.rules.trace import packed
from router.toml import loads
from tests.bench.goals import Goal, table

RULES = 200
_WARM = 100
_SYLLABLES = (
    "ba",
    "be",
    "ca",
    "co",
    "da",
    "de",
    "fa",
    "go",
    "la",
    "lo",
    "ma",
    "mi",
    "no",
    "pa",
    "ra",
    "ta",
)
_NAMES = Names(channels=frozenset({"phone"}), backends=frozenset({"assistant"}))
_POLICY = Policy(timezone="America/Bogota")
_ADDRESS = Address("tel", "+573001234567")
_SIGNALS = """
[[rule]]
id = "signals"
when = { pii = "card", injection = true, frustration.above = 0.9 }
then.tag = "odd"
"""
_PERSON = """
[[rule]]
id = "person"
when.text.words = ["una persona", "un asesor"]
then.escalate = { to = "support", because = "the customer asks for a person" }
"""

GOALS = (
    Goal("nothing matches", "median_us", "us", 150, low=True),
    Goal("a rule matches", "median_us", "us", 150, low=True),
    Goal("nothing matches, signals", "median_us", "us", 150, low=True),
    Goal("stored trace", "bytes", "B", 5_000, low=True),
)
_QUIET = "Hola, buenas tardes, ¿me puede decir hasta qué hora abren los sábados? Gracias {0}"
_ASKS = "Hola, quiero hablar con una persona por favor, es sobre el caso {0}"


def rules(more: str = "") -> RuleSet:
    """Give 200 rules that wait for words, a third of them for those of a lexicon."""
    random = Random(7)

    def phrase() -> str:
        words = ("".join(random.choices(_SYLLABLES, k=3)) for _ in range(random.choice((1, 1, 2))))
        return " ".join(words)

    parts = ['default.answer = "assistant"']
    parts += [
        f"[lexicon.l{number}]\nany = {json.dumps([phrase() for _ in range(8)])}"
        for number in range(40)
    ]
    for number in range(RULES - more.count("[[rule]]")):
        words = json.dumps([phrase() for _ in range(3)])
        when = f'lexicon = "l{number % 40}"' if number % 3 == 0 else f"words = {words}"
        also = ("", 'when.conversation.owner = "bot"', 'unless.contact.tag = "vip"')[number % 3]
        parts.append(
            f'[[rule]]\nid = "rule-{number}"\nwhen.text.{when}\n{also}\nthen.tag = "t{number}"'
        )
    return build_rules([loads("\n".join([*parts, more]), "rules.toml")], _NAMES)


def one_pass(among: RuleSet, text: str, now: datetime) -> bytes:
    """Read the rules about one message of somebody, and give the trace as it is stored."""
    contact = Contact(id="c", key=str(_ADDRESS), name="Ana", language="es")
    thread = Conversation(id="t", contact=contact, channel="phone", address=_ADDRESS)
    message = TurnMessage(seq=1, text=text, received_at=now)
    turn = Turn(messages=(message,))
    thread = speaking(thread, turn.text, _POLICY)
    base = thread_facts(thread, tenant="main", policy=_POLICY, new=False, now=now)
    reading = read(among, _POLICY, message_facts(message, turn, now, base))
    return packed({**reading.trace, "settings": "0123456789abcdef"})


def _measure(among: RuleSet, text: str, seconds: float) -> dict[str, Any]:
    """Give the median of single messages: whoever else has the machine for a moment, it stands."""
    now = datetime.now(UTC)
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 2 * _WARM:
        said = text.format(len(times))
        began = time.perf_counter_ns()
        one_pass(among, said, now)
        times.append((time.perf_counter_ns() - began) / 1000)
    # The first compile patterns and make ready what every trace shares.
    return {"median_us": statistics.median(times[_WARM:]), "messages": len(times) - _WARM}


def measure(seconds: float = 2.0) -> dict[str, Any]:
    """Give each measure with its median in microseconds, and the size of a stored trace."""
    plain = rules(_PERSON)
    return {
        "nothing matches": _measure(plain, _QUIET, seconds),
        "a rule matches": _measure(plain, _ASKS, seconds),
        "nothing matches, signals": _measure(rules(_SIGNALS), _QUIET, seconds),
        "stored trace": {"bytes": len(one_pass(plain, _QUIET, datetime.now(UTC)))},
    }


def main() -> None:
    """Measure, print the table, write the numbers beside it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.passes", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measure")
    parser.add_argument("--json", type=Path, default=Path("build/bench-passes.json"))
    arguments = parser.parse_args()
    found = measure(arguments.seconds)
    print(table(f"one message, {RULES} rules", GOALS, found))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(found, indent=2))
    print(f"numbers: {arguments.json}")


if __name__ == "__main__":
    main()
