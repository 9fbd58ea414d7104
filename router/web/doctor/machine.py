"""This machine: the database's file and what it lies on, room on the disks."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from router.settings.model import Settings
from router.web.doctor.diagnosis import Diagnosis, Level, Lines

_MOUNTS: Final = Path("/proc/self/mountinfo")
#: File systems of another machine: SQLite's write-ahead log needs shared memory, and locks that
#: hold. https://www.sqlite.org/wal.html
_REMOTE: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "virtiofs", "vboxsf"),
        *("ceph", "glusterfs", "lustre", "beegfs", "gpfs", "orangefs", "prl_fs", "vmhgfs"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.davfs", "davfs"),
        *("fuse.vmhgfs-fuse", "fuse.gcsfuse", "fuse.blobfuse2", "fuse.juicefs", "fuse.cephfs"),
    }
)
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")

_MIB: Final = 1 << 20
#: Below this much room a disk is as good as full, and below that much it soon is; in bytes.
_FULL: Final = 100 * _MIB
_TIGHT: Final = 1024 * _MIB


def file_system(path: Path, mounts: str) -> tuple[str | None, bool]:
    """Give the type of the file system that a path lies on, and whether it is read only.

    :param path: a whole one, without links.
    :param mounts: the text of ``/proc/self/mountinfo``; where it does not tell, the type is
        ``None``.
    """
    found: tuple[int, str, bool] | None = None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = Path(_ESCAPE.sub(lambda it: chr(int(it[1], 8)), fields[4]))
        # Of two at one point the later one is what is seen.
        if path.is_relative_to(point) and (found is None or len(point.parts) >= found[0]):
            kind, *more = after.split(" ")
            options = {*fields[5:6], *more[1:2]}
            only = any("ro" in each.split(",") for each in options)
            found = len(point.parts), kind, only
    return (None, False) if found is None else found[1:]


def _there(path: Path) -> Path:
    """Give the nearest folder above that exists, or the path itself.

    :raises OSError: if this user may not know.
    """
    while not _exists(path) and path != path.parent:
        path = path.parent
    return path


def _exists(path: Path) -> bool:
    """Say whether something is there.

    :raises OSError: if this user may not know.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def sqlite_file(path: Path, lines: Lines, *, mounts: str | None = None) -> Iterator[Diagnosis]:
    """Look at a SQLite file, or at the folder that it will be made in.

    :param mounts: the text of ``/proc/self/mountinfo``; default: this machine's.
    """
    place = lines.single("router", "database")

    def found(level: Level, says: str) -> Diagnosis:
        shown = None if level is Level.OK else place
        return Diagnosis(check="database", level=level, says=says, place=shown)

    files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", ".lock"))]
    try:
        folder = _there(path.parent)
        there = [file for file in files if _exists(file)]
    except OSError as error:
        yield found(
            Level.WRONG,
            f"{path} cannot be looked at by this user ({error.strerror}). Run this as the user "
            "that runs the router; if you do, give the folder to that user.",
        )
        return
    kind, read_only = file_system(folder.resolve(), _mounts() if mounts is None else mounts)
    closed = [file for file in there if not os.access(file, os.R_OK | os.W_OK)]
    if read_only:
        yield found(
            Level.WRONG,
            f"{folder} is on a file system that is mounted read only, so nothing can be kept "
            "there. Mount it so that it can be written; if it was, the system's log (dmesg) says "
            "whether the disk is failing.",
        )
    elif closed:
        yield found(
            Level.WRONG,
            f"{closed[0]} cannot be read and written by this user. Run this as the user that runs "
            "the router; if you do, give the file to that user.",
        )
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield found(
            Level.WRONG,
            f"{folder} cannot be written by this user, and SQLite keeps more files beside its "
            "database. Run this as the user that runs the router; if you do, give the folder to "
            "that user.",
        )
    elif path not in there:
        yield found(Level.WARNING, f"{path} is not there yet; `router run` makes it.")
    else:
        yield found(Level.OK, f"{path} can be read and written.")
    if kind in _REMOTE:
        yield found(
            Level.WRONG,
            f"The database lies on {kind}, a file system of another machine. SQLite's log and "
            "locks do not hold there: it can be damaged. Put it on a disk of this machine, or use "
            "PostgreSQL (`router db move`).",
        )
    elif kind in _IN_MEMORY:
        yield found(
            Level.WRONG,
            f"The database lies on {kind}, in memory: everything is lost when this machine or "
            "container stops. Put it on a disk.",
        )
    elif kind == "overlay":
        yield found(
            Level.WARNING,
            "The database lies on overlay, most likely in the container itself: it is lost with "
            "the container. Give it a volume.",
        )


def files_folder(folder: Path, lines: Lines, *, mounts: str | None = None) -> Iterator[Diagnosis]:
    """Look at the folder in which customers' files are kept, or are going to be.

    :param mounts: the text of ``/proc/self/mountinfo``; default: this machine's.
    """
    place = lines.single("media", "store")

    def wrong(says: str) -> Diagnosis:
        return Diagnosis(check="media", level=Level.WRONG, says=says, place=place)

    try:
        there = _there(folder)
    except OSError as error:
        yield wrong(
            f"{folder} cannot be looked at by this user ({error.strerror}). Run this as the user "
            "that runs the router; if you do, give the folder to that user."
        )
        return
    if not there.is_dir():
        yield wrong(f"{there} is no folder, so customers' files cannot be kept there. Move it.")
    elif file_system(there.resolve(), _mounts() if mounts is None else mounts)[1]:
        yield wrong(
            f"{there} is on a file system that is mounted read only, so customers' files cannot "
            "be kept there. Name another folder, or let the router write into this one; under "
            "systemd that is what ProtectSystem= and StateDirectory= say."
        )
    elif not os.access(there, os.W_OK | os.X_OK):
        yield wrong(
            f"{there} cannot be written by this user, so customers' files cannot be kept there. "
            "Run this as the user that runs the router; if you do, give the folder to that user."
        )
    else:
        says = f"Customers' files can be kept in {folder}."
        yield Diagnosis(check="media", level=Level.OK, says=says)


def _mounts() -> str:
    return _MOUNTS.read_text(encoding="utf-8") if _MOUNTS.exists() else ""


def room(settings: Settings, database: Path | None) -> Iterator[Diagnosis]:
    """Look at how much room the disks of the database and of customers' files have."""
    folders: dict[int, tuple[str, Path]] = {}
    places = [] if database is None else [("the database", database.parent)]
    if "://" not in settings.media.store:
        places.append(("customers' files", Path(settings.media.store)))
    for what, folder in places:
        try:
            there = _there(folder)
            folders.setdefault(there.stat().st_dev, (what, there))
        except OSError:
            continue  # of the database it was said above; what cannot be seen is not judged
    for what, folder in folders.values():
        yield judged(what, folder, shutil.disk_usage(folder).free)


def judged(what: str, folder: Path, free: int) -> Diagnosis:
    """Say whether so much room is enough.

    :param free: in bytes.
    """
    level = Level.OK
    says = f"The disk of {what} ({folder}) has {free / (1 << 30):.1f} GiB left."
    if free < _FULL:
        level = Level.WRONG
        says = (
            f"The disk of {what} ({folder}) has {free // _MIB} MiB left: soon nothing can be "
            "taken in. Make room."
        )
    elif free < _TIGHT:
        level = Level.WARNING
        says = f"The disk of {what} ({folder}) has only {free // _MIB} MiB left."
    return Diagnosis(check="disk", level=level, says=says)


def configuration(problems: Sequence[str], warnings: Sequence[str], fine: str) -> list[Diagnosis]:
    """Say what is wrong or doubtful in the files.

    :param problems: what keeps the router from running.
    """
    found = [Diagnosis(check="configuration", level=Level.WRONG, says=it) for it in problems]
    found += [Diagnosis(check="configuration", level=Level.WARNING, says=it) for it in warnings]
    return found or [Diagnosis(check="configuration", level=Level.OK, says=fine)]
