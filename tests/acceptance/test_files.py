"""A process that dies around a file loses nothing of it, and asks for it once more at most."""

import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from router.storage.tables import inbox_event, media, outbox, ticket
from tests.acceptance.daemon import PATIENCE, TLS, folder_of, wait_for
from tests.databases import Database

PLUGIN = Path(__file__).parent / "plugins" / "voices.py"
OGG = b"OggS\0\x02" + b"\0" * 20 + b"OpusHead" + b"la voz de Ana"
FILE, HEARD = "/files/1", "/heard"

RULES = """
default.ignore = "nobody heard it"

[[rule]]
id = "heard"
when.text.words = "horario"
then.ticket = { queue = "voices", title = "{{ text }}" }
"""


class Provider(ThreadingHTTPServer):
    """It has one voice note, and knows what is said in it.

    :ivar asked: the paths it was asked for, in order.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self._say(OGG)

    def do_POST(self) -> None:
        assert self.rfile.read(int(self.headers["Content-Length"])) == OGG
        self._say("¿Cuál es el horario?".encode())

    def _say(self, body: bytes) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    thread = threading.Thread(target=provider.serve_forever, daemon=True)
    thread.start()
    yield provider
    provider.shutdown()
    provider.server_close()
    thread.join()


# A file is fetched first, and then written down: the second time that it comes to a moment.
@pytest.mark.parametrize(
    ("moment", "path", "times"),
    [
        ("media.started:1", FILE, 1),
        ("media.done:1", FILE, 2),
        ("media.finished:1", FILE, 1),
        ("media.started:2", HEARD, 1),
        ("media.done:2", HEARD, 2),
        ("media.finished:2", HEARD, 1),
    ],
)
def test_a_process_that_dies_around_a_file_loses_and_doubles_nothing(
    database: Database, tmp_path: Path, provider: Provider, moment: str, path: str, times: int
) -> None:
    config = f"""
[router]
database = "{database.url}"
rules = ["rules.toml"]
plugins = ["{PLUGIN}"]

[policy]
mode = "autopilot"
debounce = "0s"

[queues.voices]
title = "Voces"

[media]
transcribe = "ears"
transcribe_wait = "10m"

[channels.voices]
type = "voices"
base_url = "{provider.url}"

[ai.ears]
type = "ears"
base_url = "{provider.url}"
"""
    with folder_of(tmp_path / "router", config, {"rules.toml": RULES}) as daemon:
        daemon.start(failpoint=moment)
        note = {"id": "1", "from": "tel:+573001234567", "url": FILE}
        with suppress(httpx.TransportError):  # it may have died before it could answer
            httpx.post(f"{daemon.url}/hooks/voices", json=note, timeout=PATIENCE, verify=TLS)
        assert daemon.wait() == -signal.SIGKILL

        daemon.start()
        wait_for(lambda: len(database.rows(ticket)) == 1, "it is heard")
        wait_for(
            lambda: {row.state for row in database.rows(outbox)} == {"done"}, "both are finished"
        )
        assert daemon.stop() == 0
        kept = [it for it in (daemon.folder / "data" / "media").rglob("*") if it.is_file()]

    assert [row.title for row in database.rows(ticket)] == ["¿Cuál es el horario?"]
    assert sorted(row.kind for row in database.rows(outbox)) == ["fetch", "transcribe"]
    events = [(row.type, row.outcome) for row in database.rows(inbox_event)]
    assert events == [("message", "ticket"), ("file", "recorded"), ("transcript", "ticket")]
    assert [row.size for row in database.rows(media)] == [len(OGG)]
    assert [it.read_bytes() for it in kept] == [OGG]
    # What was not finished is asked for once more, and what was finished never again.
    assert provider.asked.count(path) == times
