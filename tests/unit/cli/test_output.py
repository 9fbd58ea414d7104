"""Printing: what customers wrote cannot move a cursor, and scripts get all of it."""

import os
import subprocess
import sys
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from router.cli.output import age, block, line, plural, print_fields, print_table
from router.clock import SystemClock
from router.domain.message import Attachment, Author
from router.storage.store import EventRef
from router.storage.views import as_values


@pytest.mark.parametrize(
    "text, printed",
    [
        ("  hola \n mundo ", "hola mundo"),
        ("\x1b[2Jborrado", "�[2Jborrado"),
        ("a\u202eb", "a�b"),
        ("¿Sí? 👍", "¿Sí? 👍"),
        (None, ""),
        (7, "7"),
    ],
)
def test_a_text_is_one_printable_line(text: object, printed: str) -> None:
    assert line(text) == printed


def test_a_block_keeps_its_lines() -> None:
    assert block("uno\n\x07dos\n\ntres") == "  uno\n  �dos\n\n  tres"
    assert block("") == ""


def test_a_table_in_a_pipe_is_not_cut_and_has_no_blanks_at_its_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("ID", "TEXT"), [("a", "x" * 300), ("bbbb", "[red]no[/red]")])

    assert capsys.readouterr().out == f"ID    TEXT\na     {'x' * 300}\nbbbb  [red]no[/red]\n"


@pytest.mark.parametrize("columns", [20, 40, 200])
def test_on_a_terminal_the_last_column_alone_is_cut(columns: int) -> None:
    event, text = "main/tel:+573001234567#3", "x" * 300
    program = (
        "from router.cli.output import print_table; "
        f"print_table(('EVENT', 'KIND', 'TEXT'), [({event!r}, 'message', {text!r})])"
    )
    reading, writing = os.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", program],
            stdout=writing,
            env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm"},
            check=True,
        )
        printed = os.read(reading, 4096).decode().splitlines()[1]
    finally:
        os.close(writing)
        os.close(reading)

    assert printed.startswith(f"{event}  message  xx")
    assert printed.endswith("x…")
    assert len(printed) == max(columns, len(f"{event}  message  ") + 12)


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("ID",), [], nothing="No draft waits.")

    assert capsys.readouterr().out == "No draft waits.\n"


def test_fields_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("state", "done"), ("error", None), ("provider's id", "x"), ("n", 0)])

    assert capsys.readouterr().out == "state          done\nprovider's id  x\nn              0\n"


@pytest.mark.parametrize(
    "seconds, told",
    [(0, "0s"), (59, "59s"), (60, "1m"), (7300, "2h"), (86400 * 3, "3d"), (-5, "0s")],
)
def test_how_long_ago(seconds: float, told: str) -> None:
    assert age(SystemClock().now() - timedelta(seconds=seconds)) == told


def test_numbers_agree_with_their_words() -> None:
    assert [plural(1, "rule"), plural(2, "rule"), plural(0, "reply", "replies")] == [
        "1 rule",
        "2 rules",
        "0 replies",
    ]


def test_views_become_json() -> None:
    at = datetime(2026, 3, 2, 10, tzinfo=UTC)
    thing = {
        "event": EventRef("main/tel:+1", 3),
        "author": Author.BOT,
        "at": at,
        "attachments": (Attachment(kind="image"),),
        "tags": frozenset({"vip"}),
        "more": MappingProxyType(OrderedDict({1: None})),
    }

    assert as_values(thing) == {
        "event": "main/tel:+1#3",
        "author": "bot",
        "at": "2026-03-02T10:00:00+00:00",
        "attachments": [
            {
                "kind": "image",
                "url": None,
                "content_type": None,
                "name": None,
                "latitude": None,
                "longitude": None,
                "digest": None,
                "size": None,
                "transcript": None,
                "problem": None,
            }
        ],
        "tags": ["vip"],
        "more": {"1": None},
    }
