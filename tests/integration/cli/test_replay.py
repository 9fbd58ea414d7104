"""``router replay`` on a database that the real router wrote."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from router.cli.main import main

_CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"
rules = ["rules/shop.toml"]

[policy]
mode = "autopilot"
debounce = "0s"

[channels.phone]
type = "simulator"

[ai.assistant]
type = "answers"

[knowledge]
folders = ["articles"]
"""
_RULES = """
[category.INFO]
risk = "low"

[category.OTHER]
risk = "low"

[default]
answer = "assistant"

[[rule]]
id = "hours"
when.text.words = "horario"
then.reply = { text = "De 8 a 18." }

[[rule]]
id = "legal"
when.text.words = "abogado"
then.ticket = { queue = "default", title = "Legal" }
"""
_ARTICLE = """---
category: INFO
---
# Envíos

Los envíos a Bogotá tardan dos días hábiles y son gratis.
"""


class Ran:
    """What a command did."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err


Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop to which customers have written."""
    shop = tmp_path_factory.mktemp("shop")
    (shop / "rules").mkdir()
    (shop / "articles").mkdir()
    (shop / "router.toml").write_text(_CONFIG, encoding="utf-8")
    (shop / "rules" / "shop.toml").write_text(_RULES, encoding="utf-8")
    (shop / "articles" / "envios.md").write_text(_ARTICLE, encoding="utf-8")
    config, database = str(shop / "router.toml"), str(shop / "router.db")
    for text, who in [
        ("¿Cuál es el horario?", "+573001234567"),
        ("¿Cuánto tardan los envíos a Bogotá?", "+573001234567"),
        ("hablo con mi abogado", "+573009876543"),
        ("xyzzy", "+573009876543"),
    ]:
        chat = ["-c", config, "chat", text, "--as", who, "--database", database, "--json"]
        assert main(chat) == 0
    return shop


@pytest.fixture
def shop(lived: Path, tmp_path: Path) -> Path:
    """A copy of the shop, to change."""
    return Path(shutil.copytree(lived, tmp_path / "shop"))


@pytest.fixture
def run(shop: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    capsys.readouterr()

    def run(*words: str) -> Ran:
        status = main(["-c", str(shop / "router.toml"), "replay", *words])
        printed = capsys.readouterr()
        return Ran(status, printed.out, printed.err)

    return run


def changed(shop: Path, old: str, new: str) -> str:
    """Write the rules with a change into another folder."""
    folder = shop / "new"
    folder.mkdir(exist_ok=True)
    assert old in _RULES
    (folder / "shop.toml").write_text(_RULES.replace(old, new), encoding="utf-8")
    return str(folder)


def test_the_files_as_they_are_decide_as_the_daemon_did(run: Run) -> None:
    ran = run("--json", "--max-changed", "0%")

    told = json.loads(ran.out)
    assert (ran.status, told["decisions"], told["changed"], told["changes"]) == (0, 4, 0, [])
    assert [rule["rule"] for rule in told["rules"]] == ["(default)", "hours", "legal"]
    assert [rule["same"] for rule in told["rules"]] == [2, 1, 1]


def test_a_change_is_told_by_rule_with_an_example(run: Run, shop: Path) -> None:
    ran = run("--against", changed(shop, "De 8 a 18.", "De 9 a 18."))

    assert ran.status == 0
    assert "4 decisions, made again by the configuration" in ran.out
    assert re.search(r"^  same +3 +75\.00%$", ran.out, re.MULTILINE)
    assert "1 x different: reply (hours) → reply (hours)" in ran.out
    assert 'main/tel:+573001234567#1  "¿Cuál es el horario?"' in ran.out
    assert '"De 8 a 18."' in ran.out
    assert '"De 9 a 18."' in ran.out


def test_both_traces_of_an_example_are_told_where_they_are_asked_for(run: Run, shop: Path) -> None:
    against = changed(shop, 'when.text.words = "abogado"', 'when.text.words = "hablo"')
    against = changed(shop, 'title = "Legal" }', 'title = "Legal", say = "Ya." }')

    words, values = (
        run("--against", against, "--trace"),
        run("--against", against, "--trace", "--json"),
    )

    assert "\n  Then\n" in words.out
    assert "\n  Now\n" in words.out
    [change] = json.loads(values.out)["changes"]
    assert change["trace"]["then"]["decision"]["rule"] == "legal"
    assert change["trace"]["now"]["decision"]["say"] == ["Ya."]


@pytest.mark.parametrize(("most", "status"), [("25%", 0), ("24.9", 1), ("0", 1), ("100 %", 0)])
def test_too_many_changes_fail(run: Run, shop: Path, most: str, status: int) -> None:
    against = changed(
        shop, 'then.ticket = { queue = "default", title = "Legal" }', 'then.ignore = "nada"'
    )

    ran = run("--against", against, "--max-changed", most, "--json")

    told = json.loads(ran.out)
    assert (ran.status, told["changed_percent"]) == (status, 25.0)
    assert told["totals"]["less_careful"] == 1


def test_a_whole_configuration_may_be_given(run: Run, shop: Path) -> None:
    other = shop / "other.toml"
    text = _CONFIG.replace('mode = "autopilot"', 'mode = "assisted"')
    other.write_text(text, encoding="utf-8")

    told = json.loads(run("--against", str(other), "--json").out)

    assert told["totals"] == {
        "same": 3,
        "more_careful": 1,
        "less_careful": 0,
        "different": 0,
        "stale": 0,
        "unknown": 0,
    }
    assert told["changes"][0]["now"] == {"outcome": "draft", "rule": "(default)"}


def test_another_prompt_makes_answers_stale(run: Run, shop: Path) -> None:
    (shop / "told.md").write_text("Sé breve.", encoding="utf-8")
    (shop / "other.toml").write_text(
        _CONFIG.replace('type = "answers"', 'type = "answers"\nprompt = "told.md"'),
        encoding="utf-8",
    )

    told = json.loads(run("--against", str(shop / "other.toml"), "--json").out)

    assert (told["totals"]["stale"], told["totals"]["same"]) == (2, 2)
    assert {change["now"] for change in told["changes"]} == {None}


def test_twice_is_byte_for_byte_the_same(run: Run, shop: Path) -> None:
    against = changed(shop, 'when.text.words = "abogado"', 'when.text.words = "juez"')

    for words in (["--json", "--trace"], ["--trace"], []):
        first, second = (run("--against", against, *words).out for _ in range(2))
        assert first == second
        assert "unknown" in first


def test_an_export_is_replayed_from_its_file(run: Run, shop: Path) -> None:
    file = shop / "shared.jsonl"

    written = run("--export", str(file))
    same = run("--from", str(file), "--max-changed", "0", "--json")
    against = changed(shop, "De 8 a 18.", "De 9 a 18.")
    different = run("--from", str(file), "--against", against, "--json")

    assert written.status == 0
    assert written.out.startswith(f"{file}: 4 decisions, personal data masked.\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert "3001234567" not in file.read_text(encoding="utf-8")
    assert (same.status, json.loads(same.out)["totals"]["same"]) == (0, 4)
    [change] = json.loads(different.out)["changes"]
    assert change["examples"][0]["event"] == "main/tel:+570000000001#1"


def test_a_time_without_traffic_has_nothing_to_compare(run: Run) -> None:
    ran = run("--until", "2020-01-01", "--json", "--max-changed", "0")

    assert (ran.status, json.loads(ran.out)["decisions"]) == (0, 0)
    assert json.loads(run("--since", "1h", "--json").out)["decisions"] == 4
    assert json.loads(run("--since", "1h", "--limit", "1", "--json").out)["more"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-changed", "lots"], '--max-changed "lots" is no percentage; write one such as 2%'),
        (["--max-changed", "101%"], '--max-changed "101%" is no percentage; write one such as 2%'),
        (
            ["--since", "yesterday"],
            '"yesterday" is neither a duration such as 7d nor a date such as 2026-11-01',
        ),
        (["--against", "nowhere"], "there is neither a folder nor a file nowhere"),
        (
            ["--export", "x", "--max-changed", "2%"],
            "--export only writes a recording: leave the other options out",
        ),
        (
            ["--from", "x", "--since", "7d"],
            "--since, --until and --tenant choose what --export writes",
        ),
        (["--from", "gone.jsonl"], "gone.jsonl: it cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_in_the_arguments_is_said(run: Run, words: list[str], said: str) -> None:
    ran = run(*words)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(said)


def test_a_mistake_in_the_other_rules_is_said_with_its_place(run: Run, shop: Path) -> None:
    against = changed(shop, 'when.text.words = "horario"', 'when.text.wrods = "horario"')

    ran = run("--against", against)

    assert ran.status == 2
    assert f'{against}/shop.toml:13:11: unknown operator "wrods"' in ran.err


def test_a_folder_in_which_nothing_has_the_name_of_a_rules_file_is_a_mistake(
    run: Run, shop: Path
) -> None:
    (shop / "none").mkdir()
    (shop / "none" / "market.toml").write_text(_RULES, encoding="utf-8")

    ran = run("--against", str(shop / "none"))

    assert ran.status == 2
    assert ran.err == (
        f"{shop / 'none'}: here is none of the rules files of the configuration. "
        "Call it as the one that it replaces: shop.toml.\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1:"),
        ("nonsense\n", ":1:"),
        ('{"recording": 9}\n', "the recording has the form 9. This version reads form 1"),
        ('{"recording": 1, "turns": 0}\n{"tenant": "main"}\n', ":2:"),
        ('{"recording": 1, "turns": 2}\n', "0 of 2 turns are there"),
        (
            (
                '{"recording": 1, "turns": 1}\n{"tenant": "main", "lane": "main/a:b", "lines": {}, '
                '"events": [{"seq": 1, "kind": "rain", "payload": {}}]}\n'
            ),
            ":2:",
        ),
    ],
)
def test_a_file_that_is_no_recording_is_said_to_be_none(
    run: Run, shop: Path, text: str, said: str
) -> None:
    file = shop / "shared.jsonl"
    file.write_text(text, encoding="utf-8")

    ran = run("--from", str(file))

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"{file}:")
    assert said in ran.err
