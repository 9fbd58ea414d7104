"""Finding the database in a configuration that has mistakes elsewhere."""

from pathlib import Path

import pytest

from router.errors import ConfigError
from router.settings.glance import glance


def written(folder: Path, text: str) -> Path:
    file = folder / "router.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "text, url",
    [
        ("", "sqlite+aiosqlite:///{folder}/data/router.db"),
        ("[router]\nrules = 7\n", "sqlite+aiosqlite:///{folder}/data/router.db"),
        (
            '[router]\ndatabase = "sqlite:///my.db"\n[chanels.x]\n',
            "sqlite+aiosqlite:///{folder}/my.db",
        ),
        (
            '[router]\ndatabase = { env = "DATABASE_URL" }\n',
            "postgresql+asyncpg://u:p@db/router",
        ),
    ],
)
def test_the_database_is_found_whatever_else_is_wrong(tmp_path: Path, text: str, url: str) -> None:
    environ = {"DATABASE_URL": "postgres://u:p@db/router"}

    found = glance(written(tmp_path, text), environ)

    assert found.database == url.format(folder=tmp_path.resolve())
    assert found.tenants == ("main",)


def test_tenants_of_every_file_are_found(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text("[tenants.acme]\n", encoding="utf-8")

    found = glance(written(tmp_path, 'include = ["acme.toml"]\n[tenants.clinica]\n'), {})

    assert found.tenants == ("main", "clinica", "acme")


@pytest.mark.parametrize(
    "text, words",
    [
        (
            '[router]\ndatabase = { env = "DATABASE_URL" }\n',
            "2:12: database has no value: the environment variable DATABASE_URL is not set. ",
        ),
        ('[router]\ndatabase = { enw = "X" }\n', "2:12: database has no value: "),
        ('[router]\ndatabase = "mysql://x"\n', "2:12: database must be a URL such as "),
        ("[router\n", "1:8: "),
    ],
)
def test_a_database_that_cannot_be_found_is_a_mistake_with_its_place(
    tmp_path: Path, text: str, words: str
) -> None:
    file = written(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        glance(file, {})

    assert str(caught.value).startswith(f"{file}:{words}")
