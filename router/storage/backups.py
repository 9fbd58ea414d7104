"""Backups: one SQLite file, whatever the database is, and the way back that sends nothing twice."""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from router.domain.outbox import ItemKind, ItemState
from router.errors import StorageError, StorageUnavailable
from router.storage import moving
from router.storage.files import private_file, private_folder
from router.storage.lock import DatabaseLock
from router.storage.migrating import ensure
from router.storage.moving import Moved, Progress
from router.storage.pollers import hold_all
from router.storage.store import JOB, OUT
from router.storage.tables import lane, message, outbox

#: What has an effect outside, so that nobody knows whether it has happened since.
_OUTWARD: Final = (ItemKind.MESSAGE, ItemKind.ACTION)
_OPEN: Final = (ItemState.WAITING, ItemState.STARTED)
_WHY_HELD: Final = (
    "it was restored from a backup, and would find again, and have answered again, what it had "
    "found since. `router pollers resume` lets it go on"
)
_WHY: Final = "it was restored from a backup and may have been sent since"
_PAGE: Final = 500


def backup(url: str, path: Path, progress: Progress = lambda *_: None) -> None:
    """Write everything as it is at one moment into a new SQLite file. The router may be running.

    The file gets its name once it is whole. Blocks.

    :raises StorageError: in words, if the file is there already, or cannot be written.
    """
    if path.exists():
        raise StorageError(f"{path} is there already. Name a new file")
    ensure(url, migrate=False)
    part = path.with_name(path.name + ".part")
    try:
        private_folder(path.parent)
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


def restore(path: Path, url: str, progress: Progress = lambda *_: None) -> tuple[list[Moved], int]:
    """Carry a backup into an empty database, verified, and hold back what may have left since.

    What waited to be sent when the backup was made, or was just leaving, may have been sent between
    that moment and now: it becomes ``unknown``, and a person says what became of it. Nothing is
    polled until a person says so, for what was found since would be found again. Blocks.

    :return: what was carried, and how many items are held back.
    :raises StorageError: in words, if it cannot be done; the destination is then empty.
    """
    if not path.is_file():
        raise StorageError(f"there is no backup {path}")
    held = 0

    def hold_back(_reads: sa.Connection, writes: sa.Connection) -> None:
        nonlocal held
        held = _hold_back(writes)

    source = f"sqlite+aiosqlite:///{path.resolve()}"
    with moving.kept_alone(url), DatabaseLock(path):
        ensure(source, migrate=False)
        ensure(url)
        moved = asyncio.run(moving.copy(source, url, progress, then=hold_back))
    return moved, held


def _hold_back(connection: sa.Connection) -> int:
    hold_all(connection, _WHY_HELD)
    where = sa.and_(outbox.c.kind.in_(_OUTWARD), outbox.c.state.in_(_OPEN))
    rows = connection.execute(sa.select(outbox.c.id, outbox.c.lane, outbox.c.kind).where(where))
    found = rows.all()
    lanes = sorted({(OUT if it.kind == ItemKind.MESSAGE else JOB, it.lane) for it in found})
    connection.execute(sa.update(outbox).where(where).values(state=ItemState.UNKNOWN, error=_WHY))
    for page in _pages([it.id for it in found]):
        connection.execute(
            sa.update(message).where(message.c.id.in_(page)).values(status=ItemState.UNKNOWN)
        )
    for kind in (OUT, JOB):
        for page in _pages([key for of, key in lanes if of == kind]):
            connection.execute(
                sa.update(lane)
                .where(lane.c.kind == kind, lane.c.key.in_(page))
                .values(parked=True, ready_at=None, lease_owner=None)
            )
    return len(found)


def _pages(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + _PAGE] for start in range(0, len(names), _PAGE)]
