"""`router chat`, `router explain` and `router rules explain`, through the real pipeline."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from router.cli.main import main


@pytest.fixture
def config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A starter configuration that answers by itself."""
    assert main(["init", str(tmp_path)]) == 0
    capsys.readouterr()
    file = tmp_path / "router.toml"
    text = file.read_text(encoding="utf-8").replace('mode = "assisted"', 'mode = "autopilot"')
    file.write_text(text, encoding="utf-8")
    return file


def chat(config: Path, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "router", "-c", str(config), "chat", *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_who_closes_what_it_prints_to_ends_it_without_a_traceback(config: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-u", "-m", "router", "-c", str(config), "chat", "hola"],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)

    assert (done.returncode, done.stderr) == (1, "")


def test_one_shot_gives_the_answer_and_what_made_it(config: Path) -> None:
    done = chat(config, "¿A qué hora abren?", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert {"answer", "outcome", "rules", "category", "sources", "event"} <= found.keys()
    assert found["answer"].startswith("Abrimos de lunes a viernes")
    assert (found["outcome"], found["category"]) == ("reply", "INFO")
    assert found["rules"] == ["info"]
    assert found["sources"] == ["horarios#1"]
    assert found["event"] == "main/tel:+573000000000#1"


def test_a_conversation_is_a_line_after_the_other(config: Path) -> None:
    done = chat(config, "--as", "+57 300 123 4567", stdin="hola\nNos vemos en juicio.\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].startswith("< ¡Hola!")
    assert "\n  escalate, LEGAL, " in done.stdout
    assert "\n  rules: legal\n" in done.stdout


@pytest.mark.parametrize("handler", ["strict", "surrogateescape"])
def test_a_line_that_is_no_text_is_told_in_a_sentence(config: Path, handler: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "router", "-c", str(config), "chat"],
        input="hola\n¿qué?\n".encode("latin-1"),
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": f"utf-8:{handler}"},
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.decode() == "the line is no text in UTF-8\n"


def test_what_is_remembered_can_be_explained(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = config.parent / "data" / "router.db"
    done = chat(config, "Nos vemos en juicio.", "--database", str(database), "--json")
    event = json.loads(done.stdout)["event"]

    assert main(["-c", str(config), "explain", event]) == 0

    story = capsys.readouterr().out
    assert story.startswith(f"Event {event}\n  message from main/phone, ")
    assert '"Nos vemos en juicio."\n  outcome: escalate\n' in story
    assert "\n  legal  matched: " in story
    assert "\nDecision: escalate, because: " in story
    assert "\nWhat became of it\n  message " in story
    assert "\n  escalation to legal\n" in story


def test_an_answer_is_explained_from_the_message_it_answers(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = config.parent / "data" / "router.db"
    event = json.loads(
        chat(config, "¿A qué hora abren?", "--database", str(database), "--json").stdout
    )["event"]

    main(["-c", str(config), "explain", event, "--json"])
    story = json.loads(capsys.readouterr().out)
    (item,) = [each for each in story["items"] if each["kind"] == "message"]
    main(["-c", str(config), "explain", item["id"]])
    of_item = capsys.readouterr().out
    main(["-c", str(config), "explain", item["provider_ref"]])
    of_provider = capsys.readouterr().out

    assert story["event"]["settled_by"] == story["decided_with"]["event"]
    assert story["decided_with"]["kind"] == "answer"
    assert of_item.startswith(f"Outbox item {item['id']}, decided with ")
    assert "\nAsked assistant for an answer.\n" in of_item
    assert of_provider == of_item


def test_nothing_of_a_name_is_a_sentence(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["-c", str(config), "db", "migrate"])
    capsys.readouterr()

    assert main(["-c", str(config), "explain", "wamid.nix"]) == 1

    assert capsys.readouterr().err == 'there is no event, message or outbox item "wamid.nix"\n'


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["hola", "--channel", "fone"], 'there is no channel "fone". Configured: phone. '),
        (["hola", "--tenant", "acme"], 'there is no tenant "acme". There are: main. '),
        (["hola", "--as", "Ana"], '"Ana" is neither a telephone number nor scheme:value. '),
    ],
)
def test_who_and_where_are_checked(
    config: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert main(["-c", str(config), "chat", *words]) == 2

    assert capsys.readouterr().err.startswith(complaint)


def explain(config: Path, *words: str) -> int:
    return main(["-c", str(config), "rules", "explain", *words])


def test_rules_explain_says_what_stopped_each_rule(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(config, "--text", "Nos vemos en juicio.") == 0

    told = capsys.readouterr().out
    assert "\n  legal  matched: set category LEGAL; " in told
    assert "\n  opt-out    failed on " in told
    assert not (config.parent / "data").exists()


def test_rules_explain_asks_the_guardrails_about_an_answer(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--text", "¿A qué hora abren?"]
    explain(config, *words)
    without = capsys.readouterr().out
    explain(config, *words, "--answer", "A las 9.", "--confidence", "0.1", "--json")
    trace = json.loads(capsys.readouterr().out)

    assert "Asked assistant for an answer." in without
    assert "Answer guardrails" not in without
    assert trace["facts"]["answer.confidence"] == 0.1
    assert ["does-not-know", "+"] in [entry[:2] for entry in trace["guards"]]


def test_rules_explain_of_nobody_is_a_mistake(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(config, "--text", "hola", "--tenant", "acme") == 2

    assert capsys.readouterr().err.startswith('there is no tenant "acme". There are: main. ')


def test_files_of_an_answer_are_named_by_their_addresses(config: Path) -> None:
    url = "https://shop.example/precios.pdf"
    rule = '[[rule]]\nid = "brochure"\nwhen.text.words = "folleto"\n'
    said = f'then.reply = {{ text = "Aquí está.", media = ["{url}"] }}\n'
    file = config.parent / "rules" / "triage.toml"
    file.write_text(f"{rule}{said}{file.read_text(encoding='utf-8')}", encoding="utf-8")

    done = chat(config, "el folleto", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["answer"], found["rules"]) == (f"Aquí está.\n\n{url}", ["brochure"])
