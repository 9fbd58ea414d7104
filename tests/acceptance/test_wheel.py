"""What a stranger installs: the wheel, in an empty environment, in an empty folder."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

import router

ROOT = Path(__file__).parents[2]
CUSTOMER = "+573001234567"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``router`` command of an environment that has the wheel and what it asks for, no more."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = folder / "venv" / "bin" / "pip"

    # The versions that are locked, fetched by uv where it is here, because it has them at hand.
    # Without the hashes: pip would demand them of the wheel itself, too.
    locked = (ROOT / "requirements.lock").read_text()
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(re.findall(r"^[^\s#]\S+==[^\\\n]+", locked, re.MULTILINE)))
    asked_for = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    uv = shutil.which("uv", path=f"{ROOT / '.tools/bin'}{os.pathsep}{os.environ['PATH']}")
    into = f"--python={pip.with_name('python')}"
    install = [uv, "pip", "install", into] if uv else [str(pip), "install"]
    subprocess.run([*install, "--quiet", "--constraint", constraints, *asked_for], check=True)

    # Without an index: what the wheel asks for must be there already, and nothing else is.
    subprocess.run([pip, "install", "--quiet", "--no-index", wheel], check=True)
    return pip.with_name("router")


class Stranger:
    """Somebody with the command, an empty home and an empty folder."""

    def __init__(self, command: Path, folder: Path) -> None:
        self.command = command
        self.log = folder / "log"
        self.desk = folder / "desk"
        self.desk.mkdir()
        home = folder / "home"
        home.mkdir()
        self.environment = {"HOME": str(home), "PATH": os.defpath}

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.command, *arguments],
            cwd=self.desk,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def daemon(self) -> Iterator[str]:
        """Run the daemon, give its address, and see that it ends well when it is asked to."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        with (
            self.log.open("w") as output,
            subprocess.Popen(
                [self.command, "run", "--port", str(port)],
                cwd=self.desk,
                env=self.environment,
                stdout=output,
                stderr=output,
            ) as process,
        ):
            try:
                self.wait_for(lambda: request(f"{address}/health/ready") is not None)
                yield address
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    status = process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
        assert status == 0, self.log.read_text()

    def wait_for(self, happened: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)


def request(url: str, body: object = None) -> Any:
    """Give the answer's JSON, or None as long as nobody answers well."""
    method = "GET" if body is None else "POST"
    try:
        answer = httpx.request(method, url, json=body, timeout=30)
    except httpx.TransportError:
        return None
    return json.loads(answer.content or "{}") if answer.is_success else None


@pytest.fixture
def stranger(command: Path, tmp_path: Path) -> Stranger:
    return Stranger(command, tmp_path)


def test_the_installed_command_says_its_version(stranger: Stranger) -> None:
    assert router.__version__ in stranger.run("--version")


def test_a_stranger_gets_an_answer_in_an_empty_folder(stranger: Stranger) -> None:
    stranger.run("init")
    stranger.run("check")
    # The starter lets a person approve each answer; this deployer does not want to.
    settings = stranger.desk / "router.toml"
    assisted = settings.read_text()
    settings.write_text(assisted.replace('mode = "assisted"', 'mode = "autopilot"'))
    assert settings.read_text() != assisted
    messages: list[dict[str, Any]] = []

    def answered(address: str) -> bool:
        nonlocal messages
        query = urlencode({"channel": "phone", "address": CUSTOMER})
        listed = request(f"{address}/simulator/messages?{query}")
        messages = listed["messages"] if listed else []
        return any(message["direction"] == "out" for message in messages)

    with stranger.daemon() as address:
        question = {"id": "m-1", "from": CUSTOMER, "text": "¿Cuál es el horario de atención?"}
        assert request(f"{address}/hooks/phone", question) is not None
        assert request(f"{address}/hooks/phone", question) is not None  # a repeat changes nothing
        stranger.wait_for(lambda: answered(address))

    assert [message["direction"] for message in messages] == ["in", "out"]
    assert messages[0]["text"] == question["text"]
    assert messages[1]["text"]
