"""Loads: how each reading of the files ended, as it is told."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How one load of the files ended.

    :param by: what asked for it: ``start``, ``SIGHUP``, ``command``, ``file``.
    :param hash: of the configuration in force afterwards.
    :param seconds: what it took.
    :param changed: what is different now, in words.
    :param restart: settings that differ in the files, and need a restart.
    :param started: instances that were started, new ones and replaced ones.
    :param ended: instances that were replaced or removed.
    :param kept: how many instances went on as they were.
    :param doubts: what was found, and did not stop it: warnings, probes that failed.
    :param problems: why it was refused; empty if it was not.
    :param mistakes: they are mistakes in the files.
    """

    by: str
    at: datetime
    hash: str
    seconds: float = 0.0
    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    kept: int = 0
    doubts: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    mistakes: bool = False

    @property
    def applied(self) -> bool:
        return not self.problems

    def as_values(self) -> dict[str, Any]:
        """Give it as values for JSON."""
        return {
            "by": self.by,
            "at": self.at.isoformat(),
            "applied": self.applied,
            "hash": self.hash,
            "seconds": round(self.seconds, 3),
            "changed": list(self.changed),
            "restart": list(self.restart),
            "started": list(self.started),
            "ended": list(self.ended),
            "kept": self.kept,
            "doubts": list(self.doubts),
            "problems": list(self.problems),
            "mistakes": self.mistakes,
        }
