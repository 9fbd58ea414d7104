"""What hangs keeps nobody else waiting: neither as the router starts nor as it stops."""

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.daemon import ARTICLES, PLUGIN, Daemon, folder_of, router_toml, wait_for

ANA = "tel:+573000000001"
RULES = """
default.ignore = "nobody asked"

[[rule]]
id = "tell"
when.text.words = "avisa"
then.run = [{ action = "stuck", text = "x" }]
"""
#: As the log names it.
STALL = "router_plugin_file_stuck.Stuck.stall"


@contextmanager
def stuck(folder: Path, how: str, *, timeout: str = "1s") -> Iterator[Daemon]:
    """Give a daemon, not started yet, with an action that hangs.

    :param how: see the plugin.
    """
    stalls = folder / "stalls"
    stalls.touch()
    action = f"""
[actions.stuck]
type = "stuck"
stalls = "{stalls}"
how = "{how}"
timeout = "{timeout}"
"""
    config = router_toml("http://127.0.0.1:9", server='drain = "1s"', more=action)
    beside = PLUGIN.with_name("stuck.py")
    config = config.replace(f'["{PLUGIN}"]', f'["{PLUGIN}", "{beside}"]')
    with folder_of(folder / "home", config, {"rules.toml": RULES, **ARTICLES}) as daemon:
        yield daemon


def hang(daemon: Daemon) -> None:
    """Start it, and let its action be asked for."""
    daemon.start()
    daemon.say("m1", ANA, "avisa")
    wait_for(lambda: bool(daemon.rows("SELECT 1 FROM outbox WHERE state = 'started'")), "started")


def told(daemon: Daemon) -> list[dict[str, Any]]:
    return [json.loads(line) for line in daemon.errors]


@pytest.mark.parametrize("how", ["worker", "executor"])
def test_a_router_that_has_stopped_waits_for_no_thread(tmp_path: Path, how: str) -> None:
    with stuck(tmp_path, how) as daemon:
        hang(daemon)

        assert daemon.stop() == 0

        assert [each["event"] for each in told(daemon)[-2:]] == [
            "stopped",
            "not waiting for threads that do not end",
        ]
        assert any(each.endswith(f": {STALL}") for each in told(daemon)[-1]["threads"]), daemon.log
        assert not daemon.database.with_name("router.db.sock").exists()


def test_a_router_that_has_stopped_need_not_tell_of_an_instances_own_threads(
    tmp_path: Path,
) -> None:
    with stuck(tmp_path, "own") as daemon:
        hang(daemon)

        assert daemon.stop() == 0

        assert told(daemon)[-1]["event"] == "stopped"


def test_a_stop_that_hangs_is_ended_and_the_log_says_what_hung(tmp_path: Path) -> None:
    with stuck(tmp_path, "end") as daemon:
        daemon.start()

        assert daemon.stop() == 1

        last = told(daemon)[-1]
        assert last["event"] == "the stop takes too long: ended"
        assert any(each.endswith(f": {STALL}") for each in last["threads"]), daemon.log
        assert any("Lifespans" in each for each in last["tasks"]), daemon.log


def test_who_asks_twice_need_not_wait_for_what_hangs(tmp_path: Path) -> None:
    with stuck(tmp_path, "end") as daemon:
        daemon.start()
        daemon.signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in daemon.log, "stopping")

        assert daemon.stop() == 1

        assert [each["event"] for each in told(daemon)[-2:]] == [
            "told to stop twice: leaving what is under way",
            "the stop takes too long: ended",
        ]


def test_a_hangup_during_the_start_ends_nothing_and_is_heeded_after_it(tmp_path: Path) -> None:
    with stuck(tmp_path, "start", timeout="60s") as daemon:
        daemon.spawn()
        wait_for(daemon.database.exists, "starting")

        daemon.signal(signal.SIGHUP)
        (tmp_path / "stalls").unlink()

        wait_for(lambda: '"reloaded"' in daemon.log or not daemon.alive, "told")
        assert daemon.ready
        assert daemon.stop() == 0


def test_an_instance_that_hangs_as_it_starts_keeps_only_its_own_waiting(tmp_path: Path) -> None:
    with stuck(tmp_path, "start", timeout="50s") as daemon:
        daemon.start()

        daemon.say("m1", ANA, "avisa")
        wait_for(lambda: len(daemon.rows("SELECT 1 FROM outbox")) == 1, "decided")
        assert re.search(r"actions\.stuck +stuck +.*starting", daemon.command("status"))
        assert daemon.rows("SELECT state, attempt FROM outbox") == [("waiting", 0)]

        (tmp_path / "stalls").unlink()
        wait_for(lambda: daemon.rows("SELECT state FROM outbox") == [("done",)], "done")
        assert "attempt failed" not in daemon.log
        assert daemon.stop() == 0


def test_an_instance_that_hangs_as_it_starts_can_be_taken_out(tmp_path: Path) -> None:
    with stuck(tmp_path, "start", timeout="50s") as daemon:
        daemon.start()
        config = daemon.folder / "router.toml"

        config.write_text(config.read_text().partition("[actions.stuck]")[0] + "# without it\n")
        (daemon.folder / "rules.toml").write_text(RULES.partition("[[rule]]")[0])

        wait_for(lambda: '"reloaded"' in daemon.log or not daemon.alive, "taken out")
        daemon.say("m1", ANA, "avisa")
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log
