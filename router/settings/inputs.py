"""What a configuration is read from, for noticing that one of its files has changed."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from router.errors import ConfigError
from router.settings.sources import Sources, Table, read_sources
from router.toml import Problem

if TYPE_CHECKING:
    from router.settings.model import Settings

#: Seconds after which whoever reads them tells that they keep it waiting.
SLOW: Final = 10.0

#: What tells two states of a file apart; ``None``: it is not there.
Mark: TypeAlias = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a configuration is read from, there or not.

    :param files: read as they are named.
    :param patterns: of ``include``: a new file that fits is read, too.
    :param articles: folders of articles, with all that is below them.
    """

    files: frozenset[Path] = frozenset()
    patterns: frozenset[str] = frozenset()
    articles: frozenset[Path] = frozenset()

    def __or__(self, other: "Inputs") -> "Inputs":
        return Inputs(
            self.files | other.files,
            self.patterns | other.patterns,
            self.articles | other.articles,
        )

    def state(self) -> dict[str, Mark]:
        """Give what tells whether anything was written since. Blocks.

        Links are followed, so that a link that is turned to another file counts as a change.
        """
        files = {str(file) for file in self.files}
        for pattern in self.patterns:
            files.update(glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute patterns
        for folder, names in self._articles():
            files.update(os.path.join(folder, name) for name in names)  # noqa: PTH118
        return {file: _mark(file) for file in files}

    def folders(self) -> frozenset[Path]:
        """Give the folders, those that exist, in which a change may show. Blocks."""
        folders = {file.parent for file in self.files}
        for pattern in self.patterns:
            folders |= {Path(file).parent for file in glob.glob(pattern, recursive=True)}  # noqa: PTH207
            plain = Path(pattern)
            while glob.has_magic(str(plain)):
                plain = plain.parent
            folders.add(plain)
        folders |= {Path(folder) for folder, _ in self._articles()}
        return frozenset(folder for folder in folders if folder.is_dir())

    def _articles(self) -> Iterator[tuple[str, list[str]]]:
        for top in self.articles:
            for folder, _, names in os.walk(top):
                yield folder, [name for name in names if name.endswith(".md")]


class Files:
    """The files of one configuration, and in what state they were when they were last read.

    :param path: the router.toml.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # One value, because one thread may read while another looks.
        self._known: tuple[Inputs, Mapping[str, Mark]] = (Inputs(frozenset({path})), {})

    def read(self, load: Callable[[], "Settings"]) -> "Settings":
        """Read them by ``load``, and remember what was read. Blocks.

        :raises ConfigError: as ``load`` does.
        """
        inputs, _ = self._known
        # Before they are read: what is written meanwhile is a change.
        before = inputs.state()
        try:
            settings = load()
        except ConfigError as error:
            # Those of the last time too: what is broken now may not even name them.
            more = Inputs(frozenset(places_of(error.problems)))
            self._remember(inputs | inputs_of(self._path) | more, before)
            raise
        self._remember(inputs_of(self._path, settings), before)
        return settings

    def folders(self) -> frozenset[Path]:
        """Give the folders in which a change may show. Blocks."""
        return self._known[0].folders()

    def stale(self) -> bool:
        """Say whether any of them was written since. Blocks."""
        inputs, seen = self._known
        return inputs.state() != seen

    def _remember(self, inputs: Inputs, before: Mapping[str, Mark]) -> None:
        now = inputs.state()
        self._known = inputs, {file: before.get(file, mark) for file, mark in now.items()}


def still_reading(what: str) -> str:
    """Say that a start, or a reload, waits for its files."""
    return (
        f"the {what} waits for a file or folder of the configuration that does not answer: it may "
        "lie on a network drive that is gone"
    )


def inputs_of(path: Path, settings: "Settings | None" = None) -> Inputs:
    """Give what a configuration is read from, as far as it can be read.

    :param settings: what was read from it, if it was right; rules files may name more files.
    """
    files = {path, path.parent / ".env"}
    patterns: set[str] = set()
    articles: set[Path] = set()
    try:
        sources = read_sources(path)
    except ConfigError as error:
        files |= places_of(error.problems)
    else:
        for document in sources.documents:
            folder = Path(document.path).parent
            files.add(Path(document.path))
            names = document.values.get("include", [])
            patterns |= {str(folder / name) for name in _texts(names)}
        for table in _tables(sources):
            folder = table.place.folder
            files |= {folder / name for name in _texts(table.values.get("rules"))}
            files |= {folder / name for name in _texts([table.values.get("prompt")])}
            files |= {folder / name for name in _secrets(table.values)}
            knowledge = table.values.get("knowledge")
            folders = knowledge if isinstance(knowledge, Mapping) else table.values
            articles |= {folder / name for name in _texts(folders.get("folders"))}
    if settings is not None:
        for tenant in settings.tenants.values():
            files |= {prompt.path for prompt in tenant.rules.prompts.values() if prompt.path}
    return Inputs(frozenset(files), frozenset(patterns), frozenset(articles))


def places_of(problems: Iterable[object]) -> set[Path]:
    """Give the files in which there are mistakes: mending one of them is a change, too."""
    return {Path(problem.path) for problem in problems if isinstance(problem, Problem)}


def _tables(sources: Sources) -> Iterator[Table]:
    yield from sources.single.values()
    for tables in sources.named.values():
        yield from tables.values()


def _texts(values: Any) -> Iterator[str]:
    yield from (it for it in values if isinstance(it, str)) if isinstance(values, list) else ()


def _secrets(values: Any) -> Iterator[str]:
    """Give the files that references to secrets name, however deep they stand."""
    if isinstance(values, Mapping):
        if values.keys() == {"file"} and isinstance(values["file"], str):
            yield values["file"]
        else:
            for value in values.values():
                yield from _secrets(value)
    elif isinstance(values, list):
        for value in values:
            yield from _secrets(value)


def _mark(file: str) -> Mark:
    try:
        found = os.stat(file)  # noqa: PTH116
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
