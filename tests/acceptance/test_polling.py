"""A process that dies around a poll loses nothing that was found, and stores nothing twice."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.acceptance.daemon import Daemon, folder_of, wait_for

PLUGIN = Path(__file__).parent / "plugins" / "mailbox.py"
RULES = 'default.ticket = { queue = "letters", title = "Carta" }\n'
LETTERS = 30
PAGE = 4


class Feed(ThreadingHTTPServer):
    """A provider that has letters, a page at a time; nobody ever tells of them by webhook."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.asked: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Page(BaseHTTPRequestHandler):
    server: Feed

    def do_GET(self) -> None:
        begin = int(parse_qs(urlsplit(self.path).query)["after"][0])
        self.server.asked.append(begin)
        end = min(begin + PAGE, LETTERS)
        letters = [
            {"id": str(number), "from": f"tel:+5730000{number:05}", "text": f"carta {number}"}
            for number in range(begin, end)
        ]
        body = json.dumps({"letters": letters, "next": str(end), "more": end < LETTERS}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def mailbox(folder: Path) -> Iterator[tuple[Feed, Daemon]]:
    feed = Feed()
    thread = threading.Thread(target=feed.serve_forever, daemon=True)
    thread.start()
    config = f"""
[router]
rules = ["rules.toml"]
plugins = ["{PLUGIN}"]

[policy]
mode = "autopilot"
debounce = "0s"

[queues.letters]
title = "Cartas"

[channels.mailbox]
type = "mailbox"
base_url = "{feed.url}"
"""
    try:
        with folder_of(folder, config, {"rules.toml": RULES}) as daemon:
            yield feed, daemon
    finally:
        feed.shutdown()
        feed.server_close()
        thread.join()


@pytest.mark.parametrize(
    "moment", ["poll.taken:3", "poll.answered:3", "writer.committing:9", "poll.stored:3"]
)
def test_a_process_that_dies_around_a_poll_loses_and_doubles_nothing(
    tmp_path: Path, moment: str
) -> None:
    with mailbox(tmp_path) as (feed, daemon):
        daemon.spawn(failpoint=moment)
        daemon.wait()
        before = len(feed.asked)
        daemon.start()
        wait_for(lambda: LETTERS in feed.asked, "all found")
        wait_for(
            lambda: daemon.rows("SELECT count(*) FROM ticket") == [(LETTERS,)], "all of them worked"
        )
        words = [line.split() for line in daemon.command("status").splitlines()]
        (line,) = [each for each in words if each[1:2] == ["mailbox/letters"]]
        assert daemon.stop() == 0

        found = daemon.rows("SELECT external_id, outcome FROM inbox_event ORDER BY received_at, 1")
        (row,) = daemon.rows("SELECT cursor, holder, failures FROM poller")

    assert before <= 4
    assert sorted(found) == sorted((f"message:{number}", "ticket") for number in range(LETTERS))
    assert row == (str(LETTERS), None, 0)
    assert line[-1] == "well"
    # Everything was asked for in order, and nothing that was stored was asked for again.
    assert feed.asked[before] in {0, 4, 8, 12}
    assert len([it for it in feed.asked if 0 < it < LETTERS]) <= LETTERS // PAGE + 1
