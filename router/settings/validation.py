"""What is found while a configuration is read, and the checks that several tables share."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from router.settings.sentences import problems_of
from router.settings.sources import Place, Sources, Table
from router.settings.values import NAME, NAME_FORM
from router.toml import Problem, suggest

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(slots=True)
class Findings:
    """Problems, which stop everything in the end, and warnings, which stop nothing."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def validated(self, table: Table, model: type[ModelT]) -> ModelT:
        """Read a table of the host's.

        Of a table with mistakes the keys without any are given, so that what hangs on them is
        still judged.
        """
        values = dict(table.values)
        try:
            return model.model_validate(values)
        except ValidationError as error:
            self.problems += problems_of(error, table, model)
            wrong = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
        right = {key: value for key, value in values.items() if key not in wrong}
        try:
            return model.model_validate(right)
        except ValidationError:
            return model.model_construct()

    def files(self, place: Place, names: Sequence[str], noun: str) -> tuple[Path, ...]:
        """Give the files that a list names; a missing one is a problem, and left out."""
        files: list[Path] = []
        for index, name in enumerate(names):
            file = place.folder / name
            if file.is_file():
                files.append(file)
            else:
                self.problems.append(
                    (place / index).problem(
                        f'there is no {noun} "{name}"', "Check the path.", part="value"
                    )
                )
        return tuple(files)

    def check_name(self, table: Table, name: str, noun: str) -> None:
        """Note a name that cannot stand in a URL."""
        if not NAME.fullmatch(name):
            self.problems.append(table.place.problem(f'"{name}" cannot name a {noun}', NAME_FORM))


def table_of(sources: Sources, name: str) -> Table:
    """Give a table that stands once, empty where it is not written."""
    return sources.single.get(name) or Table(sources.root / name, {})


def unconfigured(
    place: Place, noun: str, name: str, group: str, configured: Collection[str]
) -> Problem:
    """Give the problem of a name that no table has.

    :param group: of the table that it would be, such as ``actions``.
    """
    remedy = f"Configured: {', '.join(configured)}." if configured else f"Add [{group}.{name}]."
    message = f'there is no {noun} "{name}"'
    return place.problem(message, suggest(name, configured) or remedy, part="value")
