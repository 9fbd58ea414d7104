"""What the pages are made of: nothing from elsewhere, nothing inline, libraries as published."""

import hashlib
import re
from pathlib import Path

import pytest

from router import web

WEB = Path(web.__file__).parent
VENDOR = WEB / "static" / "vendor"
TEMPLATES = sorted((WEB / "templates").glob("*.html"))


def test_libraries_are_what_their_authors_published() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text().splitlines()
    expected = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = [path for path in VENDOR.iterdir() if path.name not in ("README.md", "SHA256SUMS")]

    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert found == expected


def test_every_library_is_named_with_its_licence() -> None:
    readme = (VENDOR / "README.md").read_text()

    assert [path.name for path in VENDOR.iterdir() if path.name not in readme] == ["README.md"]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_template_has_nothing_inline_and_nothing_from_elsewhere(template: Path) -> None:
    text = template.read_text()

    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|hx-on|javascript:|\bjs:", text) == []
    assert re.findall(r"<script(?![^>]*\ssrc=\"/static/)", text) == []
    addresses = re.findall(r"(?:src|href|action|hx-get|hx-post|hx-sse:connect)=\"([^\"]*)", text)
    here = ("/", "../", "?", "#", "tel:")
    assert [address for address in addresses if not address.startswith(here)] == []
    assert [address for address in addresses if address.startswith("//")] == []
    assert "safe" not in re.findall(r"\|\s*(\w+)", text)


@pytest.mark.parametrize(
    "name", ["simulator.css", "conversation.css", "api.css", "simulator.js", "icon.svg"]
)
def test_own_file_loads_nothing_from_elsewhere(name: str) -> None:
    text = (WEB / "static" / name).read_text().replace("http://www.w3.org/2000/svg", "")

    assert re.findall(r"https?:|url\(|@import|//[a-z]", text) == []
