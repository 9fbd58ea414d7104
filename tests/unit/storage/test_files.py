"""Files that may be another user's: said in words, never taken for files that are not there."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from router.errors import StorageUnavailable
from router.storage.database.migrating import revision_of
from router.storage.files import check_readable, refused, unmade, unusable
from router.storage.sqlite.lock import holder

#: A name that no file system takes is the one refusal that the superuser gets, too.
REFUSED = "x" * 300
WRITE = (
    ". It and its folder have to be written: run this as the user that runs the router, or give "
    "them to that user"
)
RESTORE = ". Restore a backup (`router db restore`) in a new place, and keep this one for a look"


def test_another_users_file_names_who_may_use_it() -> None:
    said = unusable(Path("router.db"), PermissionError(13, "Permission denied"))

    assert str(said) == (
        "router.db cannot be used: Permission denied. Run this as the user that runs the router"
    )


def test_a_file_that_is_there_is_told_from_one_that_is_not(tmp_path: Path) -> None:
    there = tmp_path / "router.db"
    there.touch()

    assert check_readable(there)
    assert not check_readable(tmp_path / "none.db")
    assert not check_readable(there / "below-a-file.db")


@pytest.mark.parametrize("ask", [check_readable, revision_of, holder])
def test_what_the_system_refuses_to_tell_is_said_in_words(ask: object, tmp_path: Path) -> None:
    assert callable(ask)
    with pytest.raises(StorageUnavailable, match="cannot be used: File name too long"):
        ask(tmp_path / REFUSED)


@pytest.mark.parametrize(
    "number, remedy",
    [
        (errno.EACCES, ". Let the user that runs the router write into data"),
        (errno.EROFS, ". Let the user that runs the router write into data"),
        (errno.ENOSPC, ". [router] database says where it is"),
        (errno.EEXIST, ". [router] database says where it is"),
    ],
)
def test_a_folder_that_may_not_be_written_says_who_has_to(number: int, remedy: str) -> None:
    said = unmade(Path("data/router.db.lock"), OSError(number, os.strerror(number)))

    assert str(said) == f"data/router.db.lock cannot be made: {os.strerror(number)}{remedy}"


@pytest.mark.parametrize(
    "code, says, remedy",
    [
        (sqlite3.SQLITE_READONLY, "attempt to write a readonly database", WRITE),
        (sqlite3.SQLITE_READONLY_DBMOVED, "attempt to write a readonly database", WRITE),
        (sqlite3.SQLITE_CANTOPEN, "unable to open database file", WRITE),
        (sqlite3.SQLITE_CORRUPT, "database disk image is malformed", RESTORE),
        (sqlite3.SQLITE_NOTADB, "file is not a database", RESTORE),
        (sqlite3.SQLITE_FULL, "database or disk is full", ""),
        (sqlite3.SQLITE_IOERR, "disk I/O error", ""),
    ],
)
def test_what_sqlite_refuses_says_what_to_do(
    tmp_path: Path, code: int, says: str, remedy: str
) -> None:
    error = sqlite3.OperationalError(says)
    error.sqlite_errorcode = code
    path = tmp_path / "router.db"
    path.touch()

    said = refused(path, error)

    assert str(said) == f"{path} cannot be used: {says}{remedy}"
