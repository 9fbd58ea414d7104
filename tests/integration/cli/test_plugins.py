"""`router plugins`: what is there, a new one, and whether it keeps the contract."""

import json
import sys
from pathlib import Path

import pytest

from router.cli.main import main


def test_every_kind_is_listed_with_whoever_brings_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins"]) == 0
    table = capsys.readouterr().out
    assert main(["plugins", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert table.splitlines()[0].split() == ["KIND", "OF", "PLUGIN", "FROM"]
    kinds = {(each["kind"], each["group"], each["package"]) for each in found["kinds"]}
    assert ("simulator", "channel", "channel-router") in kinds
    assert ("answers", "AI backend", "channel-router") in kinds
    assert ("webhook", "action", "channel-router") in kinds
    assert found["failures"] == []


def test_a_built_in_plugin_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", "webhook"]) == 0

    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["KIND", "CHECK", "RESULT", "ROW"]
    assert out.endswith(" checks passed, 0 did not.\n")
    assert "FAILED" not in out


@pytest.mark.parametrize(
    "name, complaint",
    [
        ("webhok", 'there is no plugin or kind "webhok". Did you mean "webhook"? '),
        ("zzz", 'there is no plugin or kind "zzz". There are: answers, '),
    ],
)
def test_an_unknown_plugin_is_a_mistake(
    capsys: pytest.CaptureFixture[str], name: str, complaint: str
) -> None:
    assert main(["plugins", "check", name]) == 2

    assert capsys.readouterr().err.startswith(complaint)


def test_a_plugin_without_a_suite_does_not_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "careless.py").write_text(
        "from router import plugin\n"
        "router_api = (1, 0)\n"
        "class Careless(plugin.Action[plugin.NoConfig]):\n"
        "    async def run(self, call):\n"
        "        raise plugin.Refused('never')\n"
        "@plugin.hookimpl\n"
        "def router_register(registry):\n"
        "    registry.action('careless', Careless, config=plugin.NoConfig)\n",
        encoding="utf-8",
    )
    config = tmp_path / "router.toml"
    config.write_text('[router]\nplugins = ["careless.py"]\n', encoding="utf-8")

    assert main(["-c", str(config), "plugins", "check", "careless"]) == 1
    missing = capsys.readouterr().out

    assert "MISSING" in missing
    assert f"write one in {tmp_path / 'careless_conformance.py'}" in missing


def test_a_new_plugin_is_written_and_never_over_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["plugins", "new", "acme_sms"]) == 0
    out = capsys.readouterr().out
    assert main(["plugins", "new", "acme_sms"]) == 2
    again = capsys.readouterr().err

    assert (tmp_path / "router-acme-sms" / "router_acme_sms" / "__init__.py").exists()
    pip = Path(sys.executable).with_name("pip")
    assert out.endswith(
        f"\nNext: {pip} install -e router-acme-sms; router plugins check acme_sms\n"
    )
    assert "exists already. Choose another directory" in again
