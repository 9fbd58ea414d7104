"""A folder with a configuration, and a way to run commands in it."""

from pathlib import Path

import pytest

from router.cli.main import main
from tests.integration.cli.commands.shell import CONFIG, Ran, Run


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "router.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(desk: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> Ran:
        status = main(["-c", str(desk / "router.toml"), *words])
        return Ran(status, *capsys.readouterr())

    return run
