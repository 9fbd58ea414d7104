"""The daemon as a process of its own, in a folder of its own."""

import hmac
import json
import os
import re
import resource
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from router.failpoints import VARIABLE

PLUGIN = Path(__file__).parent / "plugins" / "ledger.py"
SECRET = "s3cret-of-the-ledger"
SIGNATURE = "X-Ledger-Signature"

#: Nobody waits longer than this for anything.
PATIENCE = 60.0

#: Nothing here is encrypted, and to make one of these for each call takes longer than the call.
TLS = ssl.create_default_context()

_HEALTH = re.compile(r"^Health:\s+(http://\S+)/health/ready$")


def sign(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """Give the header with which the provider of a ledger channel signs a body."""
    return {SIGNATURE: hmac.digest(secret.encode(), body, "sha256").hex()}


def signed(message: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Give a webhook's body and headers."""
    body = json.dumps(message).encode()
    return body, {"Content-Type": "application/json", **sign(body)}


def wait_for(happened: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Poll a condition.

    :param what: for the message when it never comes true.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        time.sleep(0.02)


class Daemon:
    """A router.toml in a folder, and the process that serves it, started as often as one likes.

    :param files: other files by their paths in the folder.
    :param variables: environment variables that the process has besides ours.
    """

    def __init__(
        self,
        folder: Path,
        config: str,
        files: Mapping[str, str],
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.variables = {"LEDGER_SECRET": SECRET, **(variables or {})}
        self.url = ""
        self.errors: list[str] = []
        self.printed: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "router.toml").write_text(config)
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    # --- the process

    @property
    def database(self) -> Path:
        return self.folder / "data" / "router.db"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def environment(self, failpoint: str | None = None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != VARIABLE}
        if failpoint is not None:
            kept[VARIABLE] = failpoint
        return {**kept, **self.variables}

    def spawn(self, *, failpoint: str | None = None) -> None:
        """Start a process; it may not serve yet, or never."""
        assert not self.alive
        self.url = ""
        self.printed, self.errors = [], []
        process = subprocess.Popen(
            [sys.executable, "-m", "router", "run", "-c", "router.toml", "--port", "0"],
            cwd=self.folder,
            env=self.environment(failpoint),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
        )
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [_follow(process.stdout, self._heard), _follow(process.stderr, self._told)]

    def start(self, *, failpoint: str | None = None) -> None:
        """Start a process, and wait until it is ready."""
        self.spawn(failpoint=failpoint)
        wait_for(lambda: self.ready or not self.alive, "ready")
        assert self.alive, f"it ended with {self.wait()}:\n" + self.log

    @property
    def ready(self) -> bool:
        return self.health() == (200, [])

    def health(self) -> tuple[int, list[str]] | None:
        """Give the status of /health/ready and what it says is missing, if anybody answers."""
        if not self.url:
            return None
        try:
            answer = httpx.get(f"{self.url}/health/ready", timeout=30, verify=TLS)
        except httpx.TransportError:
            return None
        return answer.status_code, answer.json()["because"]

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> int:
        """Ask it to stop; give its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for its end; give its exit status."""
        assert self._process is not None
        status = self._process.wait(seconds)
        for reader in self._readers:
            reader.join(PATIENCE)
        self._readers = []
        return status

    def close(self) -> None:
        if self._process is not None:
            if self.alive:
                self._process.kill()
            self.wait()

    @property
    def log(self) -> str:
        return "".join(self.errors)

    def _heard(self, line: str) -> None:
        self.printed.append(line)
        if found := _HEALTH.match(line.strip()):
            self.url = found[1]

    def _told(self, line: str) -> None:
        self.errors.append(line)

    # --- what one does with it

    def post(self, message: Mapping[str, Any], channel: str = "ledger") -> httpx.Response:
        """Send a signed webhook."""
        body, headers = signed(message)
        return httpx.post(
            f"{self.url}/hooks/{channel}",
            content=body,
            headers=headers,
            timeout=PATIENCE,
            verify=TLS,
        )

    def say(self, id: str, sender: str, text: str, channel: str = "ledger") -> None:
        """Send a customer's message, and see to it that it is acknowledged."""
        answer = self.post({"id": id, "from": sender, "text": text}, channel)
        assert answer.status_code == 200, (answer.status_code, answer.text, self.log)

    def command(self, *arguments: str, status: int = 0) -> str:
        """Run a command beside the daemon; give what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "router", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Ask the database, read-only."""
        address = f"{self.database.as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=10)) as connection:
            return connection.execute(statement, values).fetchall()

    def limit_files(self, size: int | None) -> None:
        """Let nothing be written beyond so many bytes, as on a full disk; ``None``: let it."""
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        soft = resource.RLIM_INFINITY if size is None else size
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (soft, hard))


def _follow(stream: IO[str], heard: Callable[[str], None]) -> threading.Thread:
    def read() -> None:
        with stream:
            for line in stream:
                heard(line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


@contextmanager
def folder_of(folder: Path, config: str, files: Mapping[str, str]) -> Iterator[Daemon]:
    """Give a daemon that is not started yet; whatever runs at the end is killed."""
    daemon = Daemon(folder, config, files)
    try:
        yield daemon
    finally:
        daemon.close()


def router_toml(
    provider: str, *, policy: str = 'debounce = "0s"', server: str = "", more: str = ""
) -> str:
    """Give a router.toml with a plain and an idempotent ledger channel.

    :param provider: the provider's address.
    """
    return f"""
[router]
rules = ["rules.toml"]
language = "es"
timezone = "UTC"
plugins = ["{PLUGIN}"]

[server]
{server}

[policy]
mode = "autopilot"
{policy}

[knowledge]
folders = ["articles"]

[channels.ledger]
type = "ledger"
base_url = "{provider}/plain"
secret = {{ env = "LEDGER_SECRET" }}

[channels.safe]
type = "ledger_idempotent"
base_url = "{provider}/idempotent"
secret = {{ env = "LEDGER_SECRET" }}

[ai.assistant]
type = "answers"

{more}
"""


ARTICLES = {
    "articles/envios.md": """# Envíos

## ¿Cuánto cuesta el envío?

El envío cuesta $8.000 en Bogotá y $14.000 en otras ciudades principales.
"""
}
