"""Backups: one SQLite file, whatever the database is, and the way back that sends nothing twice."""

import asyncio
import os
import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from router.errors import StorageError, StorageUnavailable
from router.storage.database import moving
from router.storage.database.holding import Held, hold_back
from router.storage.database.migrating import ensure
from router.storage.database.moving import Moved, Progress
from router.storage.files import private_file
from router.storage.sqlite.lock import DatabaseLock


def backup(url: str, path: Path, progress: Progress = lambda *_: None) -> None:
    """Write everything as it is at one moment into a new SQLite file. The router may be running.

    The file gets its name once it is whole. Blocks.

    :raises StorageError: in words, if the file is there already, or cannot be written.
    """
    if path.exists():
        raise StorageError(f"{path} is there already. Name a new file")
    if not path.parent.is_dir():
        # A disk that is not mounted looks like this, and the root's is no place for its backups.
        raise StorageError(f"there is no folder {path.parent}. Make it, or mount its disk")
    ensure(url, migrate=False)
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        private_file(part)
        _write(url, part, progress)
        _sync(part)
        part.rename(path)
        _sync(path.parent)
    except OSError as error:
        raise StorageUnavailable(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _write(url: str, part: Path, progress: Progress) -> None:
    source = moving.sqlite_path(url)
    if source is None:
        part.unlink()  # else it counts as a database without a schema that somebody began
        target = f"sqlite+aiosqlite:///{part}"
        ensure(target)
        asyncio.run(moving.copy(url, target, progress, alone=False))
        return
    try:
        with closing(sqlite3.connect(source, timeout=10)) as raw:
            raw.execute("VACUUM INTO ?", (str(part),))
    except sqlite3.Error as error:
        raise StorageUnavailable(f"{part} cannot be written: {error}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def restore(
    path: Path,
    url: str,
    progress: Progress = lambda *_: None,
    *,
    now: datetime,
    nothing_since: bool = False,
) -> tuple[list[Moved], Held]:
    """Carry a backup into an empty database, verified, and hold back what may have left since.

    What would lead to a message or an action may have done so between the backup and now: it waits
    for a person's word; see :mod:`router.storage.database.holding`. Blocks.

    :param nothing_since: the router was stopped before the backup was made, and has not run since:
        nothing is held back.
    :return: what was carried, and what is held back.
    :raises StorageError: in words, if it cannot be done; the destination is then empty.
    """
    if not path.is_file():
        raise StorageError(f"there is no backup {path}")
    held = Held()

    def then(_reads: sa.Connection, writes: sa.Connection) -> None:
        nonlocal held
        if not nothing_since:
            held = hold_back(writes, now)

    source = f"sqlite+aiosqlite:///{path.resolve()}"
    with moving.kept_alone(url), DatabaseLock(path):
        ensure(source, migrate=False)
        ensure(url)
        moved = asyncio.run(moving.copy(source, url, progress, then=then))
    return moved, held
