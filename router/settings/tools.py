"""The tools of AI backends: whether the actions that a table names may be used as such."""

from collections.abc import Callable, Mapping
from typing import Any

from router.plugin.registry import Registration
from router.settings.model import Group
from router.settings.sources import Table
from router.settings.validation import Findings, unconfigured
from router.toml import Problem

KindOf = Callable[[Group, Table], Registration[Any] | None]


def check_tools(
    backends: Mapping[str, Table], actions: Mapping[str, Table], kind: KindOf, found: Findings
) -> None:
    """Report every tool that is none, and tables of backends that use none.

    :param kind: gives the kind that a table names, if there is one.
    """
    for table in backends.values():
        names = table.values.get("tools")
        if not isinstance(names, list) or not names:
            continue
        backend = kind("ai", table)
        if backend is None:
            continue  # reported already
        if not getattr(backend.factory, "calls_tools", False):
            found.problems.append(
                (table.place / "tools").problem(
                    f'AI backends of the type "{backend.kind}" use no tools', "Leave tools out."
                )
            )
            continue
        for index, name in enumerate(names):
            if isinstance(name, str):
                problem = _problem(table, index, name, actions, kind)
                found.problems += [] if problem is None else [problem]


def _problem(
    table: Table, index: int, name: str, actions: Mapping[str, Table], kind: KindOf
) -> Problem | None:
    place, action = table.place / "tools" / index, actions.get(name)
    if action is None:
        return unconfigured(place, "action", name, "actions", actions)
    registration = kind("actions", action)
    if registration is None:
        return None  # reported already
    if not getattr(registration.factory, "reads_only", False):
        return place.problem(
            f'the action "{name}" is no tool: one of the type "{registration.kind}" may change '
            "something",
            'Name only what looks something up, such as an action of the type "lookup".',
            part="value",
        )
    described = action.values.get("description")
    if isinstance(described, str) and described.strip():
        return None
    return place.problem(
        f'nothing says what the action "{name}" is for, and a model goes by that',
        f'Write description = "…" in [actions.{name}].',
        part="value",
    )
