"""config/TWILIO.md, followed to the letter on a fresh folder; Twilio's side is a local server."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from router.data import data_path
from tests.acceptance.daemon import PATIENCE, Daemon, folder_of, wait_for
from tests.acceptance.twilio_provider import (
    CUSTOMER,
    PUBLIC,
    SENDER,
    TOKEN,
    Twilio,
    call,
    question,
    report,
    running,
    signed,
)

GUIDE = data_path("config", "TWILIO.md").read_text(encoding="utf-8")


def block(heading: str, language: str) -> str:
    """Give the first block of a language below a heading."""
    section = GUIDE.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
    found = re.search(rf"^```{language}\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1].replace("https://SOMETHING.trycloudflare.com", PUBLIC)


def run(words: Sequence[str], folder: Path) -> None:
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=PATIENCE)


@pytest.fixture
def twilio() -> Iterator[Twilio]:
    with running() as twilio:
        yield twilio


@pytest.fixture
def daemon(tmp_path: Path, twilio: Twilio) -> Iterator[Daemon]:
    """Follow steps 1 to 4, up to the start."""
    folder = tmp_path / "my-business"
    run([sys.executable, "-m", "router", "init", str(folder)], tmp_path)
    config = (folder / "router.toml").read_text()
    hashed = re.search(r'^# (public_url = )"[^"]*"', config, flags=re.MULTILINE)
    assert hashed is not None  # "the line is there already, behind a hash"
    url = block("2. An address for Twilio", "toml").splitlines()[1]
    channel = block("3. The channel and its secret", "toml")
    config = config.replace(hashed[0], url) + "\n" + channel
    # What the guide does not say: another Twilio, which lists no templates.
    config += f'base_url = "{twilio.url}"\ntemplates_every = "never"\n'
    with folder_of(folder, config, {}) as daemon:
        secret = block("3. The channel and its secret", "sh").replace("paste-it-here", TOKEN)
        run(["sh", "-e", "-c", secret], folder)
        yield daemon


def checks(daemon: Daemon, **headers: str) -> dict[str, bool | None]:
    answer = httpx.get(f"{daemon.url}/hooks/whatsapp/test", headers=headers, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    assert TOKEN not in answer.text
    return {check["check"]: check["ok"] for check in answer.json()["checks"]}


def test_walk_through_leads_to_an_answered_message(daemon: Daemon, twilio: Twilio) -> None:
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
    wait_for(lambda: len(twilio.taken()) == 1, "the answer at Twilio")

    [sent] = twilio.taken()
    assert (sent.to, sent.form["From"]) == (CUSTOMER, SENDER)
    assert "9:00" in sent.text
    assert sent.form["StatusCallback"].startswith(f"{PUBLIC}/hooks/whatsapp/status?item=")

    # The report that Twilio makes about it comes to the address that the message carried.
    assert call(daemon, sent.callback, report(sent, "read")).status_code == 204
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
    wrong_token = {"X-Twilio-Signature": signed(PUBLIC + path, question(), "another" * 5)}
    answers = [
        call(daemon, path, question(), public=other),
        call(daemon, path, question(), headers=wrong_token),
        call(daemon, path, foreign),
        call(daemon, path, question(), headers={}),
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
