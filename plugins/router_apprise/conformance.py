"""What ``router plugins check apprise`` runs."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from pydantic import SecretStr

from router.plugin import ActionResult, OutcomeUnknown
from router.plugin.testing import ActionSuite, Run
from router_apprise.action import Apprise
from router_apprise.config import AppriseConfig


class _Service(BaseHTTPRequestHandler):
    """A service on this machine: it takes every notice but those titled ``No``."""

    def do_POST(self) -> None:
        notice = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(500 if notice["title"] == "No" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _serve() -> int:
    """Start the service; give its port. Apprise brings its own client, so no reply is scripted."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


class AppriseConformance(ActionSuite):
    """The action's rows."""

    action = Apprise
    config = AppriseConfig(urls=SecretStr(f"json://127.0.0.1:{_serve()}/k/3f9a1c-is-secret"))
    exempt = {  # noqa: RUF012
        "provider_errors": "apprise makes the requests, and answers only yes or no",
    }

    runs = (
        Run(
            "notice",
            {"title": "Juicio", "text": "Nos vemos.", "url": "https://desk.example/c/1"},
            expect=ActionResult("told through JSON", {"services": ["JSON"]}),
        ),
        Run("a service that says no", {"title": "No"}, raises=OutcomeUnknown),
    )
