"""``router doctor``: a request that was refused, and what is wrong with the rest."""

import base64
import hmac
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from router.cli.main import main

SID = "AC00000000000000000000000000000000"
TOKEN, OTHER, SPARE = "token-of-whatsapp", "token-of-ventas", "token-of-nobody"
META, CALLS, CLINIC = "secret-of-meta-app", "secret-of-the-calls", "secret-of-clinica"
PUBLIC = "https://desk.example.org"

CONFIG = f"""
[router]
database = "sqlite+aiosqlite:///router.db"
public_url = "{PUBLIC}"

[channels.whatsapp]
type = "twilio_whatsapp"
account_sid = "{SID}"
auth_token = {{ env = "TWILIO_AUTH_TOKEN" }}
sender = "+14155238886"
base_url = "http://127.0.0.1:9"

[channels.ventas]
type = "twilio_whatsapp"
account_sid = "AC1"
auth_token = {{ env = "VENTAS_TOKEN" }}
sender = "+14155238887"
base_url = "http://127.0.0.1:9"

[channels.meta]
type = "whatsapp_cloud"
phone_number_id = "123456"
access_token = {{ env = "META_TOKEN" }}
app_secret = {{ env = "META_SECRET" }}
verify_token = {{ env = "META_VERIFY" }}

[channels.calls]
type = "elevenlabs_calls"
api_key = {{ env = "CALLS_KEY" }}
webhook_secret = {{ env = "CALLS_SECRET" }}
agents = ["agent_1"]

[channels.phone]
type = "simulator"

[tenants.clinica.channels.meta]
type = "whatsapp_cloud"
phone_number_id = "654321"
access_token = {{ env = "META_TOKEN" }}
app_secret = {{ env = "CLINIC_SECRET" }}
verify_token = {{ env = "META_VERIFY" }}
"""
ENV = {
    "TWILIO_AUTH_TOKEN": TOKEN,
    "VENTAS_TOKEN": OTHER,
    "META_TOKEN": "access-to-meta",
    "META_SECRET": META,
    "META_VERIFY": "words-of-ours",
    "CALLS_KEY": "key-of-the-calls",
    "CALLS_SECRET": CALLS,
    "CLINIC_SECRET": CLINIC,
    "SPARE_TOKEN": SPARE,
}
SECRETS = [value for name, value in ENV.items() if name != "META_VERIFY"]


def line_of(text: str, after: str) -> int:
    """Give the number of the first line with a text behind another one."""
    lines = CONFIG.splitlines()
    start = lines.index(after)
    return next(n for n, line in enumerate(lines, 1) if n > start and line.startswith(text))


@dataclass
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    """A configuration, and the command."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.file = folder / "router.toml"
        self._capsys = capsys
        self.write(CONFIG)
        self.environment(ENV)

    def write(self, config: str) -> None:
        self.file.write_text(config, encoding="utf-8")

    def environment(self, variables: dict[str, str]) -> None:
        path = self.folder / ".env"
        path.write_text("".join(f"{name}='{it}'\n" for name, it in variables.items()))
        path.chmod(0o600)

    def doctor(self, *words: str) -> Ran:
        status = main(["-c", str(self.file), "doctor", *words])
        ran = Ran(status, *self._capsys.readouterr())
        assert "Traceback" not in ran.err
        shown = ran.out + ran.err
        assert [secret for secret in SECRETS if secret in shown] == []
        return ran

    def explain(self, request: bytes, *words: str) -> Ran:
        saved = self.folder / "refused.http"
        saved.write_bytes(request)
        return self.doctor("--request", str(saved), "--json", *words)


@pytest.fixture
def desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    for name in ENV:
        monkeypatch.delenv(name, raising=False)
    return Desk(tmp_path, capsys)


FORM = {
    "AccountSid": SID,
    "MessageSid": "SM1",
    "From": "whatsapp:+573001234567",
    "To": "whatsapp:+14155238886",
    "Body": "¿Llegó el ñandú?",
    "NumMedia": "0",
}


def twilio(
    signed: str,
    path: str = "/hooks/whatsapp",
    *,
    token: str = TOKEN,
    sid: str = SID,
    headers: Sequence[str] = ("Host: desk.example.org",),
) -> bytes:
    """Give a webhook of Twilio's.

    :param signed: the address that Twilio signed.
    :param path: the one that stands in the saved request.
    """
    form = {**FORM, "AccountSid": sid}
    signature = RequestValidator(token).compute_signature(signed, form)
    body = urlencode(form).encode()
    head = [
        f"POST {path} HTTP/1.1",
        *headers,
        "Content-Type: application/x-www-form-urlencoded",
        f"X-Twilio-Signature: {signature}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def meta(body: bytes, secret: str = META, path: str = "/hooks/meta", saved: bytes = b"") -> bytes:
    """Give a webhook of Meta's, whose signature is the body's alone."""
    mac = hmac.digest(secret.encode(), body, "sha256").hex()
    head = f"POST {path} HTTP/1.1\nHost: desk.example.org\nX-Hub-Signature-256: sha256={mac}\n\n"
    return head.encode() + (saved or body)


def calls(at: datetime, secret: str = CALLS, **more: Any) -> bytes:
    """Give a webhook of ElevenLabs's, which says when it was signed."""
    body = '{"type": "post_call_transcription"}'
    stamp = int(at.timestamp())
    mac = hmac.new(secret.encode(), f"{stamp}.{body}".encode(), sha256).hexdigest()
    headers = {"ElevenLabs-Signature": f"t={stamp},v0={mac}"}
    request = {"method": "POST", "url": f"{PUBLIC}/hooks/calls", "headers": headers, "body": body}
    return json.dumps({**request, **more}).encode()


# One request ──────────────────────────────────────────────────────────────────────────────────


def test_a_request_that_passes_is_said_to_pass(desk: Desk) -> None:
    ran = desk.explain(twilio(f"{PUBLIC}/hooks/whatsapp"))

    assert ran.status == 0
    assert (ran.json["ok"], ran.json["verified"], ran.json["reason"]) == (True, True, None)
    assert [check["level"] for check in ran.json["checks"]] == ["ok"]


@pytest.mark.parametrize(
    "signed, path, headers, public_url",
    [
        pytest.param(
            "https://new.example.org/hooks/whatsapp",
            "/hooks/whatsapp",
            ("Host: new.example.org",),
            "https://new.example.org",
            id="another host",
        ),
        pytest.param(
            "https://new.example.org/hooks/whatsapp",
            "/hooks/whatsapp",
            ("Host: 127.0.0.1:8000", "X-Forwarded-Host: new.example.org"),
            "https://new.example.org",
            id="another host, which only the proxy tells",
        ),
        pytest.param(
            "https://new.example.org/hooks/whatsapp",
            "https://new.example.org/hooks/whatsapp",
            (),
            "https://new.example.org",
            id="another host, as the whole address tells",
        ),
        pytest.param(
            "https://desk.example.org:8443/hooks/whatsapp",
            "/hooks/whatsapp",
            ("Host: desk.example.org:8443",),
            "https://desk.example.org:8443",
            id="another port",
        ),
        pytest.param(
            "https://desk.example.org:8443/hooks/whatsapp",
            "/hooks/whatsapp",
            ("Host: desk.example.org", "X-Forwarded-Port: 8443"),
            "https://desk.example.org:8443",
            id="another port, which only the proxy tells",
        ),
        pytest.param(
            "https://desk.example.org/bot/hooks/whatsapp",
            "/bot/hooks/whatsapp",
            ("Host: desk.example.org",),
            "https://desk.example.org/bot",
            id="a prefix that the proxy takes away",
        ),
        pytest.param(
            "https://desk.example.org/bot/hooks/whatsapp",
            "/hooks/whatsapp",
            ("Host: desk.example.org", "X-Forwarded-Prefix: /bot"),
            "https://desk.example.org/bot",
            id="a prefix that only the proxy tells",
        ),
    ],
)
def test_a_wrong_public_url_is_named_with_its_line_and_the_right_one(
    desk: Desk, signed: str, path: str, headers: tuple[str, ...], public_url: str
) -> None:
    request = twilio(signed, path, headers=headers)

    ran = desk.explain(request)

    assert ran.status == 1
    (check,) = ran.json["checks"]
    assert (check["check"], check["level"]) == ("public_url", "wrong")
    assert check["change"] == f'public_url = "{public_url}"'
    assert check["place"] == f"{desk.file}:{line_of('public_url', '[router]')}"
    assert signed in check["says"]
    # The remedy helps.
    desk.write(CONFIG.replace(f'public_url = "{PUBLIC}"', check["change"]))
    assert desk.explain(request).json["verified"] is True


@pytest.mark.parametrize("host", ["desk.example.org", "old.example.org"])
def test_a_provider_that_has_an_address_without_https_is_to_be_corrected_itself(
    desk: Desk, host: str
) -> None:
    ran = desk.explain(twilio(f"http://{host}/hooks/whatsapp", headers=(f"Host: {host}",)))

    assert ran.status == 1
    (check,) = ran.json["checks"]
    assert (check["check"], check["level"]) == ("address", "wrong")
    assert check["change"] is None
    assert check["says"].endswith(f"Correct it there: {PUBLIC}/hooks/whatsapp")


def test_what_a_stranger_sent_to_keep_us_busy_is_explained_before_long(desk: Desk) -> None:
    hosts = ", ".join(f"h{number}.example" for number in range(2_000))
    ports = ", ".join(str(number) for number in range(1_000, 3_000))
    times = ", ".join(str(1_700_000_000 + number) for number in range(2_000))
    request = twilio(
        "https://nobody.example/hooks/whatsapp",
        headers=(f"X-Forwarded-Host: {hosts}", f"X-Forwarded-Port: {ports}", f"X-Times: {times}"),
    )

    ran = desk.explain(request)

    assert [check["check"] for check in ran.json["checks"]] == ["signature"]


def test_half_an_address_is_no_reason_to_fall_over(desk: Desk) -> None:
    ran = desk.explain(
        twilio(f"{PUBLIC}/hooks/whatsapp", "https://[oops/hooks/whatsapp", token=OTHER)
    )

    assert [check["check"] for check in ran.json["checks"]] == ["secret"]


@pytest.mark.parametrize(
    "signed, path, words",
    [
        (f"{PUBLIC}/hooks/whatsapp/", "/hooks/whatsapp", "a slash at its end"),
        (f"{PUBLIC}/hooks/whatsapp", "/hooks/whatsapp/", "a slash at its end"),
        (f"{PUBLIC}/hooks/whatsapp/status", "/hooks/whatsapp/status?item=1", "another query"),
    ],
)
def test_a_path_or_query_that_changed_on_the_way_is_told(
    desk: Desk, signed: str, path: str, words: str
) -> None:
    ran = desk.explain(twilio(signed, path))

    assert ran.status == 1
    (check,) = ran.json["checks"]
    assert check["check"] == "address"
    assert words in check["says"]
    assert "item=1" not in ran.out


@pytest.mark.parametrize(
    "token, where",
    [(OTHER, "[channels.ventas] auth_token"), (SPARE, "SPARE_TOKEN in .env")],
)
def test_a_secret_that_is_known_elsewhere_is_named_and_not_shown(
    desk: Desk, token: str, where: str
) -> None:
    ran = desk.explain(twilio(f"{PUBLIC}/hooks/whatsapp", token=token))

    assert ran.status == 1
    (check,) = ran.json["checks"]
    assert check["check"] == "secret"
    assert "[channels.whatsapp] auth_token is not the secret" in check["says"]
    assert where in check["says"]
    assert check["place"] == f"{desk.file}:{line_of('auth_token', '[channels.whatsapp]')}"


def test_two_secrets_of_a_table_that_changed_places_are_told(desk: Desk) -> None:
    desk.environment({**ENV, "META_TOKEN": META, "META_SECRET": "access-to-meta"})

    ran = desk.explain(meta(b"{}", META))

    (check,) = ran.json["checks"]
    assert check["check"] == "secret"
    assert "[channels.meta] app_secret is not" in check["says"]
    assert "The right one is known here: [channels.meta] access_token." in check["says"]
    assert check["place"] == f"{desk.file}:{line_of('app_secret', '[channels.meta]')}"


def test_of_several_secrets_none_is_blamed_alone(desk: Desk) -> None:
    ran = desk.explain(meta(b"{}", "nobody-knows-it"))

    (check,) = ran.json["checks"]
    assert "one of access_token, app_secret, verify_token is not what" in check["says"]
    assert check["place"] == f"{desk.file}:{line_of('[channels.meta]', '')}"


def test_a_secret_with_quotes_and_blanks_around_it_is_told(desk: Desk) -> None:
    desk.environment({**ENV, "META_SECRET": f' "{META}" '})

    ran = desk.explain(meta(b'{"entry": []}'))

    (check,) = ran.json["checks"]
    assert "app_secret without the blanks or quotes around it" in check["says"]
    assert check["place"] == f"{desk.file}:{line_of('app_secret', '[channels.meta]')}"


def test_a_wrong_secret_and_a_wrong_address_are_both_told(desk: Desk) -> None:
    ran = desk.explain(
        twilio(
            "https://new.example.org/hooks/whatsapp",
            token=SPARE,
            headers=["Host: new.example.org"],
        )
    )

    assert [check["check"] for check in ran.json["checks"]] == ["secret", "public_url"]


def test_a_request_for_another_channel_is_told(desk: Desk) -> None:
    ran = desk.explain(twilio(f"{PUBLIC}/hooks/whatsapp", token=OTHER, sid="AC1"))

    (check,) = ran.json["checks"]
    assert "It is signed as channels.ventas is" in check["says"]
    assert f"{PUBLIC}/hooks/ventas" in check["says"]


def test_a_request_of_a_tenant_is_told_from_the_top_levels(desk: Desk) -> None:
    mine = desk.explain(meta(b"{}", CLINIC, "/hooks/clinica/meta"))
    wrong = desk.explain(meta(b"{}", META, "/hooks/clinica/meta"))

    assert (mine.json["channel"], mine.json["verified"]) == ("clinica/channels.meta", True)
    (check,) = wrong.json["checks"]
    assert "[tenants.clinica.channels.meta] app_secret is not" in check["says"]
    assert "[channels.meta] app_secret" in check["says"]


@pytest.mark.parametrize(
    "signed, saved, words",
    [
        (b'{"a": 1}', b'{"a": 1}\n', "a line end was added to its end"),
        (b'{"a":\r\n1}', b'{"a":\n1}', "its line ends were changed to LF"),
        (b'{"a":\n1}', b'{"a":\r\n1}', "its line ends were changed to CR LF"),
    ],
)
def test_a_body_that_was_changed_is_told(
    desk: Desk, signed: bytes, saved: bytes, words: str
) -> None:
    ran = desk.explain(meta(signed, saved=saved))

    assert ran.status == 1
    (check,) = ran.json["checks"]
    assert check["check"] == "body"
    assert words in check["says"]


def test_an_old_request_is_no_mistake_where_nobody_knows_when_it_came(desk: Desk) -> None:
    ran = desk.explain(calls(datetime.now(UTC) - timedelta(days=3)))

    assert ran.status == 0
    assert ran.json["verified"] is False
    (check,) = ran.json["checks"]
    assert (check["check"], check["level"]) == ("age", "warning")


def test_a_clock_that_is_off_is_told_where_the_file_says_when_it_came(desk: Desk) -> None:
    came = datetime(2026, 3, 2, 12, tzinfo=UTC)

    ran = desk.explain(calls(came - timedelta(hours=5), received_at=came.isoformat()))

    assert ran.status == 1
    (check,) = ran.json["checks"]
    assert check["check"] == "clock"
    assert "18000 s" in check["says"]


def test_an_old_request_with_another_secret_is_explained(desk: Desk) -> None:
    ran = desk.explain(calls(datetime.now(UTC) - timedelta(days=3), secret=META))

    (check,) = ran.json["checks"]
    assert "[channels.calls] webhook_secret is not the secret" in check["says"]
    assert "[channels.meta] app_secret" in check["says"]


def test_what_nothing_explains_is_said_so_in_the_channels_words(desk: Desk) -> None:
    ran = desk.explain(twilio(f"{PUBLIC}/hooks/whatsapp", token="a-token-that-is-nowhere"))

    assert ran.status == 1
    assert "the X-Twilio-Signature header was not made from" in ran.json["reason"]
    (check,) = ran.json["checks"]
    assert "no secret that is known here, would have made it pass" in check["says"]
    assert check["place"] == f"{desk.file}:{line_of('auth_token', '[channels.whatsapp]')}"


def test_a_request_that_was_not_saved_whole_is_told(desk: Desk) -> None:
    whole = twilio(f"{PUBLIC}/hooks/whatsapp")

    ran = desk.explain(whole[:-5])

    assert [check["level"] for check in ran.json["checks"]] == ["wrong", "warning"]
    assert "Content-Length" in ran.json["checks"][1]["says"]


def test_people_get_lines_and_standard_input_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = twilio("https://new.example.org/hooks/whatsapp", headers=["Host: new.example.org"])
    stdin = io.TextIOWrapper(io.BytesIO(request))
    monkeypatch.setattr(sys, "stdin", stdin)

    ran = desk.doctor("--request", "-")

    first, _, wrong, place, _, last = ran.out.splitlines()
    assert first.startswith("channels.whatsapp refuses it: Twilio signed")
    assert wrong.startswith("wrong    channels.whatsapp, public_url: It is signed for https://new")
    line = line_of("public_url", "[router]")
    assert place == f'         {desk.file}:{line}: write public_url = "https://new.example.org"'
    assert last == "1 wrong, 0 warnings."


def test_a_tunnels_inspector_saves_what_is_understood(desk: Desk) -> None:
    raw = base64.b64encode(twilio(f"{PUBLIC}/hooks/whatsapp")).decode()
    saved = {"start": "2026-03-02T09:00:00-05:00", "request": {"method": "POST", "raw": raw}}

    assert desk.explain(json.dumps(saved).encode()).json["verified"] is True


def test_a_channel_is_named_where_the_path_tells_none(desk: Desk) -> None:
    request = twilio(f"{PUBLIC}/hooks/whatsapp", "/")

    unknown, named = desk.explain(request), desk.explain(request, "--channel", "whatsapp")

    assert unknown.status == 2
    assert '"/" is the address of no channel. Configured: calls, clinica/meta' in unknown.err
    assert named.json["channel"] == "channels.whatsapp"


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["--request", "nowhere.http"], "nowhere.http: No such file or directory"),
        (["--channel", "whatsapp"], "--channel goes with --request"),
    ],
)
def test_an_argument_that_cannot_be_is_a_mistake(
    desk: Desk, words: list[str], complaint: str
) -> None:
    ran = desk.doctor(*words)

    assert ran.status == 2
    assert complaint in ran.err


def test_a_mistake_in_the_files_comes_first(desk: Desk) -> None:
    desk.write(CONFIG.replace("account_sid", "acount_sid", 1))

    for ran in (desk.doctor(), desk.explain(twilio(f"{PUBLIC}/hooks/whatsapp"))):
        assert ran.status == 2
        assert "acount_sid" in ran.err


# All of it ────────────────────────────────────────────────────────────────────────────────────


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
