"""Files that may be another user's: said in words, never taken for files that are not there."""

from pathlib import Path

import pytest

from router.errors import StorageUnavailable
from router.storage.files import check_readable, unusable
from router.storage.lock import holder
from router.storage.migrating import revision_of

#: A name that no file system takes is the one refusal that the superuser gets, too.
REFUSED = "x" * 300


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
