"""The README tells the truth: its example runs, its paths exist, its commands are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_is_the_channel_that_the_conformance_kit_checks() -> None:
    shown = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

    acme = Path(__file__).parent / "plugins" / "acme.py"
    assert shown == [acme.read_text(encoding="utf-8")]


def test_every_path_of_the_map_is_there() -> None:
    listed = re.findall(r"^\| (.+?) \|", README, re.MULTILINE)
    paths = [path for cell in listed for path in re.findall(r"`([\w./*-]+)`", cell)]

    assert len(paths) > 15
    assert [path for path in paths if not list(ROOT.glob(path))] == []


PACKAGES = sorted(path.parent.name for path in ROOT.glob("router/*/__init__.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_on_the_map(package: str) -> None:
    assert f"`router/{package}/`" in README


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_commands_are_the_makefiles() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE))

    assert {"run", "test", "check", "bench"} <= named
    assert [name for name in named if f"\n{name}:" not in makefile] == []
