"""Files that nobody else on this machine may read: they hold what customers wrote."""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from router.errors import StorageUnavailable

_CLOSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NOT_WRITTEN: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


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


def unmade(path: Path, error: OSError) -> StorageUnavailable:
    """Say why a file cannot be made, and what to do where its folder may not be written."""
    message = f"{path} cannot be made: {error.strerror or error}"
    if error.errno in _CLOSED:
        message += f". Let the user that runs the router write into {path.parent}"
    else:
        message += ". [router] database says where it is"
    return StorageUnavailable(message)


def refused(path: Path, error: BaseException) -> StorageUnavailable:
    """Say what SQLite has against a database, and what to do where a person can do something."""
    message = f"{path} cannot be used: {(str(error).splitlines() or [type(error).__name__])[0]}"
    # The lower byte is the sort of error, whatever its details.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
    closed = not all(os.access(it, os.W_OK) for it in (path.parent, *files) if it.exists())
    if code in _NOT_WRITTEN or (code == sqlite3.SQLITE_IOERR and closed):
        message += (
            ". It and its folder have to be written: run this as the user that runs the router, "
            "or give them to that user"
        )
    elif code in _DAMAGED:
        message += (
            ". Restore a backup (`router db restore`) in a new place, and keep this one for a look"
        )
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
