"""One process owns a SQLite database: a lock on a file beside it.

A lock on the database file itself would be lost as soon as SQLite closes any connection to it.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from router.errors import DatabaseLocked
from router.storage.files import private_folder, unmade, unusable


class DatabaseLock:
    """An exclusive lock on ``<database>.lock``, held until :meth:`release` or the process's end.

    :raises DatabaseLocked: from :meth:`acquire`, naming who holds it.
    :raises StorageUnavailable: from :meth:`acquire`, if the file cannot be made.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(database.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        try:
            private_folder(self._path.parent)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unmade(self._path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 64).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            message = (
                f"{self._database} is in use by process {holder}. "
                "Stop it first, or use PostgreSQL to run several nodes"
            )
            raise DatabaseLocked(message) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others have it. The file stays: removing it would race with the next owner."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def holder(database: Path) -> int | None:
    """Give the process that has a database open, or ``None``. Takes nothing, changes nothing.

    :raises StorageUnavailable: if this user may not know.
    """
    path = database.with_name(database.name + ".lock")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(path, error) from error
    try:
        # Shared, and let go of at once: whoever starts at this very moment tries again.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.read(descriptor, 64).decode("ascii", "replace").strip()
        return int(text) if text.isdecimal() else 0
    else:
        return None
    finally:
        os.close(descriptor)
