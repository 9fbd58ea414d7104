"""Identifiers that sort by the time they were made."""

import secrets
import time
from collections.abc import Callable

#: Anything that gives a new identifier at each call.
Ids = Callable[[], str]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u to misread


def new_id() -> str:
    """Give 26 characters: 48 bits of milliseconds, then 80 random bits (a ULID, lower case).

    Sorting by time keeps new rows on the same pages of an index; the random part makes it
    unguessable enough for a link, but it is no secret.
    """
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
