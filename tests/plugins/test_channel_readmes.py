"""What the READMEs of the channels say about settings is what the settings are."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from router import plugin
from router_builderbot import BuilderbotConfig
from router_telegram import TelegramConfig
from router_waha import WahaConfig
from router_whatsapp_cloud import WhatsAppCloudConfig

ROOT = Path(__file__).parents[2]

CHANNELS: dict[str, type[plugin.PluginConfig]] = {
    "builderbot": BuilderbotConfig,
    "telegram": TelegramConfig,
    "waha": WahaConfig,
    "whatsapp_cloud": WhatsAppCloudConfig,
}

pytestmark = pytest.mark.parametrize("kind", CHANNELS)


def _readme(kind: str) -> str:
    return (ROOT / "plugins" / f"router_{kind}" / "README.md").read_text(encoding="utf-8")


def _secret(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        if set(value) & {"env", "file", "credential"}:
            return SecretStr("123456:token-of-nobody" if name == "token" else "secret-of-nobody")
        return {key: _secret(one, key) for key, one in value.items()}
    return value


def _examples(kind: str) -> list[dict[str, Any]]:
    blocks = re.findall(r"^```toml\n(.*?)^```$", _readme(kind), re.MULTILINE | re.DOTALL)
    tables = [table for text in blocks for table in tomllib.loads(text)["channels"].values()]
    return [_secret(table, "") for table in tables]


def test_the_examples_load(kind: str) -> None:
    examples = _examples(kind)

    assert examples
    for table in examples:
        assert table.pop("type") == kind
        CHANNELS[kind].model_validate(table)


def test_the_table_names_every_setting_with_its_default(kind: str) -> None:
    model = CHANNELS[kind]
    table = _readme(kind).split("| setting | default | meaning |")[1].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\|", table, re.MULTILINE)
    stated = dict(rows)
    example = _examples(kind)[0]
    example.pop("type")
    defaults = model.model_validate(example)

    assert list(stated) == [*dict.fromkeys(stated)]
    assert set(stated) == set(model.model_fields)
    for name, text in stated.items():
        required = model.model_fields[name].is_required()
        if required or text == "none":
            assert (text == "") is required, name
            empty = getattr(defaults, name) in (None, (), {})
            assert required or empty or name in example, name
            continue
        value = tomllib.loads(f"x = {text.strip('`')}")["x"]
        with_it = model.model_validate({**example, name: value})
        assert getattr(with_it, name) == getattr(model.model_validate(example), name), name


def test_every_section_of_the_guide_is_there(kind: str) -> None:
    headings = re.findall(r"^## (.*)$", _readme(kind), re.MULTILINE)

    assert headings[1:] == ["What comes in", "What leaves", "What is sure and what is not"] or (
        headings[1:]
        == ["What comes in", "What leaves", "Error codes", "What is sure and what is not"]
    )
