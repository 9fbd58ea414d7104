"""TOML files with places: values, the line and column of any key, and mistakes that show them."""

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from router.errors import ConfigError

if TYPE_CHECKING:
    from tree_sitter import Node

#: Keys and list indexes from the top of a document down to a value.
KeyPath: TypeAlias = tuple[str | int, ...]
Part: TypeAlias = Literal["key", "value"]

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file.

    :param line: counts from 1.
    :param column: counts characters, from 1.
    :param length: how many characters of that line the thing takes, at least 1.
    """

    line: int
    column: int
    length: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A mistake in a file, in words for whoever edits it.

    :param path: as it is to be shown.
    :param line: counts from 1; 0 where the file as a whole is meant.
    :param column: counts characters, from 1; 0 where the file as a whole is meant.
    :param message: what is wrong, without a full stop at the end.
    :param remedy: what to do, a sentence.
    :param source_line: the line as it stands in the file.
    :param length: how many characters to underline.
    :param notes: lines that stand below, such as what would be understood.
    """

    path: Path | str
    line: int = 0
    column: int = 0
    message: str
    remedy: str = ""
    source_line: str | None = None
    length: int = 1
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else str(self.path)
        remedy = self.remedy.strip()
        if not remedy:
            return f"{place}: {self.message}"
        stop = "" if self.message.endswith((".", "?", "!")) else "."
        return f"{place}: {self.message}{stop} {remedy}"

    def render(self) -> str:
        """Give the message, below it the source line with the place underlined, and the notes."""
        lines = [str(self)]
        if self.source_line is not None and self.line:
            shown = "".join(c if c.isprintable() or c == "\t" else " " for c in self.source_line)
            before, marked = (
                shown[: self.column - 1],
                shown[self.column - 1 :][: self.length],
            )
            indent = "".join("\t" if c == "\t" else " " * _width(c) for c in before)
            carets = "^" * max(1, sum(_width(c) for c in marked))
            lines.append(f"{self.line:5} | {shown}")
            lines.append(f"{'':8}{indent}{carets}")
        lines += [f"      {note}" for note in self.notes]
        return "\n".join(lines)


class Document:
    """A TOML file that was read.

    The places are worked out at the first question for one: a file without mistakes never pays.
    """

    def __init__(self, path: Path | str, text: str, values: dict[str, Any]) -> None:
        #: As it was given to :func:`load`.
        self.path = path
        self.text = text
        #: What :mod:`tomllib` made of it.
        self.values = values
        self._places: dict[KeyPath, dict[Part, _Span]] | None = None

    def locate(self, key_path: Sequence[str | int], part: Part = "key") -> Position:
        """Give the place of a key or of its value.

        List elements have indexes for keys. What has no place of its own (the value of a table
        written as ``[table]``, a key that is missing) has the place of the nearest thing around
        it; a document without any is line 1, column 1.
        """
        if self._places is None:
            self._places = _places(self.text)
        path = tuple(key_path)
        wanted: Part = part
        while path:
            spans = self._places.get(path)
            if spans:
                span = spans.get(wanted) or spans.get("key") or spans["value"]
                return span.position()
            path, wanted = path[:-1], "key"
        return Position(1, 1)

    def problem(
        self,
        key_path: Sequence[str | int],
        message: str,
        remedy: str = "",
        *,
        part: Part = "key",
        notes: Iterable[str] = (),
    ) -> Problem:
        """Give a problem at the place of a key or of its value."""
        position = self.locate(key_path, part)
        return _problem_at(self.path, self.text, position, message, remedy, tuple(notes))


def load(path: Path | str) -> Document:
    """Read a TOML file.

    :raises ConfigError: with one :class:`Problem`, if it cannot be read or is not TOML.
    """
    raw = b""
    try:
        raw = Path(path).read_bytes()
        text = raw.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            [Problem(path=path, message="there is no such file", remedy="Check the path.")]
        ) from None
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or error}"
        may_not = isinstance(error, PermissionError)
        remedy = "Let the user that runs the router read it." if may_not else ""
        raise ConfigError([Problem(path=path, message=message, remedy=remedy)]) from None
    except UnicodeDecodeError as error:
        lines = raw[: error.start].decode("utf-8", "replace").split("\n")
        raise ConfigError(
            [
                Problem(
                    path=path,
                    line=len(lines),
                    column=len(lines[-1]) + 1,
                    message="the file is not UTF-8",
                    remedy="Save it as UTF-8.",
                )
            ]
        ) from None
    return loads(text, path)


def loads(text: str, path: Path | str) -> Document:
    """Read TOML from a text.

    :param path: what problems name as its file.
    :raises ConfigError: with one :class:`Problem`, if it is not TOML.
    """
    text = text.replace("\r\n", "\n")
    try:
        return Document(path, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(path, text, error)]) from None
    except RecursionError:
        raise ConfigError([Problem(path=path, message="the file is nested too deeply")]) from None


def suggest(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """Give `` Did you mean "words"?`` for the known word that is nearest, or an empty text.

    :param likeness: how like it must be, 0 to 1.
    """
    names = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), names, n=1, cutoff=likeness)
    return f' Did you mean "{names[near[0]]}"?' if near else ""


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _problem_at(
    path: Path | str,
    text: str,
    position: Position,
    message: str,
    remedy: str,
    notes: tuple[str, ...] = (),
) -> Problem:
    lines = text.split("\n")
    return Problem(
        path=path,
        line=position.line,
        column=position.column,
        message=message,
        remedy=remedy,
        source_line=lines[position.line - 1] if position.line <= len(lines) else None,
        length=position.length,
        notes=notes,
    )


_PLAIN = {
    "Cannot overwrite a value": (
        "this key is set a second time",
        "Keep one of the two.",
    ),
    "Cannot declare": ("this table is declared a second time", "Keep one of the two."),
    "Cannot mutate immutable": (
        "this table is already complete where it was written",
        "",
    ),
    "Cannot redefine": ("this key is set a second time", "Keep one of the two."),
    "Unterminated string": (
        "a string is not closed",
        "Close it with a quotation mark.",
    ),
    "Invalid value": ("this is not a TOML value", "Put texts between quotation marks."),
    # A line that ends within quotation marks.
    "Illegal character '\\n'": (
        "a string is not closed",
        "Close it with a quotation mark.",
    ),
    "Illegal character": ("a character that may not stand here", "Take it out."),
}


def _syntax_problem(path: Path | str, text: str, error: tomllib.TOMLDecodeError) -> Problem:
    import tomli

    reason = _PLACE.sub("", str(error))
    place = _PLACE.search(str(error))
    # Without a place it is at the end.
    line = int(place[1]) if place and place[1] else text.count("\n") + 1
    column = int(place[2]) if place and place[2] else len(text) - text.rfind("\n")
    try:
        tomli.loads(text)
    except tomli.TOMLDecodeError as exact:
        # tomllib before 3.14 keeps no place as numbers, and says "end of document" instead of it
        # for a mistake in the last line.
        line, column, reason = exact.lineno, exact.colno, exact.msg
    for start, (message, remedy) in _PLAIN.items():
        if reason.startswith(start):
            # tomllib notices a repeated key after its value: point at the line, not behind it.
            if "second time" in message:
                source = text.split("\n")[line - 1]
                column = len(source) - len(source.lstrip()) + 1
            return _problem_at(path, text, Position(line, column), message, remedy)
    return _problem_at(path, text, Position(line, column), f"not valid TOML: {reason}", "")


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of a line in bytes, as tree-sitter counts."""

    row: int
    start: int
    end: int | None
    line: bytes

    def position(self) -> Position:
        # Columns come in bytes; editors and people count characters.
        column = len(self.line[: self.start].decode("utf-8", "replace"))
        length = len(self.line[self.start : self.end].decode("utf-8", "replace").rstrip())
        return Position(self.row + 1, column + 1, max(1, length))


def _places(text: str) -> dict[KeyPath, dict[Part, _Span]]:
    import tree_sitter_toml
    from tree_sitter import Language, Parser

    source = text.encode("utf-8")
    root = Parser(Language(tree_sitter_toml.language())).parse(source).root_node
    walk = _Walk(source.split(b"\n"))
    walk.table((), root.named_children)
    for child in root.named_children:
        if child.type in {"table", "table_array_element"} and child.named_children:
            name, *pairs = child.named_children
            walk.table(walk.header(name, element=child.type == "table_array_element"), pairs)
    return walk.places


class _Walk:
    """Goes through a syntax tree and notes where each key path stands."""

    def __init__(self, lines: list[bytes]) -> None:
        self.places: dict[KeyPath, dict[Part, _Span]] = {}
        self._lines = lines
        self._counts: dict[KeyPath, int] = {}

    def table(self, path: KeyPath, nodes: Iterable["Node"]) -> None:
        for pair in nodes:
            if pair.type != "pair" or len(pair.named_children) < 2:
                continue
            # A comment behind the value belongs to the pair, too.
            key, value = pair.named_children[:2]
            inner = path
            for name, node in _names(key):
                inner = (*inner, name)
                self._note(inner, "key", node)
            self._value(inner, value)

    def header(self, node: "Node", *, element: bool) -> KeyPath:
        """Give the path that the keys below a ``[table]`` or ``[[table]]`` belong to."""
        path: KeyPath = ()
        names = list(_names(node))
        for number, (name, part) in enumerate(names):
            path = (*path, name)
            self._note(path, "key", part)
            if element and number == len(names) - 1:
                self._counts[path] = self._counts.get(path, -1) + 1
                path = (*path, self._counts[path])
                self._note(path, "key", part)
            elif path in self._counts:
                path = (*path, self._counts[path])
        return path

    def _value(self, path: KeyPath, node: "Node") -> None:
        self._note(path, "value", node)
        if node.type == "inline_table":
            self.table(path, node.named_children)
        elif node.type == "array":
            elements = (child for child in node.named_children if child.type != "comment")
            for index, child in enumerate(elements):
                self._value((*path, index), child)

    def _note(self, path: KeyPath, part: Part, node: "Node") -> None:
        (row, start), (end_row, end) = node.start_point, node.end_point
        span = _Span(row, start, end if end_row == row else None, self._lines[row])
        self.places.setdefault(path, {}).setdefault(part, span)


def _names(node: "Node") -> Iterator[tuple[str, "Node"]]:
    """Give the parts of a key, outermost first."""
    if node.type == "dotted_key":
        for child in node.named_children:
            yield from _names(child)
        return
    text = (node.text or b"").decode("utf-8", "replace")
    if node.type == "quoted_key":
        with suppress(tomllib.TOMLDecodeError):
            text = next(iter(tomllib.loads(f"{text} = 0")))
    yield text, node
