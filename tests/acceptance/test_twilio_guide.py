"""config/TWILIO.md, followed to the letter on a fresh folder; Twilio's side is a local server."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from pytest_httpserver import HTTPServer
from twilio.request_validator import RequestValidator
from werkzeug import Request, Response

from router.data import data_path
from tests.acceptance.daemon import PATIENCE, Daemon, folder_of, wait_for

GUIDE = data_path("config", "TWILIO.md").read_text(encoding="utf-8")
PUBLIC = "https://something.trycloudflare.com"
TOKEN = "0123456789abcdef0123456789abcdef"
ACCOUNT = "AC" + "0" * 32
CUSTOMER = "whatsapp:+573001234567"


def block(heading: str, language: str) -> str:
    """Give the first block of a language below a heading."""
    section = GUIDE.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
    found = re.search(rf"^```{language}\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1].replace("https://SOMETHING.trycloudflare.com", PUBLIC)


def run(words: Sequence[str], folder: Path) -> None:
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=PATIENCE)


@pytest.fixture
def twilio(httpserver: HTTPServer) -> HTTPServer:
    """Answer as Twilio's API does."""
    root = f"/2010-04-01/Accounts/{ACCOUNT}"

    def authorised(request: Request) -> bool:
        given = request.authorization
        return given is not None and (given.username, given.password) == (ACCOUNT, TOKEN)

    def account(request: Request) -> Response:
        if not authorised(request):
            return Response('{"code": 20003, "message": "no", "status": 401}', status=401)
        return Response(f'{{"sid": "{ACCOUNT}", "status": "active"}}')

    def message(request: Request) -> Response:
        assert authorised(request)
        return Response('{"sid": "SM00000000000000000000000000000099"}', status=201)

    httpserver.expect_request(f"{root}.json").respond_with_handler(account)
    httpserver.expect_request(f"{root}/Messages.json", method="POST").respond_with_handler(message)
    return httpserver


@pytest.fixture
def daemon(tmp_path: Path, twilio: HTTPServer) -> Iterator[Daemon]:
    """Follow steps 1 to 4, up to the start."""
    folder = tmp_path / "my-business"
    run([sys.executable, "-m", "router", "init", str(folder)], tmp_path)
    config = (folder / "router.toml").read_text()
    hashed = re.search(r'^# (public_url = )"[^"]*"', config, flags=re.MULTILINE)
    assert hashed is not None  # "the line is there already, behind a hash"
    url = block("2. An address for Twilio", "toml").splitlines()[1]
    channel = block("3. The channel and its secret", "toml")
    config = config.replace(hashed[0], url) + "\n" + channel
    # The one thing that the guide does not say.
    config += f'base_url = "{twilio.url_for("").rstrip("/")}"\n'
    with folder_of(folder, config, {}) as daemon:
        secret = block("3. The channel and its secret", "sh").replace("paste-it-here", TOKEN)
        run(["sh", "-e", "-c", secret], folder)
        yield daemon


def signed(url: str, form: Mapping[str, str], token: str = TOKEN) -> str:
    """Sign as Twilio's own library does."""
    signature: str = RequestValidator(token).compute_signature(url, dict(form))
    return signature


def call(
    daemon: Daemon,
    path: str,
    form: Mapping[str, str],
    *,
    signature: str | None = None,
    public: str = PUBLIC,
) -> httpx.Response:
    """Call the webhook as Twilio does through the tunnel."""
    headers = {
        "Host": urlsplit(public).netloc,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "203.0.113.9",
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": signed(public + path, form) if signature is None else signature,
    }
    return httpx.post(daemon.url + path, content=urlencode(form), headers=headers, timeout=PATIENCE)


def question(id: str = "SM00000000000000000000000000000001", **more: str) -> dict[str, str]:
    return {
        "MessageSid": id,
        "AccountSid": ACCOUNT,
        "From": CUSTOMER,
        "To": "whatsapp:+14155238886",
        "Body": "¿Cuál es el horario?",
        "NumMedia": "0",
        "ProfileName": "Ana Pérez",
        **more,
    }


def checks(daemon: Daemon, **headers: str) -> dict[str, bool | None]:
    answer = httpx.get(f"{daemon.url}/hooks/whatsapp/test", headers=headers, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    assert TOKEN not in answer.text
    return {check["check"]: check["ok"] for check in answer.json()["checks"]}


def test_walk_through_leads_to_an_answered_message(daemon: Daemon, twilio: HTTPServer) -> None:
    assert "is fine" in daemon.command("check")
    daemon.start()

    # Step 4: the self-test, here and through the tunnel.
    assert checks(daemon)["provider"] is True
    outside = {"Host": urlsplit(PUBLIC).netloc, "X-Forwarded-Proto": "https"}
    found = checks(daemon, **outside)
    assert (found["public_url"], found["address"], found["webhooks"]) == (True, True, None)

    # Steps 5 and 6: the message, the draft, the answer.
    hook = re.search(r"comes in \| `https://[^/]+(/[^`]+)`, method \*\*POST", GUIDE)
    assert hook is not None
    assert call(daemon, hook[1], question()).text == "<Response/>"
    assert checks(daemon)["webhooks"] is True
    wait_for(lambda: "9:00" in daemon.command("drafts", "list"), "a draft of the answer")
    [draft] = daemon.rows("SELECT id FROM draft")[0]
    daemon.command("drafts", "approve", draft)
    wait_for(lambda: any(r.method == "POST" for r, _ in twilio.log), "the answer at Twilio")

    [sent] = [request for request, _ in twilio.log if request.method == "POST"]
    form = parse_qs(sent.get_data(as_text=True))
    assert form["To"] == [CUSTOMER]
    assert form["From"] == ["whatsapp:+14155238886"]
    assert "9:00" in form["Body"][0]
    [callback] = form["StatusCallback"]
    assert callback.startswith(f"{PUBLIC}/hooks/whatsapp/status?item=")

    # The report that Twilio makes about it comes to the address that the message carried.
    report = {"MessageSid": "SM" + "0" * 30 + "99", "MessageStatus": "read", "To": CUSTOMER}
    report |= {"AccountSid": ACCOUNT, "From": "whatsapp:+14155238886"}
    path = callback.removeprefix(PUBLIC)
    assert call(daemon, path, report).status_code == 204
    wait_for(
        lambda: daemon.rows("SELECT status FROM message WHERE direction = 'out'") == [("read",)],
        "read",
    )

    # What the guide says one can look at.
    assert "Ana Pérez" in daemon.command("conversations", "list")
    [(lane, seq)] = daemon.rows("SELECT lane, seq FROM inbox_event WHERE type = 'message'")
    assert f"{lane}#{seq}" in daemon.command("events", "list")
    assert "horario" in daemon.command("explain", f"{lane}#{seq}")
    assert "whatsapp" in daemon.command("outbox", "list")
    assert daemon.stop() == 0


def rows_of_the_guide() -> list[str]:
    """Give what the log says, by the guide's table of refusals."""
    section = GUIDE.split("| the log says | do this |", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^ +\| `(.*?)` \|", section, flags=re.MULTILINE)


def test_refusals_read_as_the_guide_says(daemon: Daemon) -> None:
    daemon.start()
    other = "https://old.trycloudflare.com"
    path = "/hooks/whatsapp"
    foreign = question(AccountSid="AC" + "1" * 32)
    wrong_token = signed(PUBLIC + path, question(), "another" * 5)
    plain = {"Content-Type": "application/x-www-form-urlencoded"}
    answers = [
        call(daemon, path, question(), public=other),
        call(daemon, path, question(), signature=wrong_token),
        call(daemon, path, foreign),
        httpx.post(daemon.url + path, content=urlencode(question()), headers=plain),
    ]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert checks(daemon)["webhooks"] is False
    assert daemon.rows("SELECT count(*) FROM inbox_event") == [(0,)]
    known = rows_of_the_guide()
    assert len(known) == 4
    for words in known:
        # The addresses are examples, and so is the account.
        pattern = re.sub(r"https://[AB…]|AC…", "[^ ]+", re.escape(words))
        assert re.search(pattern, daemon.log), (words, daemon.log)
