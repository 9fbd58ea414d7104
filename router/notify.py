"""Telling systemd how the daemon is: ready, alive, stopping.

The protocol (sd_notify(3)) is one datagram of ``KEY=VALUE`` lines to the Unix socket that
``$NOTIFY_SOCKET`` names; an ``@`` in front stands for the NUL of Linux's abstract names.
``$WATCHDOG_USEC`` says how often it wants to hear ``WATCHDOG=1``, ``$WATCHDOG_PID`` from whom. That
is all of it, so it is written out here: ``sdnotify`` has seen no release since 2017, and
``systemd-python`` needs a compiler and systemd's headers where it is installed.
"""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress


class Notifier:
    """Speaks to the service manager that started this process; without one it says nothing.

    A message that cannot be delivered is dropped: no service manager may stop the daemon by being
    away or slow. The variables are taken out of the environment, so that no child speaks for us.

    :param environment: ``os.environ`` but for tests.
    """

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        variables = os.environ if environment is None else environment
        self._address = _address(variables.pop("NOTIFY_SOCKET", ""))
        #: Seconds after which the service manager gives the process up; ``None``: it does not.
        self.watchdog = _watchdog(
            variables.pop("WATCHDOG_USEC", ""), variables.pop("WATCHDOG_PID", "")
        )
        self._status = ""

    @property
    def wanted(self) -> bool:
        """Whether somebody listens."""
        return self._address is not None

    def ready(self, status: str) -> None:
        """Say that the start is over."""
        self._status = status
        self._send("READY=1", f"STATUS={_line(status)}")

    def alive(self, status: str) -> None:
        """Say that the process is alive, and how it is, where that is news."""
        news = [f"STATUS={_line(status)}"] if status != self._status else []
        self._status = status
        if self.watchdog is not None:
            news.append("WATCHDOG=1")
        if news:
            self._send(*news)

    def stopping(self) -> None:
        """Say that the stop has begun."""
        self._send("STOPPING=1", "STATUS=letting what is under way end")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), self._address)


def _address(text: str) -> str | None:
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _watchdog(microseconds: str, pid: str) -> float | None:
    if pid and pid != str(os.getpid()):
        return None
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None


def _line(text: str) -> str:
    return " ".join(text.split())
