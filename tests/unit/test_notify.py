import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from router.notify import Notifier


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """Listen as systemd does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(1)
        yield listener


def heard(listener: socket.socket) -> list[str]:
    """Give the datagrams that are there."""
    listener.setblocking(False)
    found = []
    while True:
        try:
            found.append(listener.recv(4096).decode())
        except BlockingIOError:
            return found


@pytest.mark.parametrize("abstract", [False, True])
def test_service_manager_hears_of_start_life_and_stop(tmp_path: Path, abstract: bool) -> None:
    path = f"{tmp_path}/notify"
    name, address = (f"@{path}", f"\0{path}") if abstract else (path, path)
    with manager(address) as listener:
        notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"})
        notifier.ready("serving at 127.0.0.1:8000")
        notifier.alive("serving at 127.0.0.1:8000")
        notifier.alive("not ready:\nchannels.phone")
        notifier.stopping()

        assert heard(listener) == [
            "READY=1\nSTATUS=serving at 127.0.0.1:8000",
            "WATCHDOG=1",
            "STATUS=not ready: channels.phone\nWATCHDOG=1",
            "STOPPING=1\nSTATUS=letting what is under way end",
        ]


def test_without_a_watchdog_only_news_is_told(tmp_path: Path) -> None:
    with manager(f"{tmp_path}/notify") as listener:
        notifier = Notifier({"NOTIFY_SOCKET": f"{tmp_path}/notify"})
        notifier.ready("a")
        notifier.alive("a")
        notifier.alive("b")

        assert heard(listener) == ["READY=1\nSTATUS=a", "STATUS=b"]


@pytest.mark.parametrize(
    "environment, wanted, watchdog",
    [
        ({}, False, None),
        ({"NOTIFY_SOCKET": ""}, False, None),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, False, None),
        ({"NOTIFY_SOCKET": "/run/notify"}, True, None),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "20000000"}, True, 20.0),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "0"}, True, None),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "soon"}, True, None),
        (
            {
                "NOTIFY_SOCKET": "/run/notify",
                "WATCHDOG_USEC": "20000000",
                "WATCHDOG_PID": str(os.getpid()),
            },
            True,
            20.0,
        ),
        (
            {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"},
            True,
            None,
        ),
    ],
)
def test_environment_says_who_listens_and_how_often(
    environment: dict[str, str], wanted: bool, watchdog: float | None
) -> None:
    notifier = Notifier(environment)

    assert (notifier.wanted, notifier.watchdog) == (wanted, watchdog)
    assert environment == {}  # no child of ours speaks for us


def test_manager_that_is_away_stops_nothing(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": f"{tmp_path}/nobody"})

    notifier.ready("serving")
    notifier.alive("still serving")
    notifier.stopping()
