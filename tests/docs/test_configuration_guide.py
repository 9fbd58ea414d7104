"""config/README.md names every setting, with its default, and its examples load."""

import re
import shutil
from pathlib import Path

import pytest
import tomli
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from router.data import data_path
from router.plugin.loading import load_plugins
from router.settings.annotations import keys_of
from router.settings.loading import load_settings
from router.settings.schema import json_schema
from router.settings.tables import (
    ActionTable,
    AITable,
    ChannelTable,
    KnowledgeTable,
    PolicyTable,
    QueueTable,
    RouterTable,
    ServerTable,
    TenantTable,
)

GUIDE = data_path("config", "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", GUIDE, flags=re.DOTALL | re.MULTILINE)


def rows(heading: str) -> dict[str, str]:
    """Give the defaults of the table below a heading, by key."""
    section = GUIDE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) ?\|", section, flags=re.MULTILINE))


@pytest.mark.parametrize(
    "heading, models",
    [
        ("`[router]`", [RouterTable]),
        ("`[server]`", [ServerTable]),
        ("`[policy]`", [PolicyTable]),
        ("`[knowledge]`", [KnowledgeTable]),
        ("`[channels.X]`, `[ai.X]`, `[actions.X]`", [ChannelTable, AITable, ActionTable]),
        ("`[queues.X]`", [QueueTable]),
        ("`[tenants.X]`", [TenantTable]),
    ],
)
def test_every_setting_has_its_row_and_no_row_is_left_over(
    heading: str, models: list[type[BaseModel]]
) -> None:
    assert set(rows(heading)) == {key for model in models for key in keys_of(model)}


@pytest.mark.parametrize("table", ["router", "server", "policy"])
def test_the_defaults_are_the_real_ones(table: str) -> None:
    properties = json_schema(load_plugins())["$defs"][table]["properties"]
    written = rows(f"`[{table}]`")

    for key, schema in properties.items():
        default = schema.get("default")
        if default in (None, ""):
            assert "`" not in written[key]
        elif key == "max_body":
            assert (default, written[key]) == (1 << 20, '`"1 MiB"`')
        else:
            assert tomli.loads(f"it = {written[key].strip('`')}")["it"] == default


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_validates(example: str) -> None:
    validator = Draft202012Validator(json_schema(load_plugins()))

    assert [error.message for error in validator.iter_errors(tomli.loads(example))] == []


def test_the_examples_load_beside_the_shipped_files(tmp_path: Path) -> None:
    shutil.copytree(data_path("rules"), tmp_path / "rules")
    shutil.copytree(data_path("config"), tmp_path / "config")
    (tmp_path / "tenants").mkdir()
    first, tools, tenant, include = EXAMPLES
    (tmp_path / "router.toml").write_text(include + first + tools, encoding="utf-8")
    (tmp_path / "tenants/clinica.toml").write_text(tenant, encoding="utf-8")

    settings = load_settings(
        tmp_path / "router.toml",
        load_plugins(),
        run=True,
        environ={"PAGER_SECRET": "x" * 32, "ERP_TOKEN": "of-nobody"},
    )

    assert set(settings.tenants) == {"main", "clinica"}
    assert settings.queues["legal"].notify == ("pager",)
    assert settings.ai["writer"].tools == ("order_status",)
