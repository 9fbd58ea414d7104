import subprocess
import sys
from pathlib import Path

import pytest

from router.errors import ConfigError, NotFound, StorageUnavailable
from router.storage.objects import Objects, digest_of

HELLO = b"hola"
DIGEST = digest_of(HELLO)


async def test_bytes_come_back_by_their_digest(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path / "media"))

    assert await objects.put("main", HELLO) == DIGEST

    assert await objects.get("main", DIGEST) == HELLO


async def test_same_bytes_are_one_file(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path))
    await objects.put("main", HELLO)
    await objects.put("main", HELLO)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]

    assert files == [tmp_path / "main" / DIGEST[:2] / DIGEST]


async def test_a_tenant_does_not_find_another_ones_bytes(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path))
    await objects.put("flores", HELLO)

    with pytest.raises(NotFound):
        await objects.get("taller", DIGEST)


async def test_what_was_removed_is_gone_and_may_be_removed_again(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path))
    await objects.put("main", HELLO)
    await objects.remove("main", DIGEST)
    await objects.remove("main", DIGEST)

    with pytest.raises(NotFound):
        await objects.get("main", DIGEST)


async def test_damaged_bytes_are_not_given_out(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path))
    await objects.put("main", HELLO)
    (tmp_path / "main" / DIGEST[:2] / DIGEST).write_bytes(b"otra cosa")

    with pytest.raises(NotFound, match="is damaged"):
        await objects.get("main", DIGEST)


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", DIGEST.upper(), DIGEST + "0"])
async def test_only_digests_are_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no digest"):
        await Objects(str(tmp_path)).get("main", name)


async def test_nobody_else_may_look_into_the_folder(tmp_path: Path) -> None:
    await Objects(str(tmp_path / "media")).put("main", HELLO)

    assert (tmp_path / "media").stat().st_mode & 0o077 == 0


async def test_a_place_that_takes_no_files_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("")

    with pytest.raises(StorageUnavailable, match=r"files cannot be kept in '.*media': "):
        await Objects(str(tmp_path / "media")).put("main", HELLO)


async def test_an_address_that_is_none_is_said_in_words() -> None:
    with pytest.raises(ConfigError, match=r"'ftp://x' is no place to keep files: .*s3://"):
        await Objects("ftp://x").put("main", HELLO)


def test_a_process_that_kept_files_ends_well(tmp_path: Path) -> None:
    code = (
        "import asyncio, contextlib\n"
        "from router.errors import NotFound\n"
        "from router.storage.objects import Objects\n"
        "async def main():\n"
        f"    objects = Objects({str(tmp_path)!r})\n"
        "    digest = await objects.put('main', b'x')\n"
        "    with contextlib.suppress(NotFound):\n"
        "        await objects.get('other', digest)\n"
        "asyncio.run(main())\n"
    )
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], check=False, timeout=150)

        assert done.returncode == 0
