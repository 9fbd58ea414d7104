"""What `router plugins new` writes works as it is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import router
from router.errors import PluginError
from router.plugin.skeleton import write_skeleton

ROOT = Path(router.__file__).parents[1]


def test_the_tests_of_a_new_plugin_pass_and_fail_when_it_breaks(tmp_path: Path) -> None:
    files = write_skeleton(tmp_path / "router-acme", "acme_sms")
    assert [str(path.relative_to(tmp_path)) for path in files] == [
        "router-acme/pyproject.toml",
        "router-acme/router_acme_sms/__init__.py",
        "router-acme/router_acme_sms/channel.py",
        "router-acme/router_acme_sms/conformance.py",
        "router-acme/router_acme_sms/py.typed",
        "router-acme/tests/test_acme_sms.py",
    ]

    passed = run_pytest(tmp_path / "router-acme")
    channel = files[2]
    careless = channel.read_text(encoding="utf-8").replace("plugin.verify_hmac_sha256", "print")
    channel.write_text(careless.replace('header="X-Signature", key=', "end=str("), encoding="utf-8")
    channel.write_text(
        channel.read_text(encoding="utf-8").replace("self.config.token)", "self.config.token))"),
        encoding="utf-8",
    )
    failed = run_pytest(tmp_path / "router-acme")

    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "test_tampered_body[text]" in failed.stdout


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "router_acme" / "channel.py"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")

    with pytest.raises(PluginError) as caught:
        write_skeleton(tmp_path, "acme")

    assert str(caught.value) == f"{mine} exists already. Choose another directory"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["", "Acme", "acme-sms", "1st", "../acme"])
def test_a_name_has_to_be_a_plain_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginError) as caught:
        write_skeleton(tmp_path, name)

    assert str(caught.value) == (
        f"{name!r} cannot name a plugin. Use lower-case letters, digits and underscores, and begin "
        "with a letter"
    )
