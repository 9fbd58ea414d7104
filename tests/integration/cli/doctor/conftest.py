"""A configuration in a folder, and nothing of its secrets in the environment."""

from pathlib import Path

import pytest

from tests.integration.cli.doctor.desk import ENV, Desk


@pytest.fixture
def desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    for name in ENV:
        monkeypatch.delenv(name, raising=False)
    return Desk(tmp_path, capsys)
