"""Files that nobody else on this machine may read: they hold what customers wrote."""

import os
from pathlib import Path


def private_folder(path: Path) -> None:
    """Make a folder for this user only; one that is there already stays as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def private_file(path: Path) -> None:
    """Make an empty file for this user only; one that is there already stays as it is.

    SQLite takes an empty file for a new database, and gives the files beside it the same mode.
    """
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
