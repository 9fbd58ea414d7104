"""``router templates`` asks a provider over a real socket."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from router.cli.main import main

CONFIG = """
[router]
rules = ["rules.toml"]

[channels.phone]
type = "simulator"

[channels.whatsapp]
type = "twilio_whatsapp"
account_sid = "AC1"
auth_token = {{ env = "TWILIO_AUTH_TOKEN" }}
sender = "+14155550199"
content_url = "{url}"
"""
RULES = """
[default]
ticket = { queue = "default" }

[template.seguimiento]
ref = { es = "HX1", pt = "HX2" }
text = { es = "Hola {{1}}", pt = "Olá {{1}}" }
"""

Run = Callable[..., tuple[int, str, str]]


class Content(BaseHTTPRequestHandler):
    """The Content API, as far as it is asked."""

    approval: ClassVar[str] = "approved"
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        contents: list[dict[str, Any]] = [
            {
                "sid": sid,
                "friendly_name": "x",
                "language": language,
                "variables": {"1": "Ana"},
                "approval_requests": {
                    "name": "seguimiento",
                    "category": "UTILITY",
                    "status": approval,
                },
            }
            for sid, language, approval in (
                ("HX1", "es", "approved"),
                ("HX2", "pt_BR", self.approval),
            )
        ]
        body = json.dumps({"contents": contents, "meta": {"next_page_url": None}}).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def content() -> Iterator[tuple[type[Content], str]]:
    class Fresh(Content):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Fresh) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield Fresh, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def run(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: tuple[type[Content], str],
) -> Run:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "token-of-nobody")
    (tmp_path / "router.toml").write_text(CONFIG.format(url=content[1]), encoding="utf-8")
    (tmp_path / "rules.toml").write_text(RULES, encoding="utf-8")

    def run(*words: str) -> tuple[int, str, str]:
        status = main(["-c", str(tmp_path / "router.toml"), *words])
        return (status, *capsys.readouterr())

    return run


def test_templates_are_listed_with_their_approval(run: Run) -> None:
    status, out, _ = run("templates", "list", "--json")

    first, second = json.loads(out)
    assert status == 0
    assert first == {
        "tenant": "main",
        "channel": "whatsapp",
        "ref": "HX1",
        "name": "seguimiento",
        "language": "es",
        "category": "utility",
        "status": "approved",
        "variables": ["1"],
    }
    assert (second["ref"], second["language"]) == ("HX2", "pt_BR")
    assert "seguimiento" in run("templates", "list")[1]


def test_templates_that_are_approved_pass(run: Run) -> None:
    status, out, _ = run("templates", "check")

    assert (status, out) == (0, "1 template is as the providers have approved them.\n")


def test_a_template_that_is_not_approved_is_told(
    run: Run, content: tuple[type[Content], str]
) -> None:
    content[0].approval = "rejected"

    status, out, _ = run("templates", "check", "--json")

    assert status == 1
    assert json.loads(out) == [
        {
            "tenant": "main",
            "template": "seguimiento",
            "ref": "HX2",
            "problem": "it is rejected at the provider. Until it is approved it is refused",
        }
    ]
    assert run("templates", "check")[0] == 1


def test_a_provider_that_does_not_answer_is_told_in_words(
    run: Run, content: tuple[type[Content], str]
) -> None:
    content[0].status = 401

    status, _, err = run("templates", "check")

    assert status == 1
    assert "whatsapp" in err
    assert "token-of-nobody" not in err
    assert "Traceback" not in err


def test_a_channel_that_lists_none_is_told(run: Run) -> None:
    status, _, err = run("templates", "list", "--channel", "phone")

    assert status == 1
    assert 'there is no channel "phone" whose provider lists templates' in err
