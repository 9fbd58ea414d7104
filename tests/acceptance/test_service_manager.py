"""The daemon as a process under a service manager that listens as systemd does."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import ARTICLES, Daemon, folder_of, router_toml, wait_for

RULES = """
[default]
answer = "assistant"
"""


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "600000")
        yield listener


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    files = {**ARTICLES, "rules.toml": RULES}
    with folder_of(tmp_path / "site", router_toml("http://127.0.0.1:1"), files) as daemon:
        yield daemon


def test_service_manager_is_told_of_readiness_of_life_and_of_the_stop(
    daemon: Daemon, manager: socket.socket
) -> None:
    told: list[list[str]] = []

    def heard(line: str) -> bool:
        while True:
            try:
                told.append(manager.recv(4096).decode().split("\n"))
            except BlockingIOError:
                break
        return any(line in message for message in told)

    daemon.spawn()
    wait_for(lambda: heard("READY=1"), "told that it is ready")
    assert daemon.ready  # not a moment too early
    told_before = len(told)
    wait_for(lambda: heard("WATCHDOG=1"), "told that it lives")
    wait_for(lambda: heard("") or len(told) > told_before + 3, "told so again and again")
    assert daemon.stop() == 0
    assert heard("STOPPING=1")

    address = daemon.url.removeprefix("http://")
    assert told[0] == ["READY=1", f"STATUS=serving at {address}"]
    assert sum("READY=1" in message for message in told) == 1


def test_start_that_fails_is_never_ready(
    tmp_path: Path, daemon: Daemon, manager: socket.socket
) -> None:
    (tmp_path / "site" / "rules.toml").write_text("[[rule]]\n")
    daemon.spawn()

    assert daemon.wait() == 2
    with pytest.raises(BlockingIOError):
        manager.recv(4096)
