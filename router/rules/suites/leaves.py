"""The conditions of a rule as its file states them: found, taken away, exchanged, compiled."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from router.rules.conditions import Condition
from router.rules.fields import Field, Stage, find, is_prefix
from router.rules.matching import Matching
from router.rules.model import Guardrail, Place, Rule
from router.rules.source import Known, Source
from router.rules.suites.implications import Implications
from router.rules.suites.model import Subject
from router.toml import KeyPath, Problem

Table: TypeAlias = Mapping[str, Any]
#: What stands beside operators and is none.
_BESIDE = frozenset({"exact"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One operator on one field.

    :param path: from the rule's table down, such as ``("when", "any", 0, "text", "words")``.
    :param operator: ``None`` where the value stands behind the field itself.
    :param beside: what stands beside the operator, such as ``exact``.
    :param negated: it stands below an odd number of ``unless``.
    """

    path: KeyPath
    dotted: str
    field: Field
    operator: str | None
    value: Any
    beside: Table
    negated: bool

    @property
    def text(self) -> str:
        """How people call it: the path with dots."""
        return dots(self.path)

    def alone(self) -> dict[str, Any]:
        """Give the table of a rule that has only this condition."""
        node: Any = self.value
        if self.operator is not None:
            node = {self.operator: self.value, **self.beside}
        for part in reversed(self.dotted.split(".")):
            node = {part: node}
        return {"unless" if self.negated else "when": node}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """An ``any`` or ``all``."""

    path: KeyPath
    members: tuple[Table, ...]


def dots(path: KeyPath) -> str:
    """Give a path as people write it."""
    return ".".join(map(str, path))


def leaves(table: Table) -> Iterator[Leaf]:
    """Give every condition of a rule's table, in the order of the file."""
    for each in _walk(table):
        if isinstance(each, Leaf):
            yield each


def groups(table: Table) -> Iterator[Group]:
    """Give every ``any`` and ``all`` of a rule's table, outer ones first."""
    for each in _walk(table):
        if isinstance(each, Group):
            yield each


def _walk(table: Table) -> Iterator[Leaf | Group]:
    for key in ("when", "unless"):
        if key in table:
            yield from _conditions(table[key], (key,), negated=key == "unless")


def _conditions(table: Table, path: KeyPath, *, negated: bool) -> Iterator[Leaf | Group]:
    for key, value in table.items():
        here = (*path, key)
        if key == "unless":
            yield from _conditions(value, here, negated=not negated)
        elif key in {"any", "all"}:
            yield Group(path=here, members=tuple(value))
            for index, member in enumerate(value):
                yield from _conditions(member, (*here, index), negated=negated)
        else:
            yield from below(key, value, here, negated=negated)


def below(dotted: str, value: Any, path: KeyPath, *, negated: bool = False) -> Iterator[Leaf]:
    """Give what stands below the name of a field, or below the beginning of one."""
    field = find(dotted)
    if field is not None and not isinstance(value, Mapping):
        yield Leaf(
            path=path,
            dotted=dotted,
            field=field,
            operator=None,
            value=value,
            beside={},
            negated=negated,
        )
        return
    beside = {key: value[key] for key in _BESIDE & value.keys()}
    for key, each in value.items():
        deeper, here = f"{dotted}.{key}", (*path, key)
        if find(deeper) is not None or is_prefix(deeper):
            yield from below(deeper, each, here, negated=negated)
        elif field is not None and key in field.operators:
            yield Leaf(
                path=here,
                dotted=dotted,
                field=field,
                operator=key,
                value=each,
                beside=beside,
                negated=negated,
            )


# Changing ─────────────────────────────────────────────────────────────────────────────────────


def without(node: Any, path: KeyPath) -> Any:
    """Give a table without what stands at a path; ``None`` where nothing is left of it."""
    if not path:
        return None
    key, rest = path[0], path[1:]
    if isinstance(node, list):
        kept = [each if index != key else without(each, rest) for index, each in enumerate(node)]
        return [each for each in kept if each is not None] or None
    changed = {name: each for name, each in node.items() if name != key}
    inner = without(node[key], rest)
    if inner is not None:
        # In the place where it stood, so that a rule reads as before.
        changed = {name: inner if name == key else node[name] for name in node}
    return changed if changed.keys() - _BESIDE else None


def put(node: Any, path: KeyPath, value: Any) -> Any:
    """Give a table with another value at a path."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(node, list):
        return [put(each, rest, value) if i == key else each for i, each in enumerate(node)]
    return {name: put(each, rest, value) if name == key else each for name, each in node.items()}


def renamed(node: Any, path: KeyPath, name: str) -> Any:
    """Give a table in which the key at the end of a path is called otherwise."""
    key, rest = path[0], path[1:]
    if isinstance(node, list):
        return [renamed(each, rest, name) if i == key else each for i, each in enumerate(node)]
    if rest:
        return {k: renamed(each, rest, name) if k == key else each for k, each in node.items()}
    return {name if k == key else k: each for k, each in node.items()}


def at(node: Any, path: KeyPath) -> Any:
    """Give what stands at a path."""
    for key in path:
        node = node[key]
    return node


# Compiling ────────────────────────────────────────────────────────────────────────────────────


class Compiler:
    """Makes conditions of changed tables, as loading does, over the phrases that are known.

    :param lexicons: in place of the subject's.
    :param implications: of the subject's phrases, if they are known already.
    """

    def __init__(
        self,
        subject: Subject,
        lexicons: Mapping[str, tuple[str, ...]] | None = None,
        implications: Implications | None = None,
    ) -> None:
        rules = subject.rules
        self.lexicons = dict(rules.lexicons if lexicons is None else lexicons)
        self.implications = implications or Implications(rules.phrases)
        self._known = Known(
            subject.names,
            lexicons=self.lexicons,
            categories=dict(rules.categories),
            phrases=rules.phrases,
        )

    def conditions(self, what: Rule | Guardrail, table: Table) -> tuple[Condition, ...] | None:
        """Give the conditions that a table states; ``None`` if it is no longer right."""
        problems: list[Problem] = []
        source = Source(what.place.document, self._known, problems)
        guard = isinstance(what, Guardrail)
        matching = Matching(source, Stage.ANSWER, what.gate.kinds, guard=guard)
        found = matching.read(table, what.place.key_path)
        return None if problems else found


def table_of(place: Place) -> dict[str, Any]:
    """Give the table that stands at a place."""
    table: dict[str, Any] = at(place.document.values, place.key_path)
    return table
