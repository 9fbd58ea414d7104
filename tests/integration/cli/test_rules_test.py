"""`router rules test` and `router chat --save-test`, from the files to the exit status."""

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from router.cli.main import main

CASE = '[[case]]\nname = "threat"\nsay = "Nos vemos en juicio."\nexpect = {{ decision = "{}" }}\n'

SMALL = """
default.ignore = "not for us"

[[rule]]
id = "legal"
when.text.words = ["en juicio", "demanda"]
then.escalate = { to = "support", because = "legal" }

[[example]]
say = "Nos vemos en juicio."
expect = { decision = "escalate" }
"""


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A starter configuration that answers by itself, without suites of its own."""
    assert main(["init", str(tmp_path)]) == 0
    capsys.readouterr()
    for suite in (tmp_path / "rules").glob("*.test.toml"):
        suite.unlink()
    file = tmp_path / "router.toml"
    text = file.read_text(encoding="utf-8").replace('mode = "assisted"', 'mode = "autopilot"')
    file.write_text(text, encoding="utf-8")
    return tmp_path


def suite(desk: Path, text: str, name: str = "mine.test.toml") -> Path:
    file = desk / "rules" / name
    file.write_text(text, encoding="utf-8")
    return file


def small(desk: Path, cases: str = "") -> Path:
    """Have one rule instead of the pack, which has thousands of words: each is a mutant."""
    config = desk / "router.toml"
    named = re.compile(r"^rules = \[.*?\]", flags=re.DOTALL | re.MULTILINE)
    text = named.sub('rules = ["small.toml"]', config.read_text(encoding="utf-8"))
    config.write_text(text, encoding="utf-8")
    (desk / "small.toml").write_text(SMALL, encoding="utf-8")
    file = desk / "small.test.toml"
    if cases:
        file.write_text(cases, encoding="utf-8")
    return file


def run(desk: Path, *words: str) -> int:
    return main(["-c", str(desk / "router.toml"), "rules", "test", *words])


def test_cases_beside_the_rules_and_examples_pass(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite(desk, CASE.format("escalate"))

    assert run(desk) == 0

    out, err = capsys.readouterr()
    assert re.fullmatch(r"\d+ cases in \d+ files: all passed \(\d+\.\d\d s\)\.\n", out)
    assert err == ""
    assert run(desk, "--name", "threat") == 0
    assert capsys.readouterr().out.startswith("1 case in 1 file: all passed (")


def test_a_case_that_fails_is_told_and_gives_status_1(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = suite(desk, CASE.format("ticket"))

    assert run(desk) == 1

    out = capsys.readouterr().out
    assert out.startswith(
        f'{file}:1:3: the case "threat" fails. Expected (-), found (+):\n'
        '    - decision = "ticket"\n'
        '    + decision = "escalate"\n'
        "      by legal, because: "
    )
    assert ": 1 failed (" in out


def test_a_suite_with_a_mistake_gives_status_2(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = suite(desk, CASE.format("tickets"))

    assert run(desk) == 2

    expected = f'{file}:4:23: unknown decision "tickets". Did you mean "ticket"?\n'
    assert capsys.readouterr().err.startswith(expected)


@pytest.mark.parametrize("named", ["file", "folder"])
def test_suites_may_be_named(
    named: str, desk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite(desk, CASE.format("ticket"))
    pack = desk / "pack"
    (pack / "mx").mkdir(parents=True)
    text = CASE.format("escalate")
    (pack / "mx" / "own.test.toml").write_text(
        'rules = ["../../rules/triage.toml", "../../rules/guardrails.toml"]\n' + text,
        encoding="utf-8",
    )

    assert run(desk, str(pack if named == "folder" else pack / "mx" / "own.test.toml")) == 0

    assert ": all passed (" in capsys.readouterr().out


def test_cases_are_chosen_by_a_part_of_their_name(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite(desk, CASE.format("ticket") + CASE.format("escalate").replace("threat", "Amenáza"))

    assert run(desk, "--name", "amenaza") == 0
    assert capsys.readouterr().out.startswith("1 case in 1 file: all passed (")

    assert run(desk, "-k", "amenazza") == 2
    assert capsys.readouterr().err == (
        'no case has "amenazza" in its name. Did you mean "Amenáza"? '
        "`router rules test --help` shows how it is used\n"
    )


def test_a_folder_without_suites_is_a_mistake(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(desk, str(desk / "config")) == 2

    told = f"there is no *.test.toml in {desk / 'config'}. "
    assert capsys.readouterr().err.startswith(told)


def test_rules_without_any_case_are_a_mistake(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (desk / "rules").glob("*.toml"):
        text = file.read_text(encoding="utf-8").split("[[example]]")[0]
        file.write_text(text, encoding="utf-8")

    assert run(desk) == 2

    assert capsys.readouterr().err.startswith("there is no case: no *.test.toml beside the rules")


def test_what_no_case_looks_at_is_told_and_may_be_demanded(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (desk / "rules" / "triage.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[rule]]\nid = "new"\nwhen.text.words = "xyz"\nthen.tag = "x"\n')

    assert run(desk, "--coverage") == 0
    out = capsys.readouterr().out
    assert "\nCoverage: " in out
    assert 'no case is for the rule "new": ' in out

    assert run(desk, "--min-coverage", "100") == 1
    assert run(desk, "--min-coverage", "50") == 0


def test_mutants_that_no_case_notices_are_told_and_may_be_demanded(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small(desk)
    assert run(desk, "--mutants") == 0
    out = capsys.readouterr().out
    assert "\nMutants: a case notices " in out
    assert "Mutant: " in out

    assert run(desk, "--min-killed", "100") == 1
    assert run(desk, "--min-killed", "1") == 0

    small(desk, CASE.format("ticket"))
    assert run(desk, "--mutants") == 1
    assert capsys.readouterr().out.endswith("\nMutants are tried once every case passes.\n")


def test_an_exemption_that_is_wrong_gives_status_1(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small(
        desk,
        CASE.format("escalate")
        + '[[equivalent]]\nmutant = "legal/outcome"\nbecause = "I say so"\n',
    )

    assert run(desk, "--mutants") == 1

    assert (
        'a case fails with the mutant "legal/outcome". Leave this out.' in capsys.readouterr().out
    )


def test_everything_is_there_as_json(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = small(desk, CASE.format("ticket"))

    assert run(desk, "--json", "--coverage", "--mutants") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["cases"] == found["passed"] + 1
    assert found["failed"][0]["case"] == "threat"
    assert found["failed"][0]["place"] == f"{file}:1:3"
    assert found["failed"][0]["differences"][0]["found"] == '"escalate"'
    assert "mutants" not in found

    file.unlink()
    assert run(desk, "--json", "--coverage", "--mutants") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["failed"] == []
    assert found["coverage"]["rules"] >= found["coverage"]["rules_covered"] > 0
    assert found["mutants"]["count"] == found["mutants"]["killed"] + len(
        found["mutants"]["survivors"]
    )


def test_a_report_for_build_servers_is_written(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite(desk, CASE.format("ticket"))
    report = desk / "report.xml"

    assert run(desk, "--junit", str(report)) == 1
    assert ET.parse(report).getroot().get("failures") == "1"  # noqa: S314 - our own

    capsys.readouterr()
    assert run(desk, "--junit", str(desk / "no" / "report.xml")) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def chat(desk: Path, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "router", "-c", str(desk / "router.toml"), "chat", *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_conversation_becomes_cases_that_pass(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = suite(desk, CASE.format("escalate"), "chat.test.toml")
    said = (
        "hola\n¿Hacen envíos a Cali?\nme llego roto\n¿Tienen sucursal en Marte?\n"
        "Nos vemos en juicio.\nno me escriban mas\ngracias\n"
    )

    done = chat(desk, "--save-test", str(file), stdin=said)

    assert done.returncode == 0
    assert done.stderr == f"  saved in {file}\n" * 7
    text = file.read_text(encoding="utf-8")
    assert text.startswith(CASE.format("escalate"))
    assert text.count("[[case]]") == 8
    assert 'say = "¿Hacen envíos a Cali?"' in text
    assert run(desk) == 0, capsys.readouterr().out


def test_a_suite_is_begun_where_there_is_none(desk: Path) -> None:
    file = desk / "rules" / "new.test.toml"

    done = chat(desk, "hola", "--save-test", str(file), "--json")

    assert (done.returncode, done.stderr) == (0, f"  saved in {file}\n")
    assert json.loads(done.stdout)["outcome"] == "reply"
    assert file.read_text(encoding="utf-8").startswith('[[case]]\nsay = "hola"\n')


def test_a_suite_that_is_not_right_stays_as_it_is(desk: Path) -> None:
    file = suite(desk, CASE.format("tickets"))
    before = file.read_text(encoding="utf-8")

    done = chat(desk, "hola", "--save-test", str(file))

    assert done.returncode == 0
    assert done.stderr.startswith(f"  not saved in {file}: {file}:4:23: unknown decision")
    assert file.read_text(encoding="utf-8") == before


def test_a_suite_that_cannot_be_written_is_a_failure(desk: Path) -> None:
    file = desk / "rules" / f"{'x' * 300}.test.toml"

    done = chat(desk, "hola", "--save-test", str(file))

    assert done.returncode == 1
    assert done.stderr == f"  not saved in {file}: it cannot be written: File name too long\n"


def test_a_folder_that_is_not_there_is_a_mistake(desk: Path) -> None:
    done = chat(desk, "hola", "--save-test", str(desk / "no" / "x.test.toml"))

    assert done.returncode == 2
    told = f"there is no folder {desk / 'no'} to write x.test.toml to. "
    assert done.stderr.startswith(told)


def test_a_case_has_the_texts_that_the_answer_rests_on_where_a_rule_looks_at_them(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (desk / "rules" / "guardrails.toml").open("a", encoding="utf-8") as rules:
        rules.write(
            '\n[[guardrail]]\nid = "grounded"\nwhen.answer.grounding.below = 0.9\n'
            'then.draft = "the answer rests on nothing"\n'
        )
    file = desk / "rules" / "chat.test.toml"

    done = chat(desk, "¿Hacen envíos a Cali?", "--save-test", str(file))

    assert done.stderr == f"  saved in {file}\n"
    assert ", sources = [" in file.read_text(encoding="utf-8")
    assert run(desk) == 0, capsys.readouterr().out


def test_without_a_name_every_tenant_is_tested(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (desk / "clinic").mkdir()
    (desk / "clinic" / "own.toml").write_text(
        '[[rule]]\nid = "own"\nwhen.text.words = "cita"\nthen.ticket = {}\n'
        '[[example]]\nsay = "una cita"\nexpect = { rule = "own" }\n',
        encoding="utf-8",
    )
    with (desk / "router.toml").open("a", encoding="utf-8") as file:
        file.write('\n[tenants.clinic]\nrules = ["clinic/own.toml"]\n')
    suite(desk, CASE.format("escalate"))

    assert run(desk, "--name", "una cita", "--coverage") == 0
    assert capsys.readouterr().out.startswith("1 case in 1 file: all passed (")

    assert run(desk, str(desk / "rules"), "--name", "una cita") == 2
