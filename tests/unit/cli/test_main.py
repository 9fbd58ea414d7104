"""The command line as a whole: one form for what goes wrong, three exit statuses, a quick start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from router import __version__
from router.cli.main import COMMANDS, config_first, main


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0

    assert capsys.readouterr() == (f"router {__version__}\n", "")


def test_nothing_asked_is_helped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2

    assert all(f"\n  {name} " in capsys.readouterr().err for name in COMMANDS[:1])


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["chatt"], 'there is no command "chatt". Did you mean "chat"? `router --help` shows how'),
        (["zzz"], 'there is no command "zzz". `router --help` lists them.'),
        (["--bogus", "status"], "no such option: --bogus. `router --help` shows how it is used"),
        (
            ["outbox", "lst"],
            'no such command "lst". Did you mean "list"? `router outbox --help` shows how it is',
        ),
        (
            ["outbox", "resolve"],
            'missing argument "id". `router outbox resolve --help` shows how it is used',
        ),
        (
            ["events", "show", "foo"],
            '"foo" is not an event; write LANE#NUMBER. `router events show --help` shows how it',
        ),
        (
            ["events", "show", "main/tel:+573001234567#" + "9" * 19],
            f'"main/tel:+573001234567#{"9" * 19}" is not an event; write LANE#NUMBER.',
        ),
        (["explain", "\udcff"], "the argument '\\udcff' is no text in UTF-8"),
        (
            ["outbox", "resolve", "x"],
            "say one of --sent, --resend and --drop: nobody else knows. `router outbox resolve ",
        ),
    ],
)
def test_a_mistake_in_the_arguments_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert main(words) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(complaint)
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["check", "status", "run", "chat", "db"])
def test_without_a_configuration_it_says_how_to_get_one(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [command, "migrate"] if command == "db" else [command]

    assert main(words) == 2

    assert capsys.readouterr().err == (
        "router.toml: there is no such file. Write one with `router init`, or name another with "
        "--config.\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--config", "{}", "check"],
        ["check", "--config", "{}"],
        ["check", "-c", "{}"],
        ["check", "--config={}"],
    ],
)
def test_the_configuration_may_be_named_before_or_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str]
) -> None:
    file = tmp_path / "other.toml"

    assert main([word.format(file) for word in words]) == 2

    assert capsys.readouterr().err.startswith(f"{file}: there is no such file.")


def test_the_environment_names_the_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_CONFIG", str(tmp_path / "from-env.toml"))

    main(["check"])
    main(["check", "-c", "mine.toml"])

    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(str(tmp_path / "from-env.toml"))
    assert second.startswith("mine.toml: ")


def test_what_stands_behind_two_dashes_is_no_option() -> None:
    assert config_first(["chat", "--", "-c", "x"]) == ["chat", "--", "-c", "x"]
    assert config_first(["status", "-c"]) == ["-c", "status"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_explained_with_an_example(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, "--help"]) == 0
    page = capsys.readouterr().out
    if "Commands:" not in page:
        assert f"Example: router {command}" in page
        return
    for line in page.partition("Commands:\n")[2].splitlines():
        assert not line.endswith("...")
        name = line.split()[0]
        assert main([command, name, "--help"]) == 0
        assert f"Example: router {command} {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "modules, heavy",
    [
        ("router.cli.main, router.cli.run", "'rich', 'pydantic', 'anyio', 'httpx', 'sqlalchemy'"),
        ("router.process", "'sqlalchemy', 'alembic', 'jinja2', 'aiohttp', 'httpx', 'typer'"),
    ],
)
def test_the_daemon_starts_without_what_it_does_not_need_yet(modules: str, heavy: str) -> None:
    script = (
        f"import sys, {modules}\n"
        f"print(sorted({{name.partition('.')[0] for name in sys.modules}} & {{{heavy}}}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


def test_python_m_router_is_router() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "router", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout == f"router {__version__}\n"


@pytest.mark.parametrize("words", [["check", "--schema"], ["--version"]])
def test_a_reader_that_leaves_early_is_not_complained_about(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "router", *words],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (done.returncode, done.stderr) == (1, "")


def test_an_output_that_is_full_is_told_in_a_sentence() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "router", "check", "--schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == "standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("closed", ["1", "2"])
def test_an_output_that_is_closed_is_nothing_to_end_for(closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m router check --schema {closed}>&-', sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (closed == "2")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_an_encoding_lacks_is_written_as_in_json(tmp_path: Path, encoding: str) -> None:
    words = "¿Ñandú? 👍"

    done = subprocess.run(
        [sys.executable, "-m", "router", "init", str(tmp_path / words)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    path = done.stdout.decode(encoding).splitlines()[0].removeprefix("wrote ")
    assert json.loads(f'"{path}"') == str(tmp_path / words / "router.toml")
