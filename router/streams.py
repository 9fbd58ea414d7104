"""Standard output and error as a shell may leave them: closed, full, or in a small encoding."""

import codecs
import io
import os
import sys
from pathlib import Path
from typing import Final

_ESCAPED: Final = "router.escaped"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Write what an encoding lacks as JSON does, so that JSON stays JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    import json

    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def prepare() -> None:
    """See to it that there is something to print on, and that it takes every letter."""
    codecs.register_error(_ESCAPED, _escaped)
    for name in ("stdout", "stderr"):
        # Closed by the shell (`>&-`). Left so, the next file that is opened would be printed into.
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_ESCAPED)


def why_unprintable() -> str | None:
    """Say why nothing can be printed; ``None`` if it can be after all."""
    try:
        print(flush=True)  # noqa: T201
    except OSError as error:
        return error.strerror or str(error)
    return None


def print_no_more() -> None:
    """Drop whatever is or will be printed; else Python complains as it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
