"""Rules about conversations gone quiet: whether what they say can leave by then."""

from collections.abc import Callable
from typing import Any

from router.plugin.registry import Registration
from router.rules.durations import duration_text
from router.rules.model import Rule, RuleSet, SayReply
from router.settings.model import Group
from router.settings.sources import Table
from router.settings.tenants import Draft
from router.settings.validation import Findings

KindOf = Callable[[Group, Table], Registration[Any] | None]


def check_idle(draft: Draft, rules: RuleSet | None, kind: KindOf, found: Findings) -> None:
    """Warn of texts that are said when a conversation closes, after its channel's window has.

    :param kind: gives the kind that a table names, if there is one.
    """
    quiet = draft.policy.idle_close
    for rule in () if rules is None else filter(_says_text, rules.rules):
        for name, table in draft.channels.items():
            if rule.gate.channels is not None and name not in rule.gate.channels:
                continue
            registration = kind("channels", table)
            # Some plugins learn from their settings how long the window is; that is not known here.
            can = getattr(registration and registration.factory, "capabilities", None)
            if can is None or can.window is None or quiet < can.window:
                continue
            found.warnings.append(
                rule.place.problem(
                    f'this text never leaves by "{name}": its window shuts after '
                    f"{duration_text(can.window)}, and idle_close is {duration_text(quiet)}",
                    "Reply by template, or make idle_close shorter than the window.",
                    below=("then", "reply"),
                )
            )
            break


def _says_text(rule: Rule) -> bool:
    said = rule.decider
    return "idle" in rule.gate.kinds and isinstance(said, SayReply) and said.template is None
