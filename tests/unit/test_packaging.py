"""pyproject.toml and requirements.lock say the same as the folders."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent.name for path in ROOT.glob("plugins/*/__init__.py"))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def locked() -> dict[str, str]:
    """The lines of each requirement, by its name."""
    text = (ROOT / "requirements.lock").read_text()
    blocks = re.findall(r"^([a-z0-9-]+)==(.+?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    return dict(blocks)


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_the_wheel_carries_every_plugin(project: dict[str, Any]) -> None:
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

    assert sorted(packages) == sorted(["router", *(f"plugins/{name}" for name in PLUGINS)])


def test_every_plugin_is_announced_by_an_entry_point(project: dict[str, Any]) -> None:
    announced = project["project"]["entry-points"]["router.plugins"].values()

    assert sorted(announced) == PLUGINS


def test_every_plugin_is_watched_by_the_import_contracts(project: dict[str, Any]) -> None:
    linter = project["tool"]["importlinter"]
    *_layers, core, plugins = linter["contracts"]

    assert sorted(linter["root_packages"]) == ["router", *PLUGINS]
    assert sorted(core["forbidden_modules"]) == PLUGINS
    assert sorted(plugins["source_modules"]) == PLUGINS
    assert {line.split()[0].removesuffix(".**") for line in plugins["ignore_imports"]} == {*PLUGINS}


def test_every_plugin_counts_for_coverage(project: dict[str, Any]) -> None:
    assert sorted(project["tool"]["coverage"]["run"]["source_pkgs"]) == ["router", *PLUGINS]


def test_everything_asked_for_is_locked(project: dict[str, Any], locked: dict[str, str]) -> None:
    asked_for = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(line for group in project["project"]["optional-dependencies"].values() for line in group),
        *project["dependency-groups"]["dev"],
    ]

    assert {name_of(line) for line in asked_for} - {*locked} == set()


def test_the_lock_pins_by_hash_and_names_no_address(locked: dict[str, str]) -> None:
    assert [name for name, lines in locked.items() if "--hash=sha256:" not in lines] == []
    assert [name for name, lines in locked.items() if "://" in lines] == []
