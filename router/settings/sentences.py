"""pydantic's findings as problems: plain sentences, at their place in the file."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from router.settings.annotations import holds_secret, keys_at, keys_of
from router.settings.sources import Place, Table
from router.toml import KeyPath, Problem, suggest

_TYPES = {
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a table",
    "mapping": "a table",
    "model": "a table",
    "model_attributes": "a table",
    "dataclass": "a table",
    "is_instance_of": "of another type",
    "date": "a date",
    "time": "a time",
    "datetime": "a date and time",
    "date_from_datetime": "a date",
    "datetime_from_date": "a date and time",
    "url": "an address such as https://example.org",
    "decimal": "a number",
}
_LIMITS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda ctx: f"above {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"at least {ctx['ge']:g}",
    "less_than": lambda ctx: f"below {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"at most {ctx['le']:g}",
    "multiple_of": lambda ctx: f"a multiple of {ctx['multiple_of']:g}",
    "finite_number": lambda _: "a finite number",
    "literal_error": lambda ctx: str(ctx["expected"]).replace("'", '"'),
    "enum": lambda ctx: str(ctx["expected"]).replace("'", '"'),
    "string_pattern_mismatch": lambda ctx: f"in the form {ctx['pattern']}",
    "string_too_short": lambda ctx: f"at least {_count(ctx['min_length'], 'character')} long",
    "string_too_long": lambda ctx: f"at most {_count(ctx['max_length'], 'character')} long",
    "too_short": lambda ctx: f"a list of at least {_count(ctx['min_length'], 'entry')}",
    "too_long": lambda ctx: f"a list of at most {_count(ctx['max_length'], 'entry')}",
    "url_scheme": lambda ctx: f"an address that begins with {ctx['expected_schemes']}",
}


def problems_of(
    error: ValidationError,
    table: Table,
    model: type[BaseModel],
    *,
    also: Collection[str] = (),
    hidden: Collection[KeyPath] = (),
    passed_over: Collection[KeyPath] = (),
) -> list[Problem]:
    """Turn everything that pydantic found in a table into problems.

    :param also: keys of the table that the model does not know, but somebody else does.
    :param hidden: paths, from the table on, of values that must not be quoted.
    :param passed_over: paths of values that are reported elsewhere.
    """
    missing: list[Problem] = []
    found: dict[KeyPath, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        path = _written(detail["loc"], table.values)
        if path in passed_over:
            continue
        if detail["type"] == "missing":
            missing.append(_missing(path, str(detail["loc"][-1]), table, model))
        else:
            found.setdefault(path, []).append(detail)
    problems: list[Problem] = []
    for path, details in found.items():
        place = _place(table, path)
        if details[0]["type"] == "extra_forbidden":
            problems.append(_unknown(path, table, keys_at(model, path[:-1]), also))
        elif not path:
            # The whole table is at fault, such as two keys that exclude each other.
            problems += [place.problem(f"{table.header}: {_want(detail)}") for detail in details]
        else:
            shown = None if _is_hidden(path, hidden) else _value_at(path, table.values)
            remedy = _as_list(path, details, shown)
            problems.append(
                place.problem(_sentence(label_of(path), details, shown), remedy, part="value")
            )
    return missing + problems


def _place(table: Table, path: KeyPath) -> Place:
    return Place(table.place.document, (*table.place.path, *path))


def _name(table: Table, path: KeyPath) -> str:
    """Give a table inside a table as one would say it."""
    return label_of(path) if path else table.header


def _missing(path: KeyPath, key: str, table: Table, model: type[BaseModel]) -> Problem:
    secret = not path and holds_secret(keys_of(model).get(key))
    remedy = f'Add {key} = {{ env = "NAME" }}.' if secret else f"Add {key} = …."
    return _place(table, path).problem(f"{_name(table, path)} lacks {key}", remedy)


def _unknown(path: KeyPath, table: Table, known: Collection[str], also: Collection[str]) -> Problem:
    name = _name(table, path[:-1])
    keys = sorted({*known, *(also if len(path) == 1 else ())})
    notes = [f"{name} understands: {', '.join(keys)}"] if keys else []
    remedy = suggest(str(path[-1]), keys) or "Remove it, or look up its name."
    return _place(table, path).problem(f'{name} has no key "{path[-1]}"', remedy, notes=notes)


def _sentence(label: str, details: Sequence[ErrorDetails], value: Any) -> str:
    # A value of several possible types has one finding for each of them.
    wants = list(dict.fromkeys(_want(detail) for detail in details))
    if not all(want.startswith("must be ") for want in wants):
        want = wants[0]
        return f"{label} {want}" if want.startswith("must ") else f"{label}: {want}"
    choice = " or ".join(want.removeprefix("must be ") for want in wants)
    return f"{label} must be {choice}{_shown(value)}"


def _as_list(path: KeyPath, details: Sequence[ErrorDetails], value: Any) -> str:
    """Show how one text is written where a list is wanted."""
    if not isinstance(value, str) or [detail["type"] for detail in details] != ["list_type"]:
        return ""
    return f"Write {path[-1]} = [{json.dumps(value, ensure_ascii=False)}]."


def _want(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in {"value_error", "assertion_error"}:
        return str(context.get("error", detail["msg"])).partition("\n")[0].rstrip(".")
    if make := _LIMITS.get(kind):
        return f"must be {make(context)}"
    for ending in ("_type", "_parsing", "_from_float", ""):
        if (noun := _TYPES.get(kind.removesuffix(ending))) and kind.endswith(ending):
            return f"must be {noun}"
    return detail["msg"][:1].lower() + detail["msg"][1:].rstrip(".")


def _written(location: Sequence[str | int], values: Any) -> KeyPath:
    """Cut a location down to what stands in the file: pydantic adds the names of alternatives."""
    path: list[str | int] = []
    for step in location:
        if isinstance(values, Mapping) and step in values:
            values = values[str(step)]
        elif isinstance(values, list) and isinstance(step, int) and step < len(values):
            values = values[step]
        else:
            continue
        path.append(step)
    return tuple(path)


def _value_at(path: KeyPath, values: Any) -> Any:
    for step in path:
        values = values[step]
    return values


def label_of(path: KeyPath) -> str:
    """Give a key as one would say it: ``port``, ``agents[0].name``."""
    text = str(path[0])
    for step in path[1:]:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text


def _is_hidden(path: KeyPath, hidden: Collection[KeyPath]) -> bool:
    return any(path[: len(secret)] == secret or secret[: len(path)] == path for secret in hidden)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", not a table"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", not a list" if value else ", not an empty list"
    if isinstance(value, str | bool | int | float):
        text = json.dumps(value, ensure_ascii=False)
        return f", not {text if len(text) <= 60 else text[:57] + '…'}"
    return ""


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"
