"""An article: a Markdown file with a few words about itself above it, split at its headings."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.toml import Problem

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

#: Part of every digest: raise it when the same file would give other passages or terms.
_FORM = "2"

#: A section longer than this, in characters, is split between its paragraphs.
_LONGEST = 1_500
#: A paragraph, list or table stays whole up to so many characters. The databases' indexes take no
#: passage of any length, and neither does a model.
_LARGEST = 6_000

_KEYS = ("title", "category", "language")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A piece of an article, as it becomes a passage.

    :param heading: of the section; empty before the first one.
    :param text: Markdown.
    """

    heading: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArticleFile:
    """An article as it stands in its file.

    :param path: below its folder, with ``/``; the article's name within the tenant.
    :param body: Markdown, without what stands above it.
    :param digest: changes with anything that the index makes of the file.
    :param rows: its passages as the index stores them; ``None`` while nobody made them.
    """

    path: str
    title: str
    category: str | None
    language: str | None
    digest: str
    body: str = field(repr=False)
    rows: tuple[dict[str, str], ...] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What citations begin with: the path without ``.md``."""
        return self.path.removesuffix(".md")


@dataclass(frozen=True, slots=True, kw_only=True)
class Articles:
    """What some folders hold.

    :param good: by path.
    :param problems: every mistake in the files.
    :param bad: the paths of those that have mistakes.
    :param whole: every folder was there.
    """

    good: tuple[ArticleFile, ...] = ()
    problems: tuple[Problem, ...] = ()
    bad: frozenset[str] = frozenset()
    whole: bool = True


def read_folders(folders: Sequence[Path], *, language: str | None = None) -> Articles:
    """Read every ``*.md`` below some folders, by name. Blocks: call it in a thread.

    Hidden files and folders are left out.

    :param language: of articles that name none.
    """
    good: dict[str, ArticleFile] = {}
    problems: list[Problem] = []
    bad: set[str] = set()
    whole = True
    for folder in folders:
        try:
            files = _files(folder)
        except OSError as error:
            whole = False
            problems.append(Problem(path=folder, message=f"it cannot be read: {error.strerror}"))
            continue
        if files is None:
            whole = False
            problems.append(
                Problem(path=folder, message="there is no such folder", remedy="Make it.")
            )
        for file in files or ():
            path = file.relative_to(folder).as_posix()
            if not _is_text(path):
                shown = os.fsencode(file).decode(errors="backslashreplace")
                message, remedy = "its name is not UTF-8 text", "Give it another name."
                problems.append(Problem(path=shown, message=message, remedy=remedy))
                continue
            if path in good or path in bad:
                message = f'another folder has an article "{path}"'
                problems.append(
                    Problem(path=file, message=message, remedy="Give one of them another name.")
                )
                continue
            before = len(problems)
            article = read(file, path, language, problems)
            if len(problems) > before:
                bad.add(path)
            else:
                good[path] = article
    return Articles(
        good=tuple(article for _, article in sorted(good.items())),
        problems=tuple(problems),
        bad=frozenset(bad),
        whole=whole,
    )


def _files(folder: Path) -> list[Path] | None:
    """Give the articles below a folder, by name; ``None`` if there is no such folder.

    :raises OSError: if it cannot be looked through.
    """
    if not folder.is_dir():
        return None
    return [
        file
        for file in sorted(folder.rglob("*.md"))
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    ]


def _is_text(name: str) -> bool:
    """Say whether a file's name can be stored and shown: a file system takes any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def read(file: Path, path: str, language: str | None, problems: list[Problem]) -> ArticleFile:
    """Read an article; mistakes are added to ``problems``, and the article is then not to be used.

    The language, title and category may stand above it, between two lines of ``---``. Without a
    title there, the first heading is the title; without one, the file's name.

    :param path: see :class:`ArticleFile`.
    :param language: of an article that names none.
    """
    try:
        content = file.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        problems.append(Problem(path=file, message=f"it cannot be read: {error.strerror}"))
        content, text = b"", ""
    except UnicodeDecodeError:
        message = "it is not UTF-8 text"
        problems.append(Problem(path=file, message=message, remedy="Save it as UTF-8."))
        content, text = b"", ""
    lines = text.splitlines()
    _no_nul(file, text, problems)
    about, start = _about(file, lines, problems)
    lines = lines[start:]
    title = about.get("title")
    if not title:
        title, lines = _first_heading(lines)
    digest = hashlib.sha256("\0".join((_FORM, path, language or "")).encode() + b"\0" + content)
    return ArticleFile(
        path=path,
        title=title or Path(path).stem,
        category=about.get("category") or None,
        language=about.get("language") or language,
        digest=digest.hexdigest()[:32],
        body="\n".join(lines),
    )


def _no_nul(file: Path, text: str, problems: list[Problem]) -> None:
    """Tell of the first NUL of a text: PostgreSQL takes none, and none is written on purpose."""
    before, nul, _ = text.partition("\0")
    if not nul:
        return
    above, line = before.count("\n"), before.rpartition("\n")[2]
    problems.append(
        Problem(
            path=file,
            line=above + 1,
            column=len(line) + 1,
            message="there is a NUL character, which no text has",
            remedy="Save it as UTF-8.",
        )
    )


def sections(body: str) -> list[Section]:
    """Split an article at its headings, and what is long between its paragraphs."""
    lines = body.splitlines()
    found: list[Section] = []
    heading, start, blocks = "", 0, list[int]()
    for token in [*_blocks(body), None]:
        if token is not None and token.type != "heading_open":
            blocks.append(token.map[0])
            continue
        end = len(lines) if token is None else token.map[0]
        found += [
            Section(heading=heading, text=text)
            for piece in _pieces(lines, start, end, blocks)
            for text in _cut(piece)
        ]
        if token is not None:
            heading, start, blocks = token.meta["heading"], token.map[1], []
    return found


def _pieces(lines: list[str], start: int, end: int, blocks: list[int]) -> Iterator[str]:
    """Give the text between two headings, in pieces that are not too long.

    :param blocks: the lines at which paragraphs, lists and the like begin.
    """
    at = start
    for begin, following in pairwise((*blocks, end)):
        if begin > at and len("\n".join(lines[at:following])) > _LONGEST:
            yield "\n".join(lines[at:begin]).strip()
            at = begin
    rest = "\n".join(lines[at:end]).strip()
    if rest:
        yield rest


def _cut(text: str) -> Iterator[str]:
    """Cut what is too large by itself: at its lines, else between words, else anywhere."""
    while len(text) > _LARGEST:
        ends = (text.rfind(mark, 1, _LARGEST + 1) for mark in "\n ")
        at = next((end for end in ends if end > 0), _LARGEST)
        yield text[:at].rstrip()
        text = text[at:].lstrip("\n ")
    if text:
        yield text


def _blocks(body: str) -> Iterator[Any]:
    """Give the tokens that open a block of the document itself; headings with their plain text."""
    tokens = _markdown().parse(body)
    for token, following in pairwise((*tokens, None)):
        if token is None or token.level or token.map is None or token.nesting < 0:
            continue
        if token.type == "heading_open" and following is not None:
            words = [child.content for child in following.children or () if child.content]
            token.meta["heading"] = " ".join("".join(words).split())
        yield token


def _first_heading(lines: list[str]) -> tuple[str, list[str]]:
    for token in _blocks("\n".join(lines)):
        if token.type == "heading_open":
            return token.meta["heading"], lines[: token.map[0]] + lines[token.map[1] :]
    return "", lines


def _about(file: Path, lines: list[str], problems: list[Problem]) -> tuple[dict[str, str], int]:
    """Read what stands above an article; give it and the line at which the article begins."""
    if not lines or lines[0].rstrip() != "---":
        return {}, 0
    about: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        if line.rstrip() == "---":
            return about, number
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, colon, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1].strip()
        if not colon or key not in _KEYS:
            message = f'"{key}" says nothing about an article'
            remedy = f"Write {_KEYS[0]}, {_KEYS[1]} or {_KEYS[2]}, a colon and a value."
        elif key == "language" and not _LANGUAGE.fullmatch(value):
            message = f'"{value}" is no language'
            remedy = 'Write a language tag such as "es" or "pt-BR".'
        else:
            about[key] = value
            continue
        problems.append(
            Problem(
                path=file,
                line=number,
                column=len(line) - len(line.lstrip()) + 1,
                message=message,
                remedy=remedy,
                source_line=line,
                length=len(key) or 1,
            )
        )
    remedy = "Put a line of --- below the last of them."
    problems.append(
        Problem(
            path=file,
            line=1,
            column=1,
            message="the words about the article have no end",
            remedy=remedy,
            source_line=lines[0],
            length=3,
        )
    )
    return about, len(lines)


@cache
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table")
