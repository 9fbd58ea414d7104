"""A person is called on their telephone, taps the link, and reads the conversation."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from pytest_httpserver import HTTPServer

from tests.acceptance import provider as providers
from tests.acceptance.daemon import ARTICLES, Daemon, folder_of, router_toml, wait_for

if TYPE_CHECKING:
    from playwright.async_api import Page

ANA = "+573001234567"
LONG = "https://example.org/" + "pedido-" * 30

RULES = """
[default]
answer = "assistant"

[[rule]]
id = "shipping"
when.text.words = "envío"
then.reply = { text = "El envío cuesta $8.000 en Bogotá." }

[[rule]]
id = "refund"
when.text.words = "reembolso"
then.draft = { text = "Le devolvemos el dinero.", because = "money is involved" }

[[rule]]
id = "legal"
when.text.words = "abogado"
then.escalate = { to = "legal", because = "legal threat", say = "Ya le escribe una persona." }
"""

PAGER = """
[queues.legal]
notify = ["pager"]

[actions.pager]
type = "webhook"
url = "{url}"
"""


@pytest.fixture
def called(tmp_path: Path, httpserver: HTTPServer) -> Iterator[tuple[Daemon, str]]:
    """A daemon whose customer asked for a lawyer, and the link that was sent about it."""
    httpserver.expect_request("/notice").respond_with_data("")
    pager = PAGER.format(url=httpserver.url_for("/notice"))
    with providers.running() as provider:
        config = router_toml(provider.url, more=pager)
        with folder_of(tmp_path, config, {"rules.toml": RULES, **ARTICLES}) as daemon:
            daemon.start()
            daemon.say("m1", f"tel:{ANA}", "¿Cuánto cuesta el envío?")
            wait_for(lambda: _sent(daemon) == 1, "an answer")
            daemon.say("m2", f"tel:{ANA}", "Quiero un reembolso")
            daemon.say("m3", f"tel:{ANA}", f"Mire {LONG} o llamo a mi abogado")
            wait_for(lambda: bool(httpserver.log), "a notice")
            notice = json.loads(httpserver.log[0][0].data)["params"]
            assert notice["title"] == f"{ANA}: legal threat"
            assert "llamo a mi abogado" in notice["text"]
            wait_for(lambda: _sent(daemon) == 2, "what the rule says")
            # The process was given a free port, of which its public address knows nothing.
            yield daemon, daemon.url + urlsplit(notice["url"]).path


def _sent(daemon: Daemon) -> int:
    ((number,),) = daemon.rows(
        "SELECT count(*) FROM message WHERE direction = 'out' AND status = 'sent'"
    )
    return int(number)


@pytest.mark.parametrize("width, scheme", [(360, "light"), (360, "dark"), (1280, "light")])
async def test_link_shows_the_conversation_on_any_screen_without_a_script(
    called: tuple[Daemon, str], page: "Page", width: int, scheme: str
) -> None:
    from playwright.async_api import expect

    _, url = called
    browser = page.context.browser
    assert browser is not None
    context = await browser.new_context(
        java_script_enabled=False,
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 740},
    )
    phone = await context.new_page()
    complaints: list[str] = []
    phone.on("console", lambda line: complaints.append(line.text))
    phone.on("requestfailed", lambda request: complaints.append(request.url))

    await phone.goto(url)

    await expect(phone.get_by_role("heading", level=1)).to_have_text(ANA)
    await expect(phone.get_by_text("ledger", exact=True)).to_be_visible()
    await expect(phone.get_by_text("legal threat")).to_be_visible()
    await expect(phone.get_by_text("Nadie ha confirmado todavía.")).to_be_visible()
    await expect(phone.locator(".theirs").first).to_contain_text("¿Cuánto cuesta el envío?")
    await expect(phone.locator(".mine").last).to_contain_text("Ya le escribe una persona.")
    await expect(phone.locator(".mine .status").last).to_have_text("enviado")
    await expect(phone.locator(".draft")).to_have_text("Le devolvemos el dinero.")
    body = await phone.locator("body").bounding_box()
    wall = await phone.locator(".wall").bounding_box()
    assert body is not None
    assert wall is not None
    assert wall["x"] >= 0
    assert wall["x"] + wall["width"] <= body["width"] <= width
    for bubble in await phone.locator(".bubble").all():
        box = await bubble.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width
    assert complaints == []

    await phone.get_by_role("link", name="English").click()
    await expect(phone.get_by_text("Nobody has acknowledged it yet.")).to_be_visible()
    await phone.get_by_role("link", name="Refresh").click()
    await expect(phone.get_by_text("Nobody has acknowledged it yet.")).to_be_visible()
    await context.close()


async def test_call_is_acknowledged_with_the_command_that_the_page_names(
    called: tuple[Daemon, str], page: "Page"
) -> None:
    from playwright.async_api import expect

    daemon, url = called
    await page.goto(url)
    command = await page.locator(".command code").first.inner_text()
    assert command.startswith("router escalations ack ")

    daemon.command(*command.split()[1:], "--by", "luis")

    await page.get_by_role("link", name="Actualizar").click()
    await expect(page.get_by_text("Lo atiende luis")).to_be_visible()
    await expect(page.locator(".command")).to_have_count(1)  # the draft's
