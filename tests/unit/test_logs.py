"""What the logs never show, secrets, however somebody spells them; and what never ends them."""

import ast
import errno
import io
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from router.logs import OWN, REDACTED, Redaction, configure
from router.metrics import Metrics
from router.settings.database import password_of

#: A secret with something in it that every spelling writes in its own way.
AWKWARD = 'p@ss "wörd"\\/9\n'


@pytest.mark.parametrize(
    "spelled",
    [
        AWKWARD,
        quote(AWKWARD),
        quote(AWKWARD, safe=""),
        quote_plus(AWKWARD),
        json.dumps(AWKWARD)[1:-1],
        json.dumps(AWKWARD, ensure_ascii=False)[1:-1],
        repr(AWKWARD)[1:-1],
    ],
)
def test_a_secret_is_blanked_out_however_it_is_spelled(spelled: str) -> None:
    assert Redaction([AWKWARD]).clean(f"it quotes {spelled}!") == f"it quotes {REDACTED}!"


def test_the_password_of_a_database_is_known_as_its_server_says_it() -> None:
    password = password_of("postgresql://router:p%40ss-word9@db/router")

    assert Redaction([password or ""]).clean("refused: p@ss-word9") == f"refused: {REDACTED}"


def test_what_is_too_short_is_part_of_innocent_words_in_any_spelling() -> None:
    redaction = Redaction(["abc", "%61%62%63", "%ZZ%", "\ud800key!"])

    assert redaction.clean("abcdef, á, /, \\") == "abcdef, á, /, \\"


class Terminal(io.StringIO):
    """Takes lines for people."""

    def isatty(self) -> bool:
        return True


class Unprintable:
    """Has no words."""

    def __str__(self) -> str:
        raise KeyError("words")


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    for line in found:
        del line["timestamp"]
    return found


def test_a_line_has_its_level_its_event_and_what_is_named() -> None:
    stream = io.StringIO()
    log = configure(Redaction(["hushhush"]), stream=stream)

    log.debug("not told")
    log.info("sent", to="tel:+57 hushhush")
    log.bind(instance="channels.phone").warning("slow", seconds=3)
    configure(Redaction(), stream=stream, debug=True).debug("told")

    assert _lines(stream) == [
        {"event": "sent", "level": "info", "to": f"tel:+57 {REDACTED}"},
        {"event": "slow", "level": "warning", "seconds": 3, "instance": "channels.phone"},
        {"event": "told", "level": "debug"},
    ]


@pytest.mark.parametrize("reader", [io.StringIO, Terminal])
@pytest.mark.parametrize("name", [*sorted(OWN), "instance", "self", "level_", "exc_info", "stack"])
def test_no_name_of_a_value_ends_whoever_tells_it(reader: type[io.StringIO], name: str) -> None:
    stream = reader()
    log = configure(Redaction(), stream=stream).bind(instance="channels.phone")

    for tell in (log.debug, log.info, log.warning, log.error):
        tell("no outcome", **{name: "its value"})

    assert stream.getvalue().count("no outcome") == 3


def test_what_a_line_has_of_its_own_is_not_replaced_by_a_value_of_that_name() -> None:
    stream = io.StringIO()
    log = configure(Redaction(), stream=stream).bind(instance="channels.phone")

    log.error("no outcome", event="main/x#1", level=7, timestamp="never", instance="another")

    assert json.loads(stream.getvalue())["timestamp"] != "never"
    assert _lines(stream) == [
        {
            "event": "no outcome",
            "level": "error",
            "instance": "channels.phone",
            "event_": "main/x#1",
            "level_": 7,
            "timestamp_": "never",
            "instance_": "another",
        }
    ]


@pytest.mark.parametrize("value", [Unprintable(), {("a", "b"): 1}])
def test_a_value_that_cannot_be_written_ends_nothing_and_the_rest_is_told(value: object) -> None:
    stream = io.StringIO()

    configure(Redaction(["hushhush"]), stream=stream).error("no answer", about=value)

    (line,) = _lines(stream)
    assert line["event"] == "no answer"
    assert line["level"] == "error"
    assert line["unwritten"] in ("KeyError", "TypeError")


def test_no_call_of_ours_names_a_value_as_a_line_names_its_own() -> None:
    root, found = Path(__file__).parents[2], []
    for path in (*root.glob("router/**/*.py"), *root.glob("plugins/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Name(id=log) | ast.Attribute(attr=log),
                        attr="debug" | "info" | "warning" | "error",
                    )
                ) if log.endswith("log"):
                    names = {it.arg for it in node.keywords}
                    found += [f"{path}:{node.lineno}: {name}" for name in names & OWN]

    assert found == []


class Unwritable(io.StringIO):
    """A log that takes no line for a while."""

    error: Exception | None = None

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        ValueError("I/O operation on closed file"),
    ],
)
def test_a_line_that_cannot_be_written_ends_nothing_and_is_counted(error: Exception) -> None:
    metrics, out = Metrics(), Unwritable()
    log = configure(Redaction(), stream=out, lost=metrics.log_lines_lost.count)
    assert metrics.log_lines_lost.values == {(): 0}

    out.error = error
    log.info("lost")
    logging.getLogger("a.library").error("lost, too")
    out.error = None
    log.info("kept")

    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["kept"]
    assert metrics.log_lines_lost.values == {(): 2}
