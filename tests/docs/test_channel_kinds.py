"""The guides name every channel that ships."""

import re
from pathlib import Path

from router.plugin.loading import load_plugins

ROOT = Path(__file__).parents[2]
PLUGINS = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
CONFIG = (ROOT / "config" / "README.md").read_text(encoding="utf-8")


def test_the_configuration_guide_names_every_channel() -> None:
    section = CONFIG.split("## `[channels.X]`, `[ai.X]`, `[actions.X]`")[1].partition("\n| key")[0]
    shipped = {
        kind
        for kind, registration in load_plugins([]).channels.items()
        if (ROOT / "plugins" / registration.factory.__module__.partition(".")[0]).is_dir()
    }

    assert shipped
    assert {kind for kind in shipped if f"`{kind}`" not in section} == set()


def test_each_guide_to_a_plugin_is_there() -> None:
    table = PLUGINS.split("## What ships")[1].partition("\n## ")[0]
    links = re.findall(r"\]\((router_\w+/README\.md)\)", table)

    assert links
    assert [link for link in links if not (ROOT / "plugins" / link).is_file()] == []
