"""Asking guardrails: which of them hold, the most careful last."""

from collections.abc import Sequence

from router.domain.decision import Outcome
from router.rules import trace as tracing
from router.rules.facts import Facts
from router.rules.model import CARE, Guardrail

#: What a condition may fail with when a value is not of its field's type.
_UNABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError)


def held(
    guardrails: Sequence[Guardrail], facts: Facts, entries: list[tracing.Entry]
) -> list[Guardrail]:
    """Ask every guardrail, and give those that hold, the most careful last.

    The order of the files never matters: among equals the alphabet decides. A guardrail that
    cannot be asked holds: nobody knows that it does not.
    """
    if not guardrails:
        return []
    kind, channel, language = gate_facts(facts)
    found: list[Guardrail] = []
    for guardrail in guardrails:
        stop = guardrail.gate.stops(kind, channel, language)
        if stop is not None:
            entries.append(tracing.skipped(guardrail, stop))
            continue
        try:
            miss = next(
                (n for n, it in enumerate(guardrail.conditions) if not it.test(facts)), None
            )
        except _UNABLE as error:
            entries.append(tracing.broken(guardrail, error))
            found.append(guardrail)
            continue
        if miss is not None:
            ready = guardrail.missed[miss]
            entries.append(ready or tracing.failed(guardrail, guardrail.conditions[miss], facts))
            continue
        entries.append(tracing.matched(guardrail, facts))
        found.append(guardrail)
    return sorted(found, key=_care)


def gate_facts(facts: Facts) -> tuple[str, str, str]:
    """Give what gates look at: the kind, the channel, and the language without its region."""
    known = facts.values
    kind, channel = str(known.get("event.kind", "")), str(known.get("channel", ""))
    language = str(known.get("language", "")).casefold().partition("-")[0]
    return kind or "message", channel, language


def _care(guardrail: Guardrail) -> tuple[int, str]:
    return CARE.get(type(guardrail.verdict), Outcome.IGNORE), guardrail.id
