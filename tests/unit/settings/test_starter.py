"""What ships runs: the router.toml at the top, and what `router init` writes."""

from pathlib import Path

import pytest

from router.data import data_path
from router.plugin.loading import load_plugins
from router.settings.loading import load_settings
from router.settings.starter import existing, starter_files, write_starter


def test_the_shipped_router_answers_by_itself_from_the_example_articles() -> None:
    settings = load_settings(data_path("router.toml"), load_plugins(), run=True, environ={})

    main = settings.tenants["main"]
    assert main.policy.mode == "autopilot"
    assert main.channels["phone"].kind == "simulator"
    assert settings.ai["assistant"].kind == "answers"
    assert main.knowledge_folders == (data_path("config", "knowledge"),)
    names = [path.name for path in main.rule_files]
    assert names == ["triage.toml", "pt.toml", "en.toml", "guardrails.toml"]
    assert settings.router.database.endswith("/data/router.db")
    assert settings.warnings == ()


def test_a_new_directory_gets_everything_that_a_first_start_needs(tmp_path: Path) -> None:
    written = write_starter(tmp_path / "desk")
    settings = load_settings(tmp_path / "desk/router.toml", load_plugins(), run=True, environ={})

    names = {str(path.relative_to(tmp_path / "desk")) for path in written}
    assert names == set(starter_files())
    assert {
        "router.toml",
        ".env.example",
        ".gitignore",
        "rules/triage.toml",
        "rules/guardrails.toml",
    } <= names
    assert {"rules/triage.test.toml", "rules/countries/mx.toml"} <= names
    assert any(name.startswith("config/knowledge/") for name in names)
    assert settings.tenants["main"].policy.mode == "assisted"
    assert settings.tenants["main"].policy.apology
    assert settings.warnings == ()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "router.toml"
    mine.write_text("# mine\n")

    assert existing(tmp_path) == [mine]
    written = write_starter(tmp_path)

    assert mine not in written
    assert mine.read_text() == "# mine\n"
    assert len(written) == len(starter_files()) - 1
    assert write_starter(tmp_path) == []
    assert len(existing(tmp_path)) == len(starter_files())


def test_a_part_that_is_missing_from_an_installation_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"rules/none\.toml is missing"):
        data_path("rules", "none.toml")
