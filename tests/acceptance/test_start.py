"""How the daemon starts: what it keeps to itself, what it says when it cannot, what it survives."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

from tests.acceptance.daemon import ARTICLES, PATIENCE, SECRET, folder_of, router_toml, wait_for

RULES = 'default.ignore = "nobody asked"\n'
FILES = {"rules.toml": RULES, **ARTICLES}
CONFIG = router_toml("http://127.0.0.1:9")
ANA = "tel:+573000000001"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_can_read_what_customers_wrote(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with folder_of(tmp_path / "home", CONFIG, FILES) as daemon:
            daemon.start()
            daemon.say("m1", ANA, "hola")
            folder = daemon.database.parent
            modes = {path.name: mode(path) for path in folder.iterdir()}

            assert mode(folder) == 0o700
            assert {"router.db", "router.db-wal", "router.db-shm"} <= modes.keys()
            assert set(modes.values()) == {0o600}
            assert daemon.stop() == 0
    finally:
        os.umask(before)


def test_a_hangup_stops_nothing(tmp_path: Path) -> None:
    with folder_of(tmp_path, CONFIG, FILES) as daemon:
        daemon.start()
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: '"reloaded"' in daemon.log, "told")
        daemon.say("m1", ANA, "hola")

        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log


def test_what_keeps_it_from_starting_is_said_in_one_line(tmp_path: Path) -> None:
    with folder_of(tmp_path, CONFIG, FILES) as daemon:
        socket = daemon.database.with_name("router.db.sock")
        socket.mkdir(parents=True)
        daemon.spawn()

        assert daemon.wait() == 1
        assert daemon.log == (
            f"cannot listen on {socket}: Address already in use. Commands reach the router there: "
            "remove what is in its place, and let the router write into the folder\n"
        )


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    with folder_of(tmp_path, CONFIG, {**FILES, "data": "a file"}) as daemon:
        daemon.spawn()

        assert daemon.wait() == 1
        assert daemon.errors == [
            (
                f"{daemon.database}.lock cannot be made: File exists. "
                "[router] database says where it is\n"
            )
        ]


def test_a_bad_article_leaves_the_others_known(tmp_path: Path) -> None:
    bad = {"articles/bad.md": "---\ntitel: x\n---\n"}
    with folder_of(tmp_path, CONFIG, {**FILES, **bad}) as daemon:
        daemon.start()
        wait_for(lambda: daemon.rows("SELECT path FROM article") == [("envios.md",)], "known")
        wait_for(lambda: "article not read" in daemon.log, "told")

        assert "bad.md:2:1: " in daemon.log
        daemon.command("status", status=1)
        assert daemon.stop() == 0


def test_the_doctor_finds_the_router_that_runs_on_any_port(tmp_path: Path) -> None:
    with folder_of(tmp_path, CONFIG, FILES) as daemon:
        daemon.start()
        daemon.say("m1", ANA, "hola")

        told = subprocess.run(
            [sys.executable, "-m", "router", "doctor", "--json"],
            cwd=daemon.folder,
            env=daemon.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert daemon.stop() == 0

    found = {(each["check"], each["about"]): each for each in json.loads(told.stdout)["checks"]}
    assert told.returncode == 1
    assert found["public_url", None]["level"] == "wrong"  # it is not set
    assert found["running", None]["says"] == f"The router answers at {daemon.url}."
    assert found["database", None]["level"] == "ok"
    webhooks = found["webhooks", "channels.ledger"]
    assert webhooks["level"] == "ok"
    assert webhooks["says"].endswith("A webhook was accepted since the start.")
    assert SECRET not in told.stdout + told.stderr


def hang(file: Path) -> Path:
    """Let whoever opens a file wait; give what :func:`answer` ends that with."""
    end = file.with_suffix(".end")
    os.mkfifo(end)
    file.unlink(missing_ok=True)
    os.link(end, file)
    return end


def answer(file: Path, end: Path) -> None:
    """Let whoever waits for a file read it, and whoever comes later, too."""
    whole = file.with_suffix(".whole")
    whole.write_text("# nothing\n")
    whole.replace(file)
    end.write_text("# nothing\n")
    end.unlink()


def test_a_file_that_does_not_answer_keeps_nobody_waiting_without_a_word(tmp_path: Path) -> None:
    with folder_of(tmp_path, f'include = ["more.toml"]\n{CONFIG}', FILES) as daemon:
        more = tmp_path / "more.toml"
        end = hang(more)
        daemon.spawn()
        wait_for(lambda: "the start waits for a file or folder" in daemon.log, "told")
        answer(more, end)
        wait_for(lambda: daemon.ready, "ready")

        end = hang(more)
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: "the reload waits for a file or folder" in daemon.log, "told")
        answer(more, end)
        wait_for(lambda: '"reloaded"' in daemon.log, "reloaded")
        assert daemon.stop() == 0
