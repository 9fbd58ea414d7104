"""Cases written: what happened once, as a case that expects it to happen again."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from router.errors import ConfigError
from router.rules.fields import Stage, find
from router.rules.suites.differences import Difference, differences
from router.rules.suites.model import Case, Subject
from router.rules.suites.reading import read_suite
from router.rules.suites.running import case_facts, see_case
from router.rules.suites.subjects import Subjects
from router.toml import Problem, load, loads
from router.whole import write_whole

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ORDER = ("say", "event", "as", "channel", "at", "owner", "history", "answer", "given", "expect")
#: Facts that a case states otherwise than by ``given``.
_STATED = frozenset({"event.kind", "text", "tenant", "channel"})


class Unlike(Exception):
    """A case does not do what happened; the differences say how."""

    def __init__(self, found: list[Difference]) -> None:
        super().__init__("\n".join(line for each in found for line in each.lines()))


def case_text(
    subject: Subject, inputs: Mapping[str, Any], expect: Mapping[str, Any], facts: Mapping[str, Any]
) -> str:
    """Give a case as TOML.

    :param inputs: by the keys of a case.
    :param expect: what became of it.
    :param facts: those that the rules saw, as a trace has them; what the inputs do not bring is
        given.
    :raises Unlike: if something else becomes of the case.
    :raises ConfigError: if it cannot be a case.
    """
    table = {**inputs, "expect": expect}
    case = _case(subject, table)
    seen = see_case(subject.rules, case, case_facts(case))
    had = seen.trace.get("facts", {})
    given = {
        path: value for path, value in facts.items() if had.get(path) != value and _may_give(path)
    }
    if given:
        table["given"] = given
        case = _case(subject, table)
        seen = see_case(subject.rules, case, case_facts(case))
    if unlike := differences(case.expect, seen):
        raise Unlike(unlike)
    return _text(table)


def _may_give(path: str) -> bool:
    field = find(path)
    return path not in _STATED and field is not None and field.known is Stage.EVENT


def _case(subject: Subject, table: Mapping[str, Any]) -> Case:
    problems: list[Problem] = []
    subjects = Subjects({subject.tenant: subject})
    suite = read_suite(loads(_text(table), "the case"), Path("case"), subjects, problems)
    if suite is None or problems:
        raise ConfigError(problems)
    [case] = suite.cases
    return case


def append(file: Path, text: str, subject: Subject, subjects: Subjects) -> None:
    """Put a case at the end of a suite; a new one is begun where there is none.

    :raises ConfigError: if the suite would not be right with it; it stays as it is.
    :raises OSError: if the file cannot be written.
    """
    before = ""
    if file.exists():
        before = f"{load(file).text.rstrip()}\n\n"
    elif subject.tenant != next(iter(subjects.tenants)):
        before = f"tenant = {json.dumps(subject.tenant)}\n\n"
    after = f"{before}{text}"
    problems: list[Problem] = []
    suite = read_suite(loads(after, file), file, subjects, problems)
    if suite is not None and not problems and suite.subject is not subject:
        about = f"the suite is about other rules than those of {subject.tenant}"
        problems.append(suite.cases[-1].place.problem(about, "Name another file."))
    if suite is None or problems:
        raise ConfigError(problems)
    write_whole(file, [after.encode()])


# TOML ─────────────────────────────────────────────────────────────────────────────────────────


def _text(table: Mapping[str, Any]) -> str:
    lines = ["[[case]]"]
    for key in sorted(table, key=_ORDER.index):
        value = table[key]
        if key == "given":
            lines += [
                f"given.{_path(path, value)} = {_value(value[path])}" for path in sorted(value)
            ]
        else:
            lines.append(f"{key} = {_value(value)}")
    return "\n".join(lines) + "\n"


def _path(path: str, given: Mapping[str, Any]) -> str:
    """Give a field as a key; one below another that is given, too, is named whole."""
    parts = path.split(".")
    if any(".".join(parts[:count]) in given for count in range(1, len(parts))):
        return _string(path)
    return ".".join(map(_key, parts))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return _string(value)
    return json.dumps(value)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
