"""What tells two configurations apart: each change by its name, no secret, nothing that is kept."""

from pathlib import Path

import pytest

from router.settings.changes import changes, in_force, needs_restart, same_instance
from router.settings.loading import load_settings
from router.settings.model import Settings
from tests.unit.settings.kinds import kinds

CONFIG = """
[router]
rules = ["rules.toml"]
language = "es"

[server]
port = 8000

[policy]
debounce = "2s"

[channels.sms]
type = "acme"
account = "AC1"
token = { env = "TOKEN" }

[ai.helper]
type = "answers"
prompt = "prompt.md"

[queues.legal]
title = "Legal"

[tenants.clinica]
language = "pt"
"""

RULES = """
[lexicon.bad]
any = ["malo"]

[category.INFO]
risk = "low"

[default]
answer = "helper"

[[rule]]
id = "one"
when.text.words = "uno"
then.reply = { text = "1" }

[[rule]]
id = "two"
when.text.words = "dos"
then.reply = { text = "2" }
"""


def read(folder: Path, config: str, rules: str, *, token: str, prompt: str = "Hola") -> Settings:
    folder.mkdir(exist_ok=True)
    (folder / "router.toml").write_text(config)
    (folder / "rules.toml").write_text(rules)
    (folder / "prompt.md").write_text(prompt)
    path = folder / "router.toml"
    return load_settings(path, REGISTRY, run=True, environ={"TOKEN": token})


REGISTRY = kinds()


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("2s", "3s", ['policy.debounce: "2s" → "3s"', 'clinica/policy.debounce: "2s" → "3s"']),
        ('"pt"', '"en"', ['clinica/language: "pt" → "en"']),
        ('account = "AC1"', 'account = "AC2"', ["channels.sms: account changed"]),
        ('account = "AC1"', 'account = "AC1"\nrequired = true', ["channels.sms: required changed"]),
        ('account = "AC1"', 'account = "AC1"\nenabled = false', ["channels.sms: enabled changed"]),
        ("channels.sms", "channels.txt", ["channels.txt: added", "channels.sms: removed"]),
        ('title = "Legal"', 'title = "Ley"', ["queues.legal: changed"]),
        ("tenants.clinica", "tenants.otra", ["tenants.otra: added", "tenants.clinica: removed"]),
        ('words = "uno"', 'words = "una"', ["rule.one: changed", "clinica/rule.one: changed"]),
        ('id = "two"', 'id = "three"', ["rule.three: added", "rule.two: removed"]),
        ('["malo"]', '["peor"]', ["lexicon.bad: changed"]),
        ('risk = "low"', 'risk = "high"', ["category.INFO: changed"]),
        ('[default]\nanswer = "helper"', "[default]\nticket = {}", ["default: changed"]),
        ("debounce =", "# a comment\ndebounce =", []),
        ("port = 8000", "port = 8001", []),
        ("[server]", "[server]\nmax_body = 9000", ["[server] max_body: 1048576 → 9000"]),
    ],
)
def test_each_change_is_told_by_its_name(
    tmp_path: Path, old: str, new: str, told: list[str]
) -> None:
    before = read(tmp_path, CONFIG, RULES, token="hunter22")
    after = read(tmp_path, CONFIG.replace(old, new), RULES.replace(old, new), token="hunter22")

    found = changes(before, in_force(before, after))

    assert [words for words in found if words in told] == told
    if not told:
        assert found == ()


def test_rules_that_are_only_moved_are_told(tmp_path: Path) -> None:
    head, one, two = RULES.split("[[rule]]")
    before = read(tmp_path, CONFIG, RULES, token="hunter22")
    after = read(tmp_path, CONFIG, f"{head}[[rule]]{two}[[rule]]{one}", token="hunter22")

    assert changes(before, after) == (
        "rules: read in another order",
        "clinica/rules: read in another order",
    )


def test_a_new_secret_is_told_without_its_value_and_makes_another_instance(tmp_path: Path) -> None:
    before = read(tmp_path, CONFIG, RULES, token="hunter22")
    after = read(tmp_path, CONFIG, RULES, token="swordfish")

    assert before.hash == after.hash
    assert changes(before, after) == ("channels.sms: token changed",)
    assert not same_instance(
        before.tenants["main"].channels["sms"], after.tenants["main"].channels["sms"]
    )


def test_a_new_prompt_is_told_and_needs_no_other_instance(tmp_path: Path) -> None:
    before = read(tmp_path, CONFIG, RULES, token="hunter22")
    after = read(tmp_path, CONFIG, RULES, token="hunter22", prompt="Buenas")

    assert changes(before, after) == ("ai.helper: prompt changed",)
    assert same_instance(before.ai["helper"], after.ai["helper"])


@pytest.mark.parametrize(
    "old, new, named",
    [
        ("port = 8000", "port = 8001", "[server] port"),
        ("port = 8000", 'host = "0.0.0.0"', "[server] host"),
        ("port = 8000", 'engine = "uvicorn"', "[server] engine"),
        ("[router]", '[router]\ndatabase = "sqlite:///other.db"', "[router] database"),
        ("[router]", '[router]\nlease = "5s"', "[router] lease"),
    ],
)
def test_what_needs_a_restart_is_named_and_stays_as_it_is(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    before = read(tmp_path, CONFIG, RULES, token="hunter22")
    changed = CONFIG.replace(old, new).replace('"2s"', '"4s"')
    after = read(tmp_path, changed, RULES, token="hunter22")

    assert named in needs_restart(before, after)
    settled = in_force(before, after)
    assert settled.server == before.server
    assert settled.router == before.router
    assert 'policy.debounce: "2s" → "4s"' in changes(before, settled)
