"""What one check of the doctor found, and the line of the configuration that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from router.settings.sources import Place, Sources, read_sources
from router.web.findings import Finding


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    #: Works, or may; worth a look.
    WARNING = "warning"
    #: Does not work, or will not for long.
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What one check found. Whoever prints it blanks out the values of secrets.

    :param check: one word for what was looked at.
    :param says: a sentence, or several.
    :param about: the instance that it is about, as operators know it.
    :param place: ``file:line`` of the setting.
    :param change: what to write there.
    """

    check: str
    level: Level
    says: str
    about: str | None = None
    place: str | None = None
    change: str | None = None


class Lines:
    """Finds the lines of settings.

    :param path: the router.toml.
    """

    def __init__(self, path: Path) -> None:
        self._sources: Final[Sources] = read_sources(path)

    def single(self, table: str, key: str) -> str:
        """Give ``file:line`` of a key of a table such as ``[router]``, or of where it belongs."""
        found = self._sources.single.get(table)
        place = found.place if found else self._sources.root / table
        return self.of(place, key)

    @staticmethod
    def of(place: Place, *keys: str | int) -> str:
        """Give ``file:line`` of what stands below a place, or of what is nearest around it."""
        for key in keys:
            place /= key
        return f"{place.document.path}:{place.document.locate(place.path).line}"


def diagnosed(
    finding: Finding,
    *,
    about: str | None = None,
    place: str | None = None,
    change: str | None = None,
) -> Diagnosis:
    """Give what a check of the self-test found as the doctor says it."""
    level = {True: Level.OK, False: Level.WRONG, None: Level.WARNING}[finding.ok]
    says = finding.says if not finding.details else f"{finding.says} ({finding.details})"
    wrong = level is not Level.OK
    return Diagnosis(
        check=finding.check,
        level=level,
        says=says,
        about=about,
        place=place if wrong else None,
        change=change if wrong else None,
    )


def worst(found: Sequence[Diagnosis]) -> Level:
    """Give the worst level of several."""
    order = list(Level)
    return max((each.level for each in found), key=order.index, default=Level.OK)
