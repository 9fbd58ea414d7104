"""What the measured daemon is configured with, and its process."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECRET = "bench-secret"

_CONFIG = """
[router]
database = "sqlite+aiosqlite:///data/router.db"
rules = ["rules.toml"]
plugins = ["{plugin}"]

[server]
port = 0
engine = "{engine}"

[policy]
mode = "autopilot"
debounce = "0s"

[channels.bench]
type = "{kind}"
{more}webhook_rate = "unlimited"
url = "{provider}"
secret = {{ env = "BENCH_SECRET" }}
"""

# What replies, what is only stored and decided, and enough others to be a real business's file.
_RULES = """
[default]
ignore = "nothing to say"

[lexicon.hours]
any = ["horario", "a que hora", "cuando abren", "estan abiertos"]
{fillers}
[[rule]]
id = "silent"
when.text.starts_with = "silent"
then.ignore = "measured without an answer"

[[rule]]
id = "hours"
when.text.lexicon = "hours"
then.set = {{ category = "INFO" }}
then.reply = {{ text = "Abrimos de 9:00 a 19:00." }}

[category.INFO]
risk = "low"
"""

_FILLER = """
[[rule]]
id = "filler-{n}"
when.text.words = ["palabra{n}", "frase numero {n}"]
then.tag = "filler-{n}"
"""


@dataclass(frozen=True)
class Daemon:
    """A running daemon."""

    pid: int
    port: int
    folder: Path
    #: Seconds from starting the process until it said where it listens.
    boot: float

    @property
    def database(self) -> Path:
        return self.folder / "data" / "router.db"


def write_site(
    folder: Path,
    *,
    provider: str,
    engine: str,
    rules: int = 30,
    kind: str = "bench",
    more: str = "",
) -> Path:
    """Write a configuration; give its router.toml.

    :param kind: of the channel.
    :param more: lines of its table.
    """
    plugin = Path(__file__).with_name("plugin.py")
    values = {"plugin": plugin, "provider": provider, "engine": engine}
    config = _CONFIG.format(**values, kind=kind, more=more)
    fillers = "".join(_FILLER.format(n=n) for n in range(rules))
    (folder / "router.toml").write_text(config)
    (folder / "rules.toml").write_text(_RULES.format(fillers=fillers))
    return folder / "router.toml"


@contextmanager
def running(config: Path) -> Iterator[Daemon]:
    """Run ``router run`` until the block ends."""
    began = time.perf_counter()
    log = (config.parent / "daemon.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "router", "run", "-c", str(config), "--port", "0"],
        env={**os.environ, "BENCH_SECRET": SECRET},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        port = announced_port(process, config.parent / "daemon.log")
        boot = time.perf_counter() - began
        yield Daemon(process.pid, port, config.parent, boot)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def announced_port(process: "subprocess.Popen[str]", log: Path) -> int:
    """Give the port that a process says it listens on."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://[^/]*:(\d+)/health", line):
            return int(found[1])
    message = f"the daemon did not start:\n{log.read_text()[-2000:]}"
    raise RuntimeError(message)


def memory(pid: int) -> float:
    """Give the resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
