"""``router doctor`` on a whole deployment: what is wrong, line by line."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from tests.integration.cli.doctor.desk import SID, Desk, Ran


class Account(BaseHTTPRequestHandler):
    """Twilio's account, as far as it is asked about."""

    asked: ClassVar[int] = 0
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        type(self).asked += 1
        body = b'{"status": "active"}'
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Provider = tuple[type[Account], str]


@pytest.fixture
def provider() -> Iterator[Provider]:
    class Fresh(Account):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Fresh) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield Fresh, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


SMALL = """
[router]
database = "sqlite+aiosqlite:///router.db"
{public_url}

[server]
port = 9

[channels.whatsapp]
type = "twilio_whatsapp"
account_sid = "{sid}"
auth_token = {{ env = "TWILIO_AUTH_TOKEN" }}
sender = "+14155238886"
base_url = "{base_url}"
"""


def small(base_url: str, public_url: str | None = None) -> str:
    line = "" if public_url is None else f'public_url = "{public_url}"'
    return SMALL.format(public_url=line, sid=SID, base_url=base_url)


def checks(ran: Ran) -> dict[tuple[str, str | None], dict[str, Any]]:
    return {(each["check"], each["about"]): each for each in ran.json["checks"]}


def test_a_deployment_is_looked_at_line_by_line(desk: Desk, provider: Provider) -> None:
    desk.write(small(provider[1]))

    ran = desk.doctor("--json")

    found = checks(ran)
    assert ran.status == 1
    assert found["public_url", None]["level"] == "wrong"
    assert found["public_url", None]["place"] == f"{desk.file}:2"
    assert found["running", None]["level"] == "warning"
    assert found["database", None]["level"] == "warning"
    assert found["clock", None]["level"] == "ok"
    assert found["provider", "channels.whatsapp"]["level"] == "ok"
    assert "/hooks/whatsapp, letter by letter" in found["webhooks", "channels.whatsapp"]["says"]


def test_a_provider_that_refuses_is_told_with_the_table(desk: Desk, provider: Provider) -> None:
    provider[0].status = 401
    desk.write(small(provider[1]))

    ran = desk.doctor("--json")

    check = checks(ran)["provider", "channels.whatsapp"]
    assert check["level"] == "wrong"
    assert "Twilio does not accept account_sid with auth_token" in check["says"]
    assert check["place"] == f"{desk.file}:9"


def test_a_secret_without_a_value_is_wrong_and_its_provider_is_not_asked(
    desk: Desk, provider: Provider
) -> None:
    desk.environment({})
    desk.write(small(provider[1]))

    ran = desk.doctor("--json")

    check = checks(ran)["configuration", None]
    assert ran.status == 1
    assert check["level"] == "wrong"
    assert f"{desk.file}:12:" in check["says"]
    assert ("provider", "channels.whatsapp") not in checks(ran)
    assert provider[0].asked == 0


def test_an_address_that_has_to_end_with_a_secret_is_not_given_without_it(desk: Desk) -> None:
    desk.environment({"BOT_KEY": "bb-key-of-the-bot", "BOT_URL": "secret-of-the-address"})
    desk.write(
        '[channels.bot]\ntype = "builderbot"\nbot_id = "1"\n'
        'api_key = { env = "BOT_KEY" }\nurl_secret = { env = "BOT_URL" }\n'
        'base_url = "http://127.0.0.1:9"\n'
    )

    ran = desk.doctor("--json")

    says = checks(ran)["webhooks", "channels.bot"]["says"]
    assert "/hooks/bot, with its url_secret behind it" in says
    assert "secret-of-the-address" not in ran.out


def test_a_file_with_secrets_that_others_can_read_is_told(desk: Desk) -> None:
    desk.write(small("http://127.0.0.1:9"))
    (desk.folder / ".env").chmod(0o644)

    check = checks(desk.doctor("--json"))["configuration", None]

    assert check["level"] == "warning"
    assert "other users of this machine can read it" in check["says"]


def test_a_configuration_without_providers_needs_no_address(desk: Desk) -> None:
    desk.write('[channels.phone]\ntype = "simulator"\n')

    ran = desk.doctor()

    assert ran.status == 0
    assert "No channel has a provider that calls" in ran.out
    assert "wrong" not in ran.out.splitlines()[-1].replace("Nothing is wrong", "")


def test_a_database_of_another_version_is_told(desk: Desk) -> None:
    desk.write(small("http://127.0.0.1:9"))
    (desk.folder / "router.db").touch()

    levels = [(each["check"], each["level"]) for each in desk.doctor("--json").json["checks"]]

    assert ("database", "wrong") in levels


def test_a_postgresql_database_that_is_away_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://router:s3cret-word@127.0.0.1:9/router")
    desk.write(
        '[router]\ndatabase = { env = "DATABASE_URL" }\n[channels.phone]\ntype = "simulator"\n'
    )

    ran = desk.doctor("--json")

    check = checks(ran)["database", None]
    assert ran.status == 1
    assert (check["level"], check["place"]) == ("wrong", f"{desk.file}:2")
    assert "s3cret-word" not in ran.out + ran.err
