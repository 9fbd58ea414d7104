"""The control socket, over a real socket: who may ask, what is answered, what breaks."""

import asyncio
import json
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from router.errors import ActRefused, DaemonUnreachable, NotFound, RouterError, StorageUnavailable
from router.pipeline.people.control import LIMIT, ask, commands, serve, socket_path
from router.plugin.testing import RecordingLog
from tests.integration.acts.desk import Channels
from tests.integration.engine.harness import ANA, opened


async def perform(name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    match name:
        case "echo":
            return arguments
        case "not_json":
            return {"value": {1, 2}}
        case "missing":
            raise NotFound('there is no draft "x"')
        case "refused":
            raise ActRefused('draft "x" is approved already, by ana')
        case "away":
            raise StorageUnavailable("SQLite: disk I/O error")
        case "slow":
            await anyio.sleep_forever()
    message = "a bug"
    raise KeyError(message)


async def asked(path: Path, name: str, **arguments: Any) -> dict[str, Any]:
    timeout = 0.2 if name == "slow" else 30.0
    return await anyio.to_thread.run_sync(
        lambda: ask(path, name, arguments, timeout=timeout), abandon_on_cancel=True
    )


async def test_what_is_asked_is_answered(tmp_path: Path) -> None:
    path = socket_path(tmp_path / "router.db")
    async with serve(path, perform, RecordingLog()):
        mode = stat.S_IMODE(path.stat().st_mode)
        answers = [await asked(path, "echo", text=text) for text in ("¿Sí? ñ\n", "x" * 200_000)]

    assert path == tmp_path / "router.db.sock"
    assert mode == 0o600
    assert answers == [{"text": "¿Sí? ñ\n"}, {"text": "x" * 200_000}]
    assert not path.exists()


@pytest.mark.parametrize(
    "name, kind, words",
    [
        ("missing", NotFound, 'there is no draft "x"'),
        ("refused", ActRefused, 'draft "x" is approved already, by ana'),
        ("away", RouterError, "SQLite: disk I/O error"),
        (
            "bug",
            RouterError,
            "\"bug\" broke inside the daemon: KeyError('a bug'). Its log says where",
        ),
    ],
)
async def test_what_goes_wrong_there_is_said_here(
    tmp_path: Path, name: str, kind: type[RouterError], words: str
) -> None:
    path, log = tmp_path / "s", RecordingLog()
    async with serve(path, perform, log):
        with pytest.raises(RouterError) as caught:
            await asked(path, name)
        assert await asked(path, "echo", still="here") == {"still": "here"}

    assert type(caught.value) is kind
    assert str(caught.value) == words
    assert [entry.event for entry in log.entries] == (["a command broke"] if name == "bug" else [])


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"nonsense\n",
        b"[]\n",
        b'{"do": "echo"}\n',
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b"x" * (LIMIT + 100_000),
    ],
    ids=["empty", "no JSON", "no object", "no arguments", "no text", "too deep", "too long"],
)
async def test_a_line_that_is_no_request_is_refused_and_harms_nobody(
    tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "s"
    async with serve(path, perform, RecordingLog()):
        stream = await anyio.connect_unix(path)
        async with stream:
            answer = b""
            try:
                await stream.send(line)
                while not answer.endswith(b"\n"):
                    answer += await stream.receive()
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                assert len(line) > LIMIT  # the daemon hangs up in the middle of it
        assert await asked(path, "echo", still="here") == {"still": "here"}

    if answer:
        assert json.loads(answer)["failed"].startswith("the request cannot be read: ")


@pytest.mark.parametrize("name", ["\ud800", "echo", "not_json", ["a", "list"]])
async def test_half_characters_and_what_is_no_json_break_one_answer_at_most(
    tmp_path: Path, name: Any
) -> None:
    path = tmp_path / "s"
    async with serve(path, perform, RecordingLog()):
        try:
            answer = await asked(path, name, text="\ud800")
        except RouterError as error:
            answer = {"said": str(error)}
        assert await asked(path, "echo", still="here") == {"still": "here"}

    if name == "echo":
        assert answer == {"text": "\ud800"}
    else:
        assert "broke inside the daemon: " in answer["said"]


async def test_who_hangs_up_without_a_word_harms_nobody(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serve(path, perform, RecordingLog()):
        stream = await anyio.connect_unix(path)
        await stream.aclose()
        assert await asked(path, "echo", still="here") == {"still": "here"}


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))

    with pytest.raises(DaemonUnreachable) as caught:
        await asked(path, "echo")
    async with serve(path, perform, RecordingLog()):
        answer = await asked(path, "echo", now="alive")

    assert str(caught.value) == (
        f"nobody listens on {path}. Whoever has the database open is no running daemon, or is just "
        "starting or stopping: try again"
    )
    assert answer == {"now": "alive"}


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("mine")

    with pytest.raises(RouterError, match=f"cannot listen on {path}: "):
        async with serve(path, perform, RecordingLog()):
            raise AssertionError

    assert path.read_text() == "mine"


async def test_a_database_deep_in_folders_has_a_socket_too(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 60) / ("e" * 60)
    folder.mkdir(parents=True)
    path = socket_path(folder / "router.db")
    async with serve(path, perform, RecordingLog()):
        answer = await asked(path, "echo", deep="down")

    assert answer == {"deep": "down"}
    assert not path.exists()


async def test_a_daemon_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serve(path, perform, RecordingLog()):
        with pytest.raises(DaemonUnreachable) as caught:
            await asked(path, "slow")

    assert str(caught.value) == f"the daemon did not answer on {path} within 0.2 s. See its log"


async def test_a_daemon_that_hangs_up_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    server = await asyncio.start_unix_server(hang_up, path)
    async with server:
        with pytest.raises(DaemonUnreachable) as caught:
            await asked(path, "echo")

    assert str(caught.value) == f"{path} was closed before the daemon answered"


async def test_acts_and_the_status_are_what_a_daemon_serves(tmp_path: Path) -> None:
    async with opened("sqlite", tmp_path) as engine:
        await engine.answer("hola", "¡Hola!")
        path = socket_path(tmp_path / "router.db")
        served = commands(engine.store, Channels(), lambda: {"pid": 7})
        async with serve(path, served, RecordingLog()):
            status = await asked(path, "status")
            taken = await asked(path, "conversations.take", id=str(ANA), by="ana")
            with pytest.raises(NotFound) as caught:
                await asked(path, "drafts.approve", id="nix", by="ana")

    assert status == {"pid": 7}
    assert (taken["conversation"]["owner"], taken["withdrawn"]) == ("ana", 1)
    assert str(caught.value) == 'there is no draft "nix"'


async def test_who_is_slow_to_speak_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with (
        serve(path, perform, RecordingLog(), patience=0.05),
        await anyio.connect_unix(path) as stream,
    ):
        answer = json.loads(await stream.receive())

    assert answer == {"failed": "the request cannot be read: TimeoutError()"}
