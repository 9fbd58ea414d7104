"""``expect`` of a case, read and checked."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from router.rules.examples import DECISIONS
from router.rules.fields import RISKS, find
from router.rules.model import RuleSet
from router.rules.source import Source, listing
from router.toml import KeyPath, suggest

EXPECT: Final = (
    "rule",
    "no_rule",
    "by",
    "decision",
    "asked",
    "category",
    "risk",
    "priority",
    "language",
    "tag",
    "untag",
    "set",
    "reply",
    "no_reply",
    "says",
    "draft",
    "ticket",
    "escalate",
    "run",
    "opted_out",
)
TICKET: Final = ("queue", "title", "priority")
ESCALATE: Final = ("to", "because")


class Expecting:
    """Reads what a case expects; mistakes are noted.

    :param ids: of the rules and guardrails that there are.
    """

    def __init__(self, source: Source, rules: RuleSet) -> None:
        self._source = source
        self._ids = {"default", *(rule.id for rule in rules.rules)}
        self._ids |= {guardrail.id for guardrail in rules.guardrails}

    def read(self, path: KeyPath, value: object) -> dict[str, Any]:
        """Give what is expected, by key."""
        source = self._source
        table = source.table(path, value, EXPECT, "expect") or {}
        if isinstance(value, Mapping) and not value:
            source.problem(path, "this case expects nothing", "Add expect = { decision = … }.")
        found: dict[str, Any] = {}
        for key, each in table.items():
            if key in EXPECT:
                found[key] = self._one(key, each, (*path, key))
        return found

    def _one(self, key: str, value: object, path: KeyPath) -> Any:
        source = self._source
        if key in {"rule", "no_rule", "by"}:
            return self._rules(path, value, several=key != "by")
        if key == "decision":
            return source.choice(path, value, DECISIONS, "decision")
        if key == "asked":
            return source.backend(path, value)
        if key == "category":
            return source.category(path, value)
        if key == "risk":
            return source.choice(path, value, RISKS, "risk")
        if key == "priority":
            field = find("priority")
            choices = field.choices if field and field.choices else ()
            return source.choice(path, value, choices, "priority")
        if key == "language":
            return source.language(path, value)
        if key in {"tag", "untag", "reply", "no_reply"}:
            return tuple(source.strings(path, value) or ())
        if key == "says":
            return () if value == [] else tuple(source.strings(path, value) or ())
        if key == "opted_out":
            return source.flag(path, value)
        if key == "draft":
            return value if isinstance(value, bool) else source.string(path, value)
        if key == "set":
            return self._attributes(path, value)
        if key == "run":
            return self._actions(path, value)
        keys = TICKET if key == "ticket" else ESCALATE
        return value if isinstance(value, bool) else self._parts(path, value, keys)

    def _rules(self, path: KeyPath, value: object, *, several: bool) -> tuple[str, ...]:
        source = self._source
        if several:
            ids = source.strings(path, value) or []
        else:
            id_ = source.string(path, value)
            ids = [] if id_ is None else [id_]
        for index, id_ in enumerate(ids):
            if id_ not in self._ids:
                place = (*path, index) if isinstance(value, list) else path
                message = f'no rule or guardrail "{id_}" in the rules files'
                remedy = suggest(id_, self._ids) or f"Known: {listing(self._ids)}"
                source.problem(place, message, remedy, part="value")
        return tuple(ids)

    def _parts(self, path: KeyPath, value: object, keys: Collection[str]) -> dict[str, str]:
        source = self._source
        table = source.table(path, value, keys, f'"{path[-1]}"') or {}
        return {
            key: source.string((*path, key), each) or ""
            for key, each in table.items()
            if key in keys
        }

    def _attributes(self, path: KeyPath, value: object) -> dict[str, str]:
        """Read ``{ contact.attribute.NAME = "…" }`` by the whole path."""
        source = self._source
        found: dict[str, str] = {}
        for whose, table in (
            source.table(path, value, ("contact", "conversation"), '"set"') or {}
        ).items():
            here = (*path, whose)
            if whose not in {"contact", "conversation"}:
                continue
            inner = source.table(here, table, ("attribute",), f'"set.{whose}"') or {}
            stated = inner.get("attribute", {})
            if not isinstance(stated, dict):
                source.wrong((*here, "attribute"), "attribute", "a table", stated)
                continue
            for name, each in stated.items():
                text = source.string((*here, "attribute", name), each)
                found[f"{whose}.attribute.{name}"] = text or ""
        return found

    def _actions(self, path: KeyPath, value: object) -> tuple[Mapping[str, Any], ...]:
        source = self._source
        if not isinstance(value, list):
            value = [value]
        found: list[Mapping[str, Any]] = []
        for index, each in enumerate(value):
            here = (*path, index)
            table = {"action": each} if isinstance(each, str) else each
            if not isinstance(table, dict):
                source.wrong(here, "run", "names of actions or tables", each)
            elif "action" not in table:
                source.problem(here, "this run names no action", 'Add action = "…".')
            else:
                named = here if isinstance(each, str) else (*here, "action")
                source.action(named, table["action"])
                found.append(table)
        return tuple(found)
