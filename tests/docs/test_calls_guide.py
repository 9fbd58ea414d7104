"""config/CALLS.md: what it says to write is right, and the commands that it names exist."""

import re
import shlex
from pathlib import Path

import pytest
import tomli

from router.cli.main import main
from router.data import data_path
from router.plugin.loading import load_plugins
from router.settings.loading import load_settings
from router.web.api.app import scopes

GUIDE = data_path("config", "CALLS.md").read_text(encoding="utf-8")

#: What the guide takes for granted: a router that answers on WhatsApp.
BEFORE = """
[router]
public_url = "https://router.example.org"
rules = ["rules.toml"]

[channels.whatsapp]
type = "twilio_whatsapp"
account_sid = "AC00000000000000000000000000000000"
auth_token = { env = "TWILIO_AUTH_TOKEN" }
sender = "whatsapp:+14155238886"
"""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """Give the words of every `router …` in the guide, up to the first that is its reader's."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    spoken = re.findall(r"`(router [a-z ]+)", GUIDE)
    found = [line.split("#")[0] for line in lines if line.startswith("router ")]
    return [shlex.split(line)[1:] for line in [*found, *spoken]]


def test_what_it_says_to_write_is_a_configuration(tmp_path: Path) -> None:
    tables = [block for block in blocks("toml") if "[[rule]]" not in block]
    # The account key is added to the table of the first step.
    (key,) = [block for block in tables if block.count("\n") == 2 and "account_key" in block]
    tables.remove(key)
    tables[0] += key.splitlines()[1] + "\n"
    rules = "\n".join(block for block in blocks("toml") if "[[rule]]" in block)
    (tmp_path / "router.toml").write_text(BEFORE + "\n".join(tables), encoding="utf-8")
    answering = '[category.OTHER]\nrisk = "low"\n[category.INFO]\nrisk = "low"\n'
    assert '`default.answer = "caller"`' in GUIDE
    (tmp_path / "rules.toml").write_text(f'default.answer = "caller"\n{answering}{rules}', "utf-8")
    environ = dict.fromkeys(re.findall(r'env = "([A-Z_]+)"', BEFORE + GUIDE), "json://x/s3cret-123")

    settings = load_settings(tmp_path / "router.toml", load_plugins([]), run=True, environ=environ)

    main = settings.tenants["main"]
    assert set(main.channels) == {"calls", "whatsapp"}
    assert main.rules.rules[0].id == "after-call"
    assert settings.warnings == ()


def test_every_example_of_the_guide_is_toml() -> None:
    for block in blocks("toml"):
        assert tomli.loads(block)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_exist(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    named = [word for word in words if re.fullmatch("[a-z]+", word)][:2]

    assert main([*named, "--help"]) == 0
    told = capsys.readouterr().out
    # A help that lists commands means that the second word was none.
    assert "\nCommands:\n" not in told
    assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", told))


def test_scopes_exist() -> None:
    used = re.findall(r"--scopes ([a-z:,]+)", GUIDE)

    assert used
    assert {scope for words in used for scope in words.split(",")} <= set(scopes())
