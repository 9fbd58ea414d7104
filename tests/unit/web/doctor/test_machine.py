"""What the doctor says about the database's file and the disks."""

from pathlib import Path

import pytest

from router.web.doctor.diagnosis import Level, Lines
from router.web.doctor.machine import file_system, files_folder, judged, sqlite_file

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /srv rw - nfs4 server:/srv rw
31 30 0:41 / /srv/fast rw - xfs /dev/sdb1 rw
32 22 0:42 / /mnt/two\040words rw - cifs //server/x rw
33 22 0:43 / /run rw - tmpfs tmpfs rw
34 22 0:44 / /run rw - ext4 /dev/sdc1 rw
35 22 0:45 / /srvx rw - fuse.sshfs x rw
nonsense
"""


@pytest.mark.parametrize(
    "path, kind",
    [
        ("/home/router/data", "ext4"),
        ("/srv/router", "nfs4"),
        ("/srv", "nfs4"),
        ("/srv/fast/data", "xfs"),
        ("/mnt/two words/data", "cifs"),
        ("/run/data", "ext4"),
        ("/srvx/data", "fuse.sshfs"),
    ],
)
def test_the_nearest_mount_says_the_file_system(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == (kind, False)


def test_where_nobody_tells_it_is_not_known() -> None:
    assert file_system(Path("/srv"), "") == (None, False)


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    (tmp_path / "router.toml").write_text('[router]\ndatabase = "sqlite+aiosqlite:///router.db"\n')
    return Lines(tmp_path / "router.toml")


@pytest.mark.parametrize(
    "kind, level, words",
    [
        ("ext4", Level.OK, "can be read and written"),
        ("nfs4", Level.WRONG, "a file system of another machine"),
        ("9p", Level.WRONG, "a file system of another machine"),
        ("tmpfs", Level.WRONG, "in memory"),
        ("overlay", Level.WARNING, "in the container itself"),
    ],
)
def test_a_file_system_that_loses_data_is_told_with_its_line(
    tmp_path: Path, lines: Lines, kind: str, level: Level, words: str
) -> None:
    (tmp_path / "router.db").touch()
    mounts = f"22 1 8:1 / / rw - {kind} x rw"

    *_, last = sqlite_file(tmp_path / "router.db", lines, mounts=mounts)

    assert last.level is level
    assert words in last.says
    expected = None if level is Level.OK else f"{tmp_path / 'router.toml'}:2"
    assert last.place == expected


@pytest.mark.parametrize(
    "mount",
    ["22 1 8:1 / / ro,relatime - ext4 x rw", "22 1 8:1 / / rw - ext4 x ro,errors=remount-ro"],
)
def test_a_disk_that_is_mounted_read_only_is_not_taken_for_another_users(
    tmp_path: Path, lines: Lines, mount: str
) -> None:
    (tmp_path / "router.db").touch()

    (found,) = sqlite_file(tmp_path / "router.db", lines, mounts=mount)

    assert (found.level, found.place) == (Level.WRONG, f"{tmp_path / 'router.toml'}:2")
    assert "mounted read only" in found.says
    assert "user" not in found.says


def test_options_that_only_begin_like_read_only_mean_nothing() -> None:
    mounts = "22 1 8:1 / / rw,root - ext4 x rw,errors=remount-ro"

    assert file_system(Path("/srv"), mounts) == ("ext4", False)


def test_a_place_that_this_user_may_not_look_at_is_told(lines: Lines, tmp_path: Path) -> None:
    # Root may look everywhere, so a name stands in that nobody can look at.
    (found,) = sqlite_file(tmp_path / ("x" * 300) / "router.db", lines, mounts="")

    assert found.level is Level.WRONG
    assert "cannot be looked at by this user" in found.says


def test_a_database_that_is_not_there_yet_is_no_mistake(tmp_path: Path, lines: Lines) -> None:
    (found,) = sqlite_file(tmp_path / "data" / "router.db", lines, mounts="")

    assert found.level is Level.WARNING
    assert "not there yet" in found.says


@pytest.mark.parametrize(
    "free, level",
    [(50 << 20, Level.WRONG), (500 << 20, Level.WARNING), (5 << 30, Level.OK)],
)
def test_room_is_judged(free: int, level: Level) -> None:
    assert judged("the database", Path("/data"), free).level is level


def test_a_place_for_files_that_can_be_written_is_fine(tmp_path: Path, lines: Lines) -> None:
    for folder in (tmp_path, tmp_path / "data" / "media"):
        (found,) = files_folder(folder, lines, mounts="")

        assert (found.check, found.level, found.place) == ("media", Level.OK, None)


@pytest.mark.parametrize(
    "name, mounts, words",
    [
        ("media", "22 1 8:1 / / ro - ext4 x rw", "is on a file system that is mounted read only"),
        ("x" * 300, "", "cannot be looked at by this user (File name too long)"),
        ("router.toml", "", "is no folder"),
        ("router.toml/media", "", "is no folder"),
    ],
)
def test_a_place_where_files_cannot_be_kept_is_told_with_its_line(
    tmp_path: Path, name: str, mounts: str, words: str
) -> None:
    (tmp_path / "router.toml").write_text('[media]\nstore = "media"\n')
    lines = Lines(tmp_path / "router.toml")

    (found,) = files_folder(tmp_path / name, lines, mounts=mounts)

    assert (found.check, found.level) == ("media", Level.WRONG)
    assert found.place == f"{tmp_path / 'router.toml'}:2"
    assert words in found.says
