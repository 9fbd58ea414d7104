"""`router init` and `router check`: from nothing to a configuration that is known to be right."""

import json
from pathlib import Path

import pytest

from router.cli.main import main
from tests.fulldisk import files_end_at


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A starter configuration, freshly written."""
    assert main(["init", str(tmp_path)]) == 0
    capsys.readouterr()
    return tmp_path


def check(desk: Path, *more: str) -> int:
    return main(["check", "--config", str(desk / "router.toml"), *more])


def test_a_starter_is_fine_as_it_is_written(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(desk) == 0

    out, err = capsys.readouterr()
    assert out.startswith(f"{desk / 'router.toml'} is fine: 1 tenant, 1 channel, 1 AI backend, ")
    assert out.endswith(" examples passed.\n")
    assert err == ""


def test_init_keeps_what_is_there(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "router.toml").write_text("mine", encoding="utf-8")

    assert main(["init", str(desk)]) == 0

    assert (desk / "router.toml").read_text(encoding="utf-8") == "mine"
    assert f"kept  {desk / 'router.toml'}\n" in capsys.readouterr().out


def test_init_says_where_it_cannot_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")

    assert main(["init", str(file / "below")]) == 1

    assert "cannot be written: Not a directory. Choose another" in capsys.readouterr().err


def test_every_mistake_is_shown_with_its_line(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = desk / "router.toml"
    text = file.read_text(encoding="utf-8").replace('mode = "assisted"', 'mode = "asisted"')
    file.write_text(text + '\n[actions.pager]\ntype = "webhok"\n', encoding="utf-8")

    assert check(desk) == 2

    out, err = capsys.readouterr()
    assert out == ""
    places = [line for line in err.splitlines() if line.startswith(f"{file}:")]
    assert len(places) == 2
    assert err.count("^") > 2


def test_an_example_that_fails_stops_it(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (desk / "rules" / "triage.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[example]]\nsay = "hola"\nexpect = { decision = "escalate" }\n')

    assert check(desk) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{desk / 'rules' / 'triage.toml'}:")
    assert "the example fails: decision should be" in err


def test_a_secret_that_is_not_set_is_only_a_warning(
    desk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PAGER_SECRET", raising=False)
    with (desk / "router.toml").open("a", encoding="utf-8") as file:
        file.write(
            '\n[actions.pager]\ntype = "webhook"\nurl = "https://example.org/hook"\n'
            'secret = { env = "PAGER_SECRET" }\n'
        )

    assert check(desk) == 0

    out, err = capsys.readouterr()
    assert "1 action, " in out
    assert err.startswith(f"warning: {desk / 'router.toml'}:")
    assert "PAGER_SECRET is not set" in err


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--schema"]) == 0

    assert json.loads(capsys.readouterr().out)["title"] == "router.toml"


def test_the_articles_are_read_too(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = desk / "config" / "knowledge" / "bad.md"
    file.write_text("---\ntitel: x\n---\n", encoding="utf-8")

    assert check(desk) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f'{file}:2:1: "titel" says nothing about an article.')


@pytest.mark.parametrize("mode, warned", [(0o600, False), (0o640, True), (0o604, True)])
def test_secrets_that_others_can_read_are_a_warning(
    desk: Path, capsys: pytest.CaptureFixture[str], mode: int, warned: bool
) -> None:
    files = [desk / ".env", desk / "token"]
    files[0].write_text("CHECK_PAGER_SECRET=hunter22\n", encoding="utf-8")
    files[1].write_text("hunter22", encoding="utf-8")
    for file in files:
        file.chmod(mode)
    references = ('{ env = "CHECK_PAGER_SECRET" }', '{ file = "token" }')
    with (desk / "router.toml").open("a", encoding="utf-8") as config:
        for number, reference in enumerate(references):
            config.write(
                f'\n[actions.pager{number}]\ntype = "webhook"\n'
                f'url = "https://example.org/hook"\nsecret = {reference}\n'
            )

    assert check(desk) == 0

    assert capsys.readouterr().err.splitlines() == [
        f"warning: {file}: other users of this machine can read it, and it holds secrets. "
        f"Run `chmod 600 {file}`."
        for file in files
        if warned
    ]


def test_an_escalation_that_tells_nobody_is_a_warning_once(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = desk / "router.toml"
    text = file.read_text(encoding="utf-8")
    for name in ("default", "support", "legal"):
        text = text.replace(f"[queues.{name}]\n", "")
    file.write_text(text, encoding="utf-8")
    rules = desk / "rules" / "triage.toml"
    with rules.open("a", encoding="utf-8") as more:
        more.write(
            '\n[[rule]]\nid = "again"\nwhen.text.words = "xyz"\n'
            'then.escalate = { to = "legal", because = "again" }\n'
        )

    assert check(desk) == 0

    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(warnings) == 2
    for name, warning in zip(("legal", "support"), warnings, strict=True):
        assert warning.startswith(f"warning: {rules}:")
        assert warning.endswith(
            f': nobody is told when something is escalated to "{name}". Write [queues.{name}] '
            'notify = ["…"] with the name of an [actions.*] table in router.toml.'
        )


@pytest.mark.parametrize(
    "text, says",
    [
        (
            "import no_such_module_anywhere\n",
            (
                'the plugin "acme.py" cannot be loaded: ModuleNotFoundError: No module named '
                "'no_such_module_anywhere'. Mend it, or take it out of the list."
            ),
        ),
        (
            "def router_register(:\n",
            (
                'the plugin "acme.py" cannot be loaded: SyntaxError: invalid syntax (acme.py, line '
                "1). Mend it, or take it out of the list."
            ),
        ),
        (
            "x = 1\n",
            (
                "plugin 'acme' ({folder}/acme.py) does not say for which plugin API it was "
                "written. Write router_api = (1, 1) in its module"
            ),
        ),
    ],
    ids=["import", "syntax", "api"],
)
def test_a_plugin_file_that_cannot_be_loaded_is_a_mistake_at_its_place(
    desk: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    file = desk / "router.toml"
    starter = file.read_text(encoding="utf-8")
    file.write_text('[router]\nplugins = ["acme.py"]' + starter.partition("[router]")[2])
    (desk / "acme.py").write_text(text, encoding="utf-8")

    assert check(desk) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"{file}:2:12: {says.format(folder=desk)}\n"
        '    2 | plugins = ["acme.py"]\n'
        "                   ^^^^^^^^^\n"
    )


def test_an_installed_plugin_that_nothing_needs_and_cannot_be_loaded_is_a_warning(
    desk: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = tmp_path_factory.mktemp("site")
    info = site / "router_pigeon-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: router-pigeon\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[router.plugins]\npigeon = no_such_pigeon\n")
    monkeypatch.syspath_prepend(str(site))

    assert check(desk) == 0

    assert capsys.readouterr().err == (
        "warning: plugin 'pigeon' (router-pigeon 0.3): it cannot be loaded: ModuleNotFoundError: "
        "No module named 'no_such_pigeon'. Upgrade it, or uninstall it.\n"
    )


def test_a_folder_in_place_of_a_configuration_is_told_with_the_file_in_it(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--config", str(desk)]) == 2
    assert main(["check", "--config", str(desk / "rules")]) == 2

    assert capsys.readouterr().err == (
        f"{desk}: it is a folder. Name the file in it: --config {desk / 'router.toml'}.\n"
        f"{desk / 'rules'}: it is a folder. Write a router.toml with `router init`, or name "
        "another with --config.\n"
    )


def test_init_on_a_full_disk_leaves_no_half_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with files_end_at(100):
        assert main(["init", str(tmp_path)]) == 1

    config = tmp_path / "router.toml"
    assert capsys.readouterr().err.startswith(f"{config}: cannot be written: File too large")
    assert not config.exists()
    assert main(["init", str(tmp_path)]) == 0
    assert f"wrote {config}" in capsys.readouterr().out


def test_a_configuration_without_a_channel_is_doubtful(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "router.toml"
    config.write_text("", encoding="utf-8")

    assert check(tmp_path) == 0

    assert capsys.readouterr().err == (
        f"warning: {config}: no channel is configured, and so nobody can write. "
        "Add a table [channels.NAME].\n"
    )
