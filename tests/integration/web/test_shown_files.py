"""What customers send besides words is shown by the page of a notice, the API and the command."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import pytest
import sqlalchemy as sa
from pytest_httpserver import HTTPServer

from router.cli.main import main
from router.domain.message import Attachment
from router.storage.codec import encode_attachments
from router.storage.store import Tx
from router.storage.tables import message
from tests.integration.web.api_site import REPLY, Site
from tests.integration.web.daemon import CONFIG, running
from tests.integration.web.test_conversation import ANA, MORE, World

if TYPE_CHECKING:
    from playwright.async_api import Page

LONG = "pedido-" * 40

FILES = (
    Attachment(
        kind="audio",
        url="https://secret.example/a?token=x",
        content_type="audio/ogg",
        digest="ab" * 32,
        size=1234,
        transcript="Quiero <b>hablar</b> con alguien",
    ),
    Attachment(kind="image", problem="the provider answered 404", content_type="image/jpeg"),
    Attachment(kind="document", name=f"{LONG}<i>.pdf", content_type="application/pdf", size=7),
    Attachment(kind="location", latitude=4.6, longitude=-74.1),
    Attachment(kind="hologram"),
)

SHOWN = {
    "es": ("nota de voz", "foto", "(no disponible)", "documento", "ubicación", "archivo"),
    "pt": ("mensagem de voz", "foto", "(não disponível)", "documento", "localização", "arquivo"),
    "en": ("voice note", "picture", "(not available)", "document", "place", "file"),
}


def attach(tx: Tx) -> None:
    """Let every message of a customer bring files."""
    tx.connection.execute(
        sa.update(message)
        .where(message.c.direction == "in")
        .values(attachments=encode_attachments(FILES))
    )


@pytest.fixture
async def world(tmp_path: Path, httpserver: HTTPServer) -> AsyncIterator[World]:
    httpserver.expect_request("/notice").respond_with_data("")
    config = CONFIG + MORE.format(url=httpserver.url_for("/notice"))
    async with running(tmp_path, engine="hypercorn", config=config) as daemon:
        yield World(daemon, httpserver)


@pytest.mark.parametrize("language", list(SHOWN))
async def test_page_names_each_file_in_the_readers_language(world: World, language: str) -> None:
    path = await world.called()
    await world.write(attach)

    text = (await world.get(f"{path}?lang={language}")).text

    places = [text.index(f">{words}") for words in SHOWN[language] if not words.startswith("(")]
    assert places == sorted(places)
    assert text.count(SHOWN[language][2]) == 1
    assert '<q class="transcript">Quiero &lt;b&gt;hablar&lt;/b&gt; con alguien</q>' in text
    assert f"{LONG}&lt;i&gt;.pdf" in text
    assert 'title="the provider answered 404"' in text
    # Where the provider keeps it is nobody's business who reads the page.
    assert "secret.example" not in text


@pytest.mark.parametrize("width", [360, 1280])
async def test_files_fit_on_any_screen(world: World, page: "Page", width: int) -> None:
    from playwright.async_api import expect

    path = await world.called()
    await world.write(attach)
    await page.set_viewport_size({"width": width, "height": 740})

    await page.goto(world.daemon.url + path)

    files = page.locator(".theirs .files")
    await expect(files).to_have_count(len(FILES))
    await expect(files.nth(0)).to_have_text("nota de voz: Quiero <b>hablar</b> con alguien")
    await expect(files.nth(0).locator(".transcript")).to_be_visible()
    await expect(files.nth(1)).to_have_text("foto (no disponible)")
    await expect(files.nth(3)).to_have_text("ubicación")
    bubble = await page.locator(".theirs").last.bounding_box()
    assert bubble is not None
    assert bubble["x"] + bubble["width"] <= width
    for each in await files.all():
        box = await each.bounding_box()
        assert box is not None
        assert box["x"] >= bubble["x"]
        assert box["x"] + box["width"] <= bubble["x"] + bubble["width"] + 1
    overflow = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0


async def test_api_tells_what_is_known_of_each_file(site: Site) -> None:
    async with site.client() as client:
        things = await site.said(REPLY)
        await site.write(attach)

        listed = (await client.get(f"conversations/{things.conversation}/messages")).json()
        message = next(it for it in listed["items"] if it["author"] == "customer")

    voice, picture, document, place, other = message["attachments"]
    assert voice == {
        "kind": "audio",
        "name": None,
        "content_type": "audio/ogg",
        "size": 1234,
        "transcript": "Quiero <b>hablar</b> con alguien",
        "problem": None,
        "latitude": None,
        "longitude": None,
    }
    assert picture["problem"] == "the provider answered 404"
    assert (document["name"], document["size"]) == (f"{LONG}<i>.pdf", 7)
    assert (place["latitude"], place["longitude"]) == (4.6, -74.1)
    assert other["kind"] == "hologram"
    # Neither where the provider keeps it, nor under which name we do.
    assert "secret.example" not in str(listed)
    assert "ab" * 32 not in str(listed)


async def test_command_names_each_file(world: World, tmp_path: Path, capsys: Any) -> None:
    await world.called()
    await world.write(attach)

    words = ["-c", str(tmp_path / "router.toml"), "conversations", "show", f"tel:{ANA}"]
    status = await anyio.to_thread.run_sync(main, words)

    shown = capsys.readouterr().out
    assert status == 0
    assert "[audio: “Quiero <b>hablar</b> con alguien”] [image, not available: the" in shown
    assert f"[document {LONG}<i>.pdf] [location] [hologram]" in shown
    assert urlsplit(FILES[0].url or "").hostname not in shown
