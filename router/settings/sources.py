"""The files of a configuration: router.toml and what it includes, their tables by name."""

import glob
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from router.errors import ConfigError
from router.toml import Document, KeyPath, Problem, load, suggest

#: Tables that stand once in all files together.
SINGLE = ("router", "server", "policy", "knowledge", "media")
#: Tables of named tables, such as ``[channels.whatsapp]``.
NAMED = ("channels", "ai", "actions", "queues", "tenants")

_SECRET_LINE = re.compile(r"[^=#]*(token|secret|key|password|credential)[^=#]*=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table or a value stands; prints itself as ``file:line:column``."""

    document: Document = field(repr=False)
    path: KeyPath

    def __str__(self) -> str:
        at = self.document.locate(self.path)
        return f"{self.document.path}:{at.line}:{at.column}"

    def __truediv__(self, key: str | int) -> "Place":
        return Place(self.document, (*self.path, key))

    @property
    def folder(self) -> Path:
        """What relative paths in this file are relative to."""
        return Path(self.document.path).parent

    def problem(
        self,
        message: str,
        remedy: str = "",
        *,
        part: Literal["key", "value"] = "key",
        notes: Iterable[str] = (),
    ) -> Problem:
        return self.document.problem(self.path, message, remedy, part=part, notes=notes)


@dataclass(frozen=True, slots=True)
class Table:
    """A table, and where it stands."""

    place: Place
    values: Mapping[str, Any]

    @property
    def header(self) -> str:
        """The table as it is headed in the file, such as ``[channels.whatsapp]``."""
        return f"[{'.'.join(str(key) for key in self.place.path)}]"


@dataclass(slots=True)
class Sources:
    """Every table of a configuration.

    :param documents: in reading order.
    :param single: the tables of :data:`SINGLE` that exist.
    :param named: for each of :data:`NAMED`, its tables by name.
    """

    documents: list[Document] = field(default_factory=list)
    single: dict[str, Table] = field(default_factory=dict)
    named: dict[str, dict[str, Table]] = field(
        default_factory=lambda: {group: {} for group in NAMED}
    )
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    @property
    def root(self) -> Place:
        """The top of router.toml."""
        return Place(self.documents[0], ())


def read_sources(path: Path) -> Sources:
    """Read router.toml and every file that it includes.

    :raises ConfigError: if one of them cannot be read or is not TOML; nothing else can be judged
        then. Other mistakes are in ``problems``.
    """
    sources = Sources()
    unreadable: list[Problem] = []
    _read(path, sources, unreadable, seen=set())
    if unreadable:
        raise ConfigError(unreadable)
    for document in sources.documents:
        _sort_tables(document, sources)
    return sources


def _read(path: Path, sources: Sources, unreadable: list[Problem], seen: set[Path]) -> None:
    if path.resolve() in seen:
        return
    seen.add(path.resolve())
    try:
        document = load(path)
    except ConfigError as error:
        unreadable += [_discreet(each) for each in error.problems if isinstance(each, Problem)]
        return
    sources.documents.append(document)
    patterns = document.values.get("include", [])
    if not isinstance(patterns, list):
        place = Place(document, ("include",))
        sources.problems.append(
            place.problem("include must be a list", 'Write include = ["tenants/*.toml"].')
        )
        return
    for index, pattern in enumerate(patterns):
        place = Place(document, ("include", index))
        if not isinstance(pattern, str):
            sources.problems.append(
                place.problem("a pattern of include must be a text", part="value")
            )
            continue
        # Not Path.glob: it takes no absolute patterns.
        files = sorted(glob.glob(pattern, root_dir=place.folder, recursive=True))  # noqa: PTH207
        if not files and glob.has_magic(pattern):
            sources.warnings.append(
                place.problem(f'no file matches "{pattern}"', "Check the path.", part="value")
            )
        elif not files:
            sources.problems.append(
                place.problem(f'there is no file "{pattern}"', "Check the path.", part="value")
            )
        for file in files:
            _read(place.folder / file, sources, unreadable, seen)


def _discreet(problem: Problem) -> Problem:
    """Hide a broken line that may hold a secret: nothing tells yet what its key is for."""
    secret = _SECRET_LINE.match(problem.source_line or "")
    return replace(problem, source_line=None) if secret else problem


def _sort_tables(document: Document, sources: Sources) -> None:
    known = ("include", *SINGLE, *NAMED)
    for key, value in document.values.items():
        place = Place(document, (key,))
        if key == "include":
            continue
        if key not in known:
            note = f"the tables are: {', '.join(known[1:])}"
            sources.problems.append(
                place.problem(f'there is no table "{key}"', suggest(key, known), notes=[note])
            )
        elif not isinstance(value, dict):
            sources.problems.append(place.problem(f"{key} must be a table", f"Write [{key}]."))
        elif key in SINGLE:
            if other := sources.single.get(key):
                sources.problems.append(
                    place.problem(f"[{key}] stands in {other.place}, too", "Keep one of the two.")
                )
            else:
                sources.single[key] = Table(place, value)
        else:
            _sort_named(key, place, value, sources)


def _sort_named(group: str, place: Place, tables: Mapping[str, Any], sources: Sources) -> None:
    for name, values in tables.items():
        if not isinstance(values, dict):
            sources.problems.append(
                (place / name).problem(
                    f'"{name}" must be a table', f"Write [{group}.NAME] above its keys."
                )
            )
        elif other := sources.named[group].get(name):
            sources.problems.append(
                (place / name).problem(
                    f"[{group}.{name}] stands in {other.place}, too", "Rename one of the two."
                )
            )
        else:
            sources.named[group][name] = Table(place / name, values)
