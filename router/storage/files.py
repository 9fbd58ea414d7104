"""Files that nobody else on this machine may read: they hold what customers wrote."""

import errno
import os
from pathlib import Path

from router.errors import StorageUnavailable


def private_folder(path: Path) -> None:
    """Make a folder for this user only; one that is there already stays as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def private_file(path: Path) -> None:
    """Make an empty file for this user only; one that is there already stays as it is.

    SQLite takes an empty file for a new database, and gives the files beside it the same mode.
    """
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def unusable(path: Path, error: OSError) -> StorageUnavailable:
    """Say why a file cannot be used, and what to do where it is another user's."""
    message = f"{path} cannot be used: {error.strerror or error}"
    if isinstance(error, PermissionError):
        message += ". Run this as the user that runs the router"
    return StorageUnavailable(message)


def check_readable(path: Path) -> bool:
    """Say whether a file is there.

    :raises StorageUnavailable: if this user may not know, or may not read it.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unusable(path, error) from error
    # Not opened: closing any descriptor of it would drop the locks that SQLite holds.
    if not os.access(path, os.R_OK):
        raise unusable(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    return True
