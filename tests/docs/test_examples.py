"""The example deployments load as they stand, and their rules do what their examples say."""

import re
import shutil
from pathlib import Path

import pytest

from router.data import data_path
from router.plugin.loading import load_plugins
from router.rules.examples import run_examples
from router.settings.loading import load_settings, plugin_files
from router.settings.model import Settings

EXAMPLES = data_path("config", "examples")
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
#: A value for every secret: long enough for whoever checks it, and an address for apprise.
SECRET = "json://127.0.0.1/s3cret"


def variables(folder: Path) -> dict[str, str]:
    """Give a value for each variable that .env.example names."""
    text = (folder / ".env.example").read_text(encoding="utf-8")
    return dict.fromkeys(re.findall(r"^([A-Z_]+)=$", text, flags=re.MULTILINE), SECRET)


def load(folder: Path, *, run: bool = True) -> Settings:
    config = folder / "router.toml"
    return load_settings(
        config, load_plugins(plugin_files(config)), run=run, environ=variables(folder)
    )


def test_all_of_them_are_here() -> None:
    assert NAMES == ["agency", "calls", "one-business"]


@pytest.mark.parametrize("name", NAMES)
def test_copy_of_it_runs_once_the_secrets_are_there(name: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / name, tmp_path / name)

    settings = load(tmp_path / name)

    assert settings.warnings == ()
    assert settings.router.public_url.startswith("https://")


@pytest.mark.parametrize("name", NAMES)
def test_env_example_names_every_variable_and_no_other(name: str) -> None:
    written = "\n".join(path.read_text("utf-8") for path in (EXAMPLES / name).rglob("*.toml"))
    used = set(re.findall(r'env = "([A-Z_]+)"', written))

    assert set(variables(EXAMPLES / name)) == used


@pytest.mark.parametrize("name", NAMES)
def test_rules_do_what_their_examples_say(name: str) -> None:
    settings = load(EXAMPLES / name)
    ran = 0
    for tenant in settings.tenants.values():
        assert [str(problem) for problem in run_examples(tenant.rules, tenant.policy)] == []
        ran += len(tenant.rules.examples)

    assert ran > 0


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_and_guardrail_has_an_example(name: str) -> None:
    for tenant in load(EXAMPLES / name).tenants.values():
        deciding = {rule.id for rule in tenant.rules.rules if rule.id not in ONLY_A_CATEGORY}
        deciding |= {guardrail.id for guardrail in tenant.rules.guardrails}
        expected = {example.expect.get("rule") for example in tenant.rules.examples}

        assert deciding - expected == set()


#: Rules that decide nothing: they say what a message is about, or tell another system.
ONLY_A_CATEGORY = {"tracking", "info", "sales", "tell-the-agenda"}


def test_agency_keeps_its_tenants_apart() -> None:
    settings = load(EXAMPLES / "agency")
    tenants = {name: it for name, it in settings.tenants.items() if name != "main"}

    assert set(tenants) == {"flores", "clinica", "taller"}
    assert not settings.tenants["main"].channels
    folders = [folder for it in tenants.values() for folder in it.knowledge_folders]
    assert len(set(folders)) == len(folders) == 3
    accounts = {
        it.channels["whatsapp"].config.model_dump()["account_sid"] for it in tenants.values()
    }
    assert len(accounts) == 3
    assert {name: it.policy.mode for name, it in tenants.items()} == {
        "flores": "autopilot",
        "clinica": "assisted",
        "taller": "assisted",
    }
    assert {name: it.language for name, it in tenants.items()}["taller"] == "pt"
    clinic_only = {rule.id for rule in tenants["clinica"].rules.rules} - {
        rule.id for rule in tenants["flores"].rules.rules
    }
    assert clinic_only == {"emergency", "symptoms"}


def test_guide_names_every_example() -> None:
    guide = (EXAMPLES / "README.md").read_text(encoding="utf-8")

    assert re.findall(r"^\| \[([a-z-]+)\]", guide, flags=re.MULTILINE) == [*reversed(NAMES)]
    for target in re.findall(r"\]\(([^)]+)\)", guide):
        assert (EXAMPLES / target).exists(), target
