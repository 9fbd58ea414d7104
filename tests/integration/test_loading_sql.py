"""SQLAlchemy is loaded whole and by one thread: half of it must not be seen by statements."""

import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import sys, threading
from importlib.abc import MetaPathFinder
from pathlib import Path

threads = set()

class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "sqlalchemy":
            threads.add(threading.current_thread().name)

sys.meta_path.insert(0, Finder())

import anyio
from router.daemon import Router, open_store
from router.logs import Redaction, configure
from router.plugin.loading import load_plugins
from router.settings.loading import load_settings

async def main():
    settings = load_settings(Path(sys.argv[1]), load_plugins([]), run=True)
    log = configure(Redaction(settings.secrets))
    async with open_store(settings) as store:
        if sys.argv[2] == "write":
            await store.write(lambda tx: tx.connection)
            assert "sqlalchemy.orm" in sys.modules, "reading would bring it beside statements"
        async with Router(settings, store, log=log, load=lambda: settings):
            assert "sqlalchemy.orm" in sys.modules
            await store.write(lambda tx: tx.connection)
    print(sorted(threads))

anyio.run(main)
"""
_CONFIG = """
[router]
rules = ["rules.toml"]

[channels.phone]
type = "simulator"
"""


def test_it_is_loaded_in_the_loops_thread_whoever_needs_it_first(tmp_path: Path) -> None:
    config = tmp_path / "router.toml"
    config.write_text(_CONFIG)
    (tmp_path / "rules.toml").write_text('[default]\nignore = "nothing to say"\n')
    # The first start makes the tables; what loads it then has ended before anything else begins.
    subprocess.run([sys.executable, "-m", "router", "-c", config, "db", "migrate"], check=True)

    for first in ("write", "start"):
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(config), first],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.splitlines()[-1:] == ["['MainThread']"], done.stderr
