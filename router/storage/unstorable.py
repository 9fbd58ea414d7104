"""Which errors of a database are about values that it will never take.

Everything else that a write fails with passes with time (the database is away, another node was in
the way), or is a mistake of ours: neither says anything about the values.
"""

import sqlite3
from typing import Final

from router.storage.codec import encode
from router.storage.store import Event

#: SQLSTATE classes: data exception (a text with NUL, a number out of range), and program limit
#: exceeded (a name too long for an index).
_ABOUT_VALUES: Final = ("22", "54")


def is_writable(event: Event) -> bool:
    """Tell whether an event can be put into words at all; a plugin may put anything into it."""
    try:
        encode(event)
    except Exception:  # noqa: BLE001 - a plugin's values, of any kind
        return False
    return True


def is_about_values(error: BaseException) -> bool:
    """Tell whether a database refused values for what they are, and would each time.

    On SQLite that is what is too big for it, on PostgreSQL what has a SQLSTATE of its own. A row
    that must be unique, or that refers to another, is refused for what else is stored.
    """
    cause = getattr(error, "orig", None) or error  # below what SQLAlchemy made of it
    # The drivers' own words for a number or a text that their database has no form for.
    if isinstance(cause, sqlite3.DataError | OverflowError | UnicodeError):
        return True
    return str(getattr(cause, "sqlstate", None) or "").startswith(_ABOUT_VALUES)
