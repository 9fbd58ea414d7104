"""Which files a configuration is read from, and when one of them counts as written."""

import os
from pathlib import Path

import pytest

from router.errors import ConfigError
from router.settings.inputs import Files
from router.settings.loading import load_settings
from router.settings.model import Settings
from tests.unit.settings.kinds import kinds

CONFIG = """
include = ["tenants/*.toml"]

[router]
rules = ["rules.toml"]

[knowledge]
folders = ["articles"]

[channels.sms]
type = "acme"
account = "AC1"
token = { file = "token.txt" }

[ai.helper]
type = "answers"
prompt = "prompt.md"
"""
RULES = '[default]\nanswer = "helper"\n\n[prompt.short]\nfile = "short.md"\n'
FILES = {
    "router.toml": CONFIG,
    "rules.toml": RULES,
    "short.md": "Breve.",
    "prompt.md": "Hola.",
    "token.txt": "hunter22",
    "articles/deep/envios.md": "# Envíos",
    "tenants/clinica.toml": '[tenants.clinica]\nrules = ["clinica.rules"]\n',
    "tenants/clinica.rules": "",
}


class Read:
    """A configuration in a folder, read as the daemon reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in FILES.items():
            self.write(name, text)
        self.files = Files(folder / "router.toml")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def load(self) -> Settings:
        return load_settings(self.folder / "router.toml", kinds(), run=True, environ={})

    def read(self) -> Settings:
        return self.files.read(self.load)


@pytest.fixture
def it(tmp_path: Path) -> Read:
    it = Read(tmp_path)
    it.read()
    return it


def test_nothing_is_stale_as_long_as_nothing_is_written(it: Read) -> None:
    it.write("data/router.db", "x")
    it.write("README.txt", "x")

    assert not it.files.stale()


@pytest.mark.parametrize("name", [*FILES, ".env", "tenants/new.toml", "articles/new.md"])
def test_each_file_is_watched_that_was_read_or_would_be(it: Read, name: str) -> None:
    (it.folder / name).unlink(missing_ok=True)
    it.write(name, FILES.get(name, "") + "\n# more\n")

    assert it.files.stale()
    assert (it.folder / name).parent in it.files.folders()


def test_a_link_that_is_turned_counts_as_written(it: Read) -> None:
    file = it.folder / "rules.toml"
    for name in ("a", "b"):
        it.write(f"{name}/rules.toml", RULES)
    file.unlink()
    file.symlink_to("a/rules.toml")
    it.read()
    assert not it.files.stale()

    (it.folder / "turned").symlink_to("b/rules.toml")
    (it.folder / "turned").replace(file)
    assert it.files.stale()


def test_what_is_written_while_it_is_read_is_stale_afterwards(it: Read) -> None:
    def load() -> Settings:
        settings = it.load()
        it.write("rules.toml", RULES + "# later\n")
        return settings

    it.files.read(load)

    assert it.files.stale()


def test_mending_a_file_that_only_the_broken_configuration_names_is_noticed(it: Read) -> None:
    it.write("router.toml", CONFIG.replace('"rules.toml"', '"rules.toml", "more.toml"'))
    it.write("more.toml", "[[rule]]\nid = 1\n")
    with pytest.raises(ConfigError):
        it.read()
    assert not it.files.stale()

    it.write("more.toml", "")
    assert it.files.stale()


def test_the_files_stay_watched_while_the_first_one_is_no_toml(it: Read) -> None:
    it.write("router.toml", "[[[")
    with pytest.raises(ConfigError):
        it.read()
    assert not it.files.stale()

    os.utime(it.folder / "rules.toml", ns=(1, 1))
    assert it.files.stale()
