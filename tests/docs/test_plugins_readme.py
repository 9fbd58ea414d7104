"""The examples of plugins/README.md are the files that run here, and they keep the contract."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import SecretStr

from router import plugin
from router.plugin.loading import load_plugins
from router.plugin.testing import ActionSuite, AIBackendSuite, ChannelSuite, conformance
from router.plugin.threads import MOST

ROOT = Path(__file__).parents[2]
EXAMPLES = Path(__file__).parent / "plugins"
FENCED = re.MULTILINE | re.DOTALL
README = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")


def test_each_python_example_is_the_file_that_is_tested() -> None:
    shown = dict(re.findall(r"^\*\*`(\S+)`\*\*\n\n```python\n(.*?)^```$", README, FENCED))

    assert shown == {path.name: path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.py")}
    assert README.count("```python") == len(shown)


def test_the_channel_has_forty_lines() -> None:
    lines = (EXAMPLES / "acme.py").read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 42


@pytest.mark.parametrize(
    "kinds, name",
    [
        ("channels", "acme"),
        ("channels", "voicemail"),
        ("channels", "postbox"),
        ("ai_backends", "chat"),
        ("ai_backends", "parley"),
        ("ai_backends", "scribe"),
        ("actions", "pager"),
    ],
)
def test_each_example_loads_as_a_single_file_and_keeps_the_contract(kinds: str, name: str) -> None:
    registry = load_plugins([EXAMPLES / f"{name}.py"])

    assert not registry.failures
    results = conformance(getattr(registry, kinds)[name])
    assert [it for it in results if it.outcome not in ("passed", "exempt")] == []
    assert len(results) > 20


def test_each_toml_example_is_accepted_by_what_it_is_for() -> None:
    table, project = (
        tomllib.loads(text) for text in re.findall(r"^```toml\n(.*?)^```$", README, FENCED)
    )

    registry = load_plugins([EXAMPLES / name for name in table["router"]["plugins"]])
    sms = table["channels"]["sms"]
    registration = registry.channels[sms.pop("type")]
    assert sms["token"] == {"env": "ACME_TOKEN"}
    registration.config.model_validate({**sms, "token": SecretStr("s3cret")})
    assert project["project"]["entry-points"] == {"router.plugins": {"acme": "router_acme"}}


def test_five_rows_become_more_than_forty_tests() -> None:
    registry = load_plugins([EXAMPLES / "acme.py"])

    assert len(conformance(registry.channels["acme"])) > 40


def test_every_check_is_explained() -> None:
    named = set(re.findall(r"^\| (`.*?`) \|", README, re.MULTILINE))
    explained = set(re.findall(r"`(\w+)`", " ".join(named)))

    for suite in (ChannelSuite, AIBackendSuite, ActionSuite):
        assert set(suite.checks) <= explained


def test_an_instance_has_as_many_threads_as_the_guide_says() -> None:
    assert f"Each instance has {MOST} threads of its own." in README


def test_every_name_that_the_guide_uses_is_in_the_api() -> None:
    for name in re.findall(r"`plugin\.(\w+)", README):
        assert name in plugin.__all__
