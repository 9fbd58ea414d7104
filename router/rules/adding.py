"""``then`` as written in a file, what of it does not decide: checked, and made into effects."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from router.domain.ticket import PRIORITIES
from router.rules.durations import parse_duration
from router.rules.fields import RISKS
from router.rules.model import Effects, RunAction
from router.rules.source import Source
from router.toml import KeyPath, suggest

_SET = ("category", "risk", "priority", "language", "contact", "conversation")
_USE = ("backend", "prompt", "knowledge")


@dataclass(slots=True)
class Adding:
    """Reads what rules and guardrails add to a decision."""

    source: Source

    def effects(self, table: Mapping[str, Any], path: KeyPath) -> Effects:
        """Read what is added without deciding."""
        values: dict[str, Any] = {}
        for key, name in (("tag", "tags"), ("untag", "untags")):
            if key in table:
                values[name] = frozenset(self.source.strings((*path, key), table[key]) or ())
        if "set" in table:
            values |= self._set((*path, "set"), table["set"])
        if "run" in table:
            values["actions"] = self._run((*path, "run"), table["run"])
        if "classify" in table:
            values["classify"] = self.source.backend((*path, "classify"), table["classify"])
        if "use" in table:
            values |= self._use((*path, "use"), table["use"])
        if "snooze" in table:
            values["snooze"] = self._snooze((*path, "snooze"), table["snooze"])
        if "stop" in table:
            values["stop"] = self._stop((*path, "stop"), table["stop"])
        return Effects(**values)

    def _set(self, path: KeyPath, value: object) -> dict[str, Any]:
        table = self.source.table(path, value, _SET, '"set"')
        if table is None:
            return {}
        if not table:
            self.source.problem(path, '"set" is empty', f"Add one of: {', '.join(_SET)}")
        found: dict[str, Any] = {}
        for key, each in table.items():
            here = (*path, key)
            if key == "category":
                found[key] = self.source.category(here, each)
            elif key == "risk":
                found[key] = self.source.choice(here, each, RISKS, "risk")
            elif key == "priority":
                found[key] = self.source.choice(here, each, PRIORITIES, "priority")
            elif key == "language":
                found[key] = self.source.language(here, each)
            elif key in _SET:
                found[f"{key}_attributes"] = self._attributes(here, each, key)
        return found

    def _attributes(self, path: KeyPath, value: object, whose: str) -> dict[str, str]:
        table = self.source.table(path, value, ("attribute",), f'"set.{whose}"')
        here = (*path, "attribute")
        stated = (table or {}).get("attribute", {})
        if not isinstance(stated, dict):
            self.source.wrong(here, "attribute", "a table", stated)
            return {}
        found: dict[str, str] = {}
        for name, each in stated.items():
            text = self.source.string((*here, name), each)
            if text is not None:
                self.source.fills_in((*here, name), text)
                found[name] = text
        return found

    def _use(self, path: KeyPath, value: object) -> dict[str, Any]:
        table = self.source.table(path, value, _USE, '"use"')
        if table is None:
            return {}
        if not table:
            self.source.problem(path, '"use" is empty', f"Add one of: {', '.join(_USE)}")
        found: dict[str, Any] = {}
        if "backend" in table:
            found["use"] = self.source.backend((*path, "backend"), table["backend"])
        if "prompt" in table:
            found["prompt"] = self._prompt((*path, "prompt"), table["prompt"])
        if "knowledge" in table:
            articles = self.source.strings((*path, "knowledge"), table["knowledge"])
            found["knowledge"] = tuple(articles or ())
        return found

    def _prompt(self, path: KeyPath, value: object) -> str | None:
        name, prompts = self.source.string(path, value), self.source.known.prompts
        if name is not None and name not in prompts:
            self.source.unknown(path, "prompt", name, prompts, "the rules files")
        return name

    def _snooze(self, path: KeyPath, value: object) -> timedelta | None:
        length = parse_duration(value) if isinstance(value, str) else None
        if length is None or not length:
            self.source.problem(
                path, '"snooze" takes a duration', 'Write snooze = "2h".', part="value"
            )
        return length

    def _stop(self, path: KeyPath, value: object) -> bool:
        if value is not True:
            self.source.problem(path, '"stop" takes true', "Or leave it out.", part="value")
        return True

    def _run(self, path: KeyPath, value: object) -> tuple[RunAction, ...]:
        found: list[RunAction] = []
        for here, table in self.source.tables(path, value):
            if "action" not in table:
                self.source.problem(here, "this run names no action", 'Add action = "…".')
                continue
            name = self.source.action((*here, "action"), table["action"])
            if name is None:
                continue
            params = {key: each for key, each in table.items() if key != "action"}
            if self._takes(name, params, here):
                found.append(RunAction(action=name, params=params))
        return tuple(found)

    def _takes(self, name: str, params: dict[str, Any], path: KeyPath) -> bool:
        """Check an action's parameters with its own model."""
        from pydantic import ValidationError

        for place, text in _texts(params, path):
            self.source.fills_in(place, text)
        model = self.source.known.names.actions[name]
        if model is None:
            return True
        try:
            model.model_validate(params)
        except ValidationError as error:
            fields = {info.alias or field for field, info in model.model_fields.items()}
            for each in error.errors(include_url=False):
                self._wrong_param(name, each, path, fields)
            return False
        return True

    def _wrong_param(self, action: str, error: Any, path: KeyPath, fields: set[str]) -> None:
        where: KeyPath = (*path, *error["loc"])
        called = ".".join(str(part) for part in error["loc"])
        known = f"The action takes: {', '.join(sorted(fields)) or 'no parameters'}"
        if error["type"] == "extra_forbidden":
            message = f'the action "{action}" has no parameter "{called}"'
            self.source.problem(where, message, suggest(called, fields) or known)
        elif error["type"] == "missing":
            message = f'the action "{action}" needs the parameter "{called}"'
            self.source.problem(where, message, "Add it.")
        else:
            message = f'the parameter "{called}" of the action "{action}" is wrong'
            self.source.problem(where, message, f"{error['msg']}.", part="value")


def _texts(value: object, path: KeyPath) -> list[tuple[KeyPath, str]]:
    if isinstance(value, str):
        return [(path, value)]
    if isinstance(value, dict):
        return [found for key, each in value.items() for found in _texts(each, (*path, key))]
    if isinstance(value, list):
        return [found for i, each in enumerate(value) for found in _texts(each, (*path, i))]
    return []
