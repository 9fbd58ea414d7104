"""One node: a process that is started, lives through something, is killed, and is started again."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread

from tests.acceptance.daemon import Daemon
from tests.proof.logs import strange

#: How long a process may take to come to a failpoint while traffic flows.
PATIENCE = 15.0
#: The same of a poll: whoever took one and died keeps it from the other nodes for that long.
POLLED = PATIENCE + 20.0
#: How long one may take to be as it was when a trouble is over.
RECOVERY = 30.0

_LOOK = 0.01
_WATCH = 0.02


class Node:
    """A place in which one process after another lives.

    :param log: what the processes say goes here.
    """

    def __init__(self, number: int, daemon: Daemon, log: Path) -> None:
        self.number = number
        self.daemon = daemon
        self.frozen = False
        #: What its processes said that none should have had to.
        self.strange: list[str] = []
        #: How long the process now living took until it served, once it did.
        self.boot: float | None = None
        #: The number under which it leases, where there are several nodes.
        self.identity: int | None = None
        self._log = log

    @property
    def door(self) -> str | None:
        """Where it can be reached, if its process has said so."""
        return self.daemon.url if self.daemon.alive and self.daemon.url else None

    async def start(self, failpoint: str | None = None) -> float | None:
        """Start a process; give how long it took to serve, or ``None`` if it died before."""
        began = time.monotonic()
        self.boot = None
        self.daemon.spawn(failpoint=failpoint)
        if not await until(lambda: bool(self.daemon.url) or not self.daemon.alive, RECOVERY):
            message = f"node {self.number} never began to serve:\n{self.daemon.log[-4000:]}"
            raise AssertionError(message)
        self.boot = time.monotonic() - began if self.daemon.url else None
        return self.boot

    async def kill(self) -> None:
        """End the process as ``kill -9`` does, if it has not ended itself."""
        if self.daemon.alive:
            self.daemon.signal(signal.SIGKILL)
        await self.buried()

    async def buried(self) -> int:
        """Wait for the process's end, keep what it said, and give its exit status."""
        status = await anyio.to_thread.run_sync(self.daemon.wait)
        said = self.daemon.log
        with self._log.open("a") as log:
            log.write(f"--- node {self.number} ended with {status}\n{said}")
        self.strange += strange(said, killed=status != 0)
        return status

    async def stop(self) -> int:
        """Ask the process to stop; give its exit status."""
        self.daemon.signal(signal.SIGTERM)
        return await self.buried()

    async def freeze(self, seconds: float) -> None:
        """Stop the process in its tracks for some time, as a machine under a debugger does."""
        self.frozen = True
        os.kill(self.daemon.pid, signal.SIGSTOP)
        try:
            await anyio.sleep(seconds)
        finally:
            if self.daemon.alive:
                os.kill(self.daemon.pid, signal.SIGCONT)
            self.frozen = False


async def until(happened: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition without keeping others from their work; say whether it came true."""
    with anyio.move_on_after(seconds):
        while True:
            if happened():
                return True
            await anyio.sleep(_LOOK)
    return False
