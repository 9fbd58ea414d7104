"""How commands print: tables and fields for people, JSON for scripts.

What customers wrote is printed without control characters: a message must not be able to move
somebody's cursor.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from router.clock import SystemClock

_STEPS: Final = ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h"))
_NEVER_CUT: Final = 10_000
_NARROWEST: Final = 12
#: Between two columns.
_GAP: Final = 2


def print_json(thing: Any) -> None:
    """Print values, or views of the database, as JSON."""
    from router.storage.views import as_values

    print(json.dumps(as_values(thing), ensure_ascii=False, indent=2))


def line(text: object) -> str:
    """Give a text on one line, printable."""
    words = " ".join(str("" if text is None else text).split())
    return "".join(character if character.isprintable() else "�" for character in words)


def block(text: str, indent: str = "  ") -> str:
    """Give a text indented, its lines kept, printable."""
    return "\n".join(f"{indent}{line(row)}".rstrip() for row in text.splitlines() or [""])


def moment(at: datetime | None) -> str:
    """Give a moment in this machine's time zone."""
    return "" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def age(at: datetime | None) -> str:
    """Give how long ago something was: ``12s``, ``3m``, ``2h``, ``5d``."""
    if at is None:
        return ""
    seconds = max(0, int((SystemClock().now() - at).total_seconds()))
    for below, divisor, unit in _STEPS:
        if seconds < below:
            return f"{seconds // divisor}{unit}"
    return f"{seconds // 86400}d"


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, nothing: str = ""
) -> None:
    """Print rows under their columns; on a terminal the last column is cut where it ends.

    :param nothing: what to say where there are no rows.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[Text(line(cell)) for cell in row] for row in rows]
    if not cells:
        print(nothing)
        return
    console = Console(width=None if sys.stdout.isatty() else _NEVER_CUT, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    left = console.width
    for number, name in enumerate(columns):
        width = max(len(name), *(row[number].cell_len for row in cells))
        if number == len(columns) - 1:
            width = min(width, max(left, _NARROWEST))
        left -= width + _GAP
        table.add_column(name, no_wrap=True, overflow="ellipsis", width=width)
    # Where the terminal is too narrow, it breaks the lines: what is cut cannot be copied.
    console.width = max(console.width, console.width - left - _GAP)
    for row in cells:
        table.add_row(*row)
    # In a file or a pipe nothing is cut.
    with console.capture() as printed:
        console.print(table)
    print("\n".join(row.rstrip() for row in printed.get().splitlines()))


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print names and values under each other; what has no value is left out."""
    shown = [(name, line(value)) for name, value in fields if value not in (None, "", (), [])]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name:<{width}}  {value}")


def plural(number: int, one: str, many: str | None = None) -> str:
    """Give ``1 rule``, ``2 rules``."""
    return f"{number} {one if number == 1 else many or one + 's'}"
