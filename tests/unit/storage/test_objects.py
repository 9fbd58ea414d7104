import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from router.errors import ConfigError, NotFound, StorageUnavailable
from router.storage.objects import AT_ONCE, Objects, digest_of

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


@contextmanager
def stalled(folder: Path) -> Iterator[threading.Event]:
    """Let a file stand there that whoever opens it waits for, as on a disk that is gone.

    It gives way at the end, or after so long that the test has failed; then the event is set.
    """
    path, gave_way = folder / "main" / DIGEST[:2] / DIGEST, threading.Event()
    path.parent.mkdir(parents=True)
    os.mkfifo(path)

    def give_way() -> None:
        gave_way.set()
        os.close(os.open(path, os.O_RDWR))

    late = threading.Timer(30, give_way)
    late.start()
    try:
        yield gave_way
    finally:
        late.cancel()
        give_way()


async def test_a_limit_around_a_call_holds_where_the_disk_stalls(tmp_path: Path) -> None:
    with stalled(tmp_path) as gave_way:
        with anyio.move_on_after(0.2) as limit:
            await Objects(str(tmp_path)).get("main", DIGEST)

        assert limit.cancelled_caught
        assert not gave_way.is_set()


async def test_a_disk_that_stalls_is_unavailable_and_holds_few_threads_and_nobody_elses(
    tmp_path: Path,
) -> None:
    objects, told, before = Objects(str(tmp_path), limit=0.3), [], set(threading.enumerate())

    async def get() -> None:
        with pytest.raises(StorageUnavailable, match=r"did not answer within 0\.3 s") as caught:
            await objects.get("main", DIGEST)
        told.append(str(caught.value))

    with stalled(tmp_path) as gave_way:
        async with anyio.create_task_group() as tasks:
            for _ in range(60):  # more than there are threads that everybody shares
                tasks.start_soon(get)
            await anyio.sleep(0.1)
            assert await anyio.to_thread.run_sync(lambda: "mine") == "mine"

        assert len(told) == 60
        ours = [it for it in set(threading.enumerate()) - before if it.name.startswith("router")]
        assert len(ours) == AT_ONCE
        assert not gave_way.is_set()


async def test_a_store_that_says_nothing_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {
            "AWS_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "y",
            "AWS_REGION": "us-east-1",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

        with pytest.raises(StorageUnavailable, match=r"'s3://bucket/x' did not answer within"):
            await Objects("s3://bucket/x", limit=0.5).get("main", DIGEST)


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
