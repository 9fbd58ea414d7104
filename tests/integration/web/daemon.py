"""The whole router behind the web, in this process, on a configuration made for looking at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx

from router.daemon import Router, open_store
from router.plugin.loading import load_plugins
from router.settings.loading import load_settings, plugin_files
from router.web.app import build_app
from router.web.server import listen, serve
from tests.databases import empty_sqlite
from tests.unit.web.world import SilentLog

CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"
rules = ["rules.toml"]
language = "es"
timezone = "America/Bogota"

[policy]
mode = "autopilot"
debounce = "0s"

[knowledge]
folders = ["articles"]

[channels.phone]
type = "simulator"

[tenants.clinica]
language = "pt"

[tenants.clinica.channels.telefono]
type = "simulator"

[ai.assistant]
type = "answers"
"""

RULES = """
[default]
answer = "assistant"

[category.INFO]
risk = "low"

[category.BILLING]
risk = "high"

[category.LEGAL]
risk = "high"

[[rule]]
id = "spam"
when.text.words = "gane dinero"
then.ignore = "an advertisement"

[[rule]]
id = "horario"
when.text.words = "horario"
then.set = { category = "INFO", risk = "low" }
then.reply = { text = "Abrimos de lunes a viernes, de 8:00 a 18:00." }

[[rule]]
id = "reembolso"
when.text.words = "reembolso"
then.set = { category = "BILLING", risk = "high" }
then.draft = { text = "Le devolvemos el dinero.", because = "money is involved" }

[[rule]]
id = "factura"
when.text.words = "factura"
then.ticket = { queue = "billing", title = "Consulta de factura" }

[[rule]]
id = "legal"
when.text.words = "abogado"
then.set = { category = "LEGAL", risk = "high" }
then.escalate = { to = "legal", because = "legal threat" }
"""

ARTICLE = """# Envíos

## ¿Cuánto tarda un envío?

Los envíos tardan dos días hábiles en toda la ciudad.
"""


@dataclass
class Daemon:
    """A running router, and where it listens."""

    router: Router
    url: str = ""

    def client(self, peer: str = "127.0.0.1") -> httpx.AsyncClient:
        """Give a client, on this machine or another, without a socket in between."""
        app: Any = build_app(self.router)
        transport = httpx.ASGITransport(app=app, client=(peer, 5000))
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


@asynccontextmanager
async def running(
    folder: Path, *, engine: str | None = None, config: str = CONFIG
) -> AsyncIterator[Daemon]:
    """Run the router on an empty database; with an engine it listens on a port of its own."""
    (folder / "router.toml").write_text(config)
    (folder / "rules.toml").write_text(RULES)
    (folder / "articles").mkdir()
    (folder / "articles" / "envios.md").write_text(ARTICLE)
    if "///router.db" in config:
        empty_sqlite(folder / "router.db")
    registry = load_plugins(plugin_files(folder / "router.toml"))
    settings = load_settings(folder / "router.toml", registry, run=True)
    async with open_store(settings) as store, Router(settings, store, log=SilentLog()) as router:
        daemon = Daemon(router)
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            if engine is not None:
                await tasks.start(_serve, daemon, engine, stop)
            try:
                yield daemon
            finally:
                router.draining = True  # ends the live streams
                stop.set()


async def _serve(
    daemon: Daemon, engine: str, stop: anyio.Event, *, task_status: anyio.abc.TaskStatus[None]
) -> None:
    listener = listen("127.0.0.1", 0)
    daemon.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    task_status.started()
    await serve(build_app(daemon.router), listener, engine=engine, shutdown=stop.wait)
