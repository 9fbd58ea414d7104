"""What stands for an account: the plugin's own keys, secrets by their values."""

from pathlib import Path

import pytest

from router.settings.fingerprint import account_of
from router.settings.loading import load_settings
from tests.unit.settings.kinds import kinds

TABLE = """
[channels.sms]
type = "acme"
account = "AC1"
token = { env = "TOKEN" }
"""


def account(folder: Path, text: str = TABLE) -> str:
    path = folder / "router.toml"
    path.write_text(text)
    (table,) = load_settings(path, kinds(), run=True).tenants["main"].channels.values()
    return account_of(table)


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "first")


def test_what_the_host_does_with_it_names_no_other_account(tmp_path: Path) -> None:
    more = 'timeout = "7s"\non_unknown = "resend"\nlevel = 1\n'
    assert account(tmp_path) == account(tmp_path, TABLE + more)


def test_any_key_of_the_plugin_s_own_may_name_another(tmp_path: Path) -> None:
    names = [TABLE, TABLE.replace("AC1", "AC2"), TABLE.replace("sms", "fax"), TABLE + "level = 2\n"]
    assert len({account(tmp_path, text) for text in names}) == len(names)


@pytest.mark.parametrize(
    "more",
    [
        "",
        'spare_tokens = [{ env = "SPARE" }]\n',
        'headers = { key = { env = "SPARE" } }\n',
        'agents = [{ name = "ana", key = { env = "SPARE" } }]\n',
    ],
)
def test_a_secret_counts_by_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    monkeypatch.setenv("SPARE", "one")
    before = account(tmp_path, TABLE + more)
    monkeypatch.setenv("SPARE" if more else "TOKEN", "two")
    assert account(tmp_path, TABLE + more) != before
