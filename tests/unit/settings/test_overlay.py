"""Other rules files in place of those that are configured."""

from pathlib import Path

import pytest

from router.errors import ConfigError
from router.plugin.registry import Registry
from router.settings.loading import load_settings
from router.settings.model import Settings
from router.settings.overlay import with_rules

_DEFAULT = 'default.reply = {{ text = "{}" }}\n'
_RULE = '[[rule]]\nid = "{}"\nwhen.text.words = "hola"\nthen.tag = "{}"\n'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A configuration whose tenant adds a file of its own."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "router.toml").write_text(
        '[router]\nrules = ["shop.toml", "more.toml"]\n[tenants.acme]\nrules = ["acme.toml"]\n',
        encoding="utf-8",
    )
    (here / "shop.toml").write_text(_DEFAULT.format("Hola."), encoding="utf-8")
    (here / "more.toml").write_text(_RULE.format("more", "old"), encoding="utf-8")
    (here / "acme.toml").write_text(_RULE.format("acme", "old"), encoding="utf-8")
    return load_settings(here / "router.toml", Registry(), run=False)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    there = tmp_path / "there"
    there.mkdir()
    return there


def tags(settings: Settings, tenant: str) -> dict[str, str]:
    rules = settings.tenants[tenant].rules
    return {rule.id: next(iter(rule.effects.tags)) for rule in rules.rules}


def test_a_file_takes_the_place_of_its_namesake_for_every_tenant(
    settings: Settings, there: Path
) -> None:
    (there / "more.toml").write_text(_RULE.format("more", "new"), encoding="utf-8")
    (there / "others.toml").write_text("this is no TOML", encoding="utf-8")

    found = with_rules(settings, there)

    assert tags(found, "main") == {"more": "new"}
    assert tags(found, "acme") == {"more": "new", "acme": "old"}
    assert tags(settings, "main") == {"more": "old"}
    assert found.hash != settings.hash


def test_one_file_may_be_given(settings: Settings, there: Path) -> None:
    (there / "acme.toml").write_text(_RULE.format("acme", "new"), encoding="utf-8")

    found = with_rules(settings, there / "acme.toml")

    assert tags(found, "acme") == {"more": "old", "acme": "new"}
    assert tags(found, "main") == {"more": "old"}


def test_the_same_files_elsewhere_mean_the_same(settings: Settings, there: Path) -> None:
    (there / "more.toml").write_text(_RULE.format("more", "new"), encoding="utf-8")
    elsewhere = there / "again"
    elsewhere.mkdir()
    (elsewhere / "more.toml").write_text(_RULE.format("more", "new"), encoding="utf-8")

    assert with_rules(settings, there).hash == with_rules(settings, elsewhere).hash


def test_every_mistake_is_said_once(settings: Settings, there: Path) -> None:
    text = _RULE.format("more", "new").replace("words", "wrods")
    (there / "more.toml").write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError) as raised:
        with_rules(settings, there)

    [problem] = raised.value.problems
    assert str(problem).startswith(f'{there / "more.toml"}:3:11: unknown operator "wrods"')


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".", "here is none of the rules files of the configuration"),
        ("market.toml", "this is none of the rules files of the configuration"),
    ],
)
def test_what_replaces_nothing_is_a_mistake(
    settings: Settings, there: Path, name: str, said: str
) -> None:
    (there / "market.toml").write_text(_RULE.format("more", "new"), encoding="utf-8")

    with pytest.raises(ConfigError) as raised:
        with_rules(settings, there / name)

    assert str(raised.value) == (
        f"{there / name}: {said}. "
        "Call it as the one that it replaces: acme.toml, more.toml, shop.toml."
    )
