"""Files that are there whole or not at all."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.whole import PRIVATE, write_whole
from tests.fulldisk import files_end_at


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_cannot_be_written_whole_leaves_nothing(tmp_path: Path) -> None:
    with files_end_at(100), pytest.raises(OSError, match=r"too large: .*file'$"):
        write_whole(tmp_path / "file", [b"x" * 200])

    assert [it.name for it in tmp_path.iterdir()] == []


def test_what_cannot_be_written_whole_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("before", encoding="utf-8")

    def breaking() -> Iterator[bytes]:
        yield b"a beginning"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(file, breaking())

    assert file.read_text(encoding="utf-8") == "before"
    assert [it.name for it in tmp_path.iterdir()] == ["file"]


def test_a_file_that_is_replaced_keeps_its_mode_and_a_new_one_gets_what_is_asked(
    tmp_path: Path,
) -> None:
    there, new = tmp_path / "there", tmp_path / "new"
    there.write_text("", encoding="utf-8")
    there.chmod(0o640)

    write_whole(there, [b"a", b"b"], mode=PRIVATE)
    write_whole(new, [b"a"], mode=PRIVATE)

    assert (there.read_bytes(), mode(there), mode(new)) == (b"ab", 0o640, 0o600)


def test_a_new_file_replaces_nothing_not_even_a_link_to_nowhere(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")

    with pytest.raises(FileExistsError):
        write_whole(link, [b"a"], new=True)

    assert [it.name for it in tmp_path.iterdir()] == ["link"]


def test_a_link_stays_one_and_a_device_is_written_to(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(file)

    write_whole(link, [b"a"])
    write_whole(Path(os.devnull), [b"a"])

    assert link.is_symlink()
    assert file.read_bytes() == b"a"
    assert not Path(os.devnull).is_file()
