"""Secrets come by reference, from where they are kept, and show nowhere."""

from pathlib import Path
from typing import Any

import pytest

from router.data import data_path
from router.errors import ConfigError
from router.settings.loading import load_settings
from router.settings.secrets import read_dotenv
from router.toml import Problem
from tests.unit.settings.kinds import AcmeConfig, kinds

SMS = '[channels.sms]\ntype = "acme"\naccount = "AC1"\ntoken = '
TOKEN = "hunter22"


def config(folder: Path, environ: dict[str, str]) -> AcmeConfig:
    settings = load_settings(folder / "router.toml", kinds(), run=True, environ=environ)
    found = settings.tenants["main"].channels["sms"].config
    assert isinstance(found, AcmeConfig)
    return found


@pytest.mark.parametrize(
    "reference, environ, dotenv",
    [
        ('{ env = "T" }', {"T": TOKEN}, None),
        ('{ env = "T" }', {"T": TOKEN}, "T=other\n"),
        ('{ env = "T" }', {}, f"T={TOKEN}\n"),
        ('{ env = "T" }', {"T": ""}, f"T={TOKEN}\n"),
        ('{ env = "T" }', {}, f'# for Acme\n\nexport T="{TOKEN}"  # secret\n'),
        ('{ file = "secrets/t" }', {}, None),
        ('{ file = "secrets/t" }', {"PWD": "/"}, None),
        ('{ credential = "t" }', {"CREDENTIALS_DIRECTORY": "secrets"}, None),
    ],
)
def test_a_reference_becomes_the_secret(
    reference: str,
    environ: dict[str, str],
    dotenv: str | None,
    tmp_path: Path,
) -> None:
    (tmp_path / "router.toml").write_text(SMS + reference + "\n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/t").write_text(TOKEN + "\n")
    if dotenv is not None:
        (tmp_path / ".env").write_text(dotenv)
    if folder := environ.get("CREDENTIALS_DIRECTORY"):
        environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / folder)}

    assert config(tmp_path, environ).token.get_secret_value() == TOKEN


def test_lists_tables_and_inner_tables_hold_secrets(tmp_path: Path) -> None:
    (tmp_path / "router.toml").write_text(
        SMS + '{ env = "A" }\n'
        'spare_tokens = [{ env = "B" }, { env = "C" }]\n'
        'headers = { authorization = { env = "D" } }\n'
        'agents = [{ name = "ana", key = { env = "E" } }, { name = "luis" }]\n'
        'keys = { spare = { env = "F" } }\n'
    )
    (tmp_path / ".env").write_text("A=secret-A\nB=secret-B\n")
    environ = {name: f"secret-{name}" for name in "CDEF"}
    settings = load_settings(tmp_path / "router.toml", kinds(), run=True, environ=environ)

    found = config(tmp_path, environ)
    assert [token.get_secret_value() for token in found.spare_tokens] == ["secret-B", "secret-C"]
    assert found.headers["authorization"].get_secret_value() == "secret-D"
    assert found.agents[0].key is not None
    assert found.agents[0].key.get_secret_value() == "secret-E"
    assert found.agents[1].key is None
    assert isinstance(found.keys, dict)
    assert found.keys["spare"].get_secret_value() == "secret-F"
    assert settings.secrets == {f"secret-{name}" for name in "ABCDEF"}


def test_no_secret_shows_in_settings_however_they_are_printed(tmp_path: Path) -> None:
    (tmp_path / "router.toml").write_text(
        SMS + '{ env = "T" }\nagents = [{ name = "ana", key = { env = "T" } }]\n'
    )
    settings = load_settings(tmp_path / "router.toml", kinds(), run=True, environ={"T": TOKEN})

    assert settings.secrets == {TOKEN}
    assert TOKEN not in repr(settings) + str(settings) + settings.hash


@pytest.mark.parametrize(
    "line",
    [
        f'tokn = "{TOKEN}"',
        f'token = "{TOKEN}"',
        f'token = ["{TOKEN}"]',
        f'token = {{ key = "{TOKEN}" }}',
        f'token = {{ env = "T" }}\nspare_tokens = "{TOKEN}"',
        f'token = {{ env = "T" }}\nspare_tokens = {{ a = "{TOKEN}" }}',
        f'token = {{ env = "T" }}\nheaders = "{TOKEN}"',
        f'token = {{ env = "T" }}\nheaders = ["{TOKEN}"]',
        f'token = {{ env = "T" }}\nagents = [{{ nmae = 3, key = "{TOKEN}" }}]',
        f'token = {{ env = "T" }}\nlevel = 11 # was {TOKEN}',
        'token = { env = "S" }',
    ],
)
def test_no_secret_shows_in_a_problem(line: str, tmp_path: Path) -> None:
    text = SMS.removesuffix("token = ") + line + "\n"
    (tmp_path / "router.toml").write_text(text)
    environ = {"T": TOKEN, "S": f"{TOKEN} with spaces"}

    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / "router.toml", kinds(), run=True, environ=environ)

    for problem in caught.value.problems:
        assert isinstance(problem, Problem)
        assert TOKEN not in problem.render() + repr(problem)


def test_no_secret_shows_in_a_problem_of_a_table_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "router.toml").write_text(
        f'channels.sms = {{ type = "acme", token = "{TOKEN}", account = "AC1", levle = 1 }}\n'
        f'channels.b = {{ token = "{TOKEN}", type = "acmee" }}\n'
        f'channels.c = {{ token = "{TOKEN}", type = "acme", enabled = 3 }}\n'
    )

    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / "router.toml", kinds(), run=True, environ={})

    for problem in caught.value.problems:
        assert isinstance(problem, Problem)
        assert TOKEN not in problem.render() + repr(problem)


@pytest.mark.parametrize("environ", [{}, {"T": ""}])
def test_a_secret_that_is_not_set_is_a_warning_until_the_router_runs(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "router.toml").write_text(SMS + '{ env = "T" }\n')

    settings = load_settings(tmp_path / "router.toml", kinds(), run=False, environ=environ)
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / "router.toml", kinds(), run=True, environ=environ)

    assert settings.warnings == caught.value.problems
    assert settings.secrets == frozenset()


def test_a_check_without_secrets_still_finds_every_other_mistake(tmp_path: Path) -> None:
    (tmp_path / "router.toml").write_text(SMS + '{ env = "T" }\nlevel = 11\n')

    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / "router.toml", kinds(), run=False, environ={})

    assert [
        problem.message for problem in caught.value.problems if isinstance(problem, Problem)
    ] == ["level must be at most 9, not 11"]


def test_a_dotenv_file_that_is_not_utf_8_is_a_mistake_in_words(tmp_path: Path) -> None:
    (tmp_path / "router.toml").write_text(SMS + '{ env = "T" }\n')
    (tmp_path / ".env").write_bytes("T=contraseña\n".encode("latin-1"))

    with pytest.raises(ConfigError) as caught:
        config(tmp_path, {})

    assert f"{tmp_path / '.env'} is not a text in UTF-8" in str(caught.value.problems[0])


def test_lines_of_a_dotenv_file_that_are_not_understood_are_named_where_a_secret_is_missing(
    tmp_path: Path,
) -> None:
    (tmp_path / "router.toml").write_text(SMS + '{ env = "T" }\n')
    (tmp_path / ".env").write_text(f"# mine\nT: {TOKEN}\n\nA=1\nT\n")

    with pytest.raises(ConfigError) as caught:
        config(tmp_path, {})

    [problem] = caught.value.problems
    assert isinstance(problem, Problem)
    told = problem.render()
    assert f"T is not set, and lines 2, 5 of {tmp_path / '.env'} are not NAME=value. " in told
    assert TOKEN not in told


def test_a_dotenv_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "A=1\n"
        "B = two words\nC='$A #x'\nD=\"a\\nb\"\nexport E=5 # five\nF=$A${B}\nG=\nH\n= 3\nI=ñ\n",
        encoding="utf-8",
    )

    assert read_dotenv(path) == {
        "A": "1",
        "B": "two words",
        "C": "$A #x",
        "D": "a\nb",
        "E": "5",
        "F": "$A${B}",
        "G": "",
        "I": "ñ",
    }
    assert read_dotenv(tmp_path / "none") == {}


def test_the_starter_explains_its_secrets_without_holding_one() -> None:
    values: dict[str, Any] = read_dotenv(data_path("config", "starter", "env.example"))

    assert values
    assert set(values.values()) == {""}
