"""Identifiers that sort by the time they were made."""

import os
import threading
import time
from collections.abc import Callable

#: Anything that gives a new identifier at each call.
Ids = Callable[[], str]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u to misread
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_SHIFTS = tuple(range(120, -1, -10))
_RANDOM_BYTES = 10
_SECRET_BYTES = 20
_SECRET_SHIFTS = tuple(range(150, -1, -10))


class _Ids:
    """Gives identifiers; random bytes are fetched for many at once, a system call each is slow."""

    def __init__(self) -> None:
        self._pool = b""
        self._used = 0
        self._lock = threading.Lock()

    def __call__(self) -> str:
        with self._lock:
            if self._used == len(self._pool):
                self._pool, self._used = os.urandom(_RANDOM_BYTES * 256), 0
            start = self._used
            self._used = start + _RANDOM_BYTES
            noise = int.from_bytes(self._pool[start : self._used])
        number = (time.time_ns() // 1_000_000) << 80 | noise
        return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


_ids = _Ids()


def new_id() -> str:
    """Give 26 characters: 48 bits of milliseconds, then 80 random bits (a ULID, lower case).

    Sorting by time keeps new rows on the same pages of an index; the random part makes it
    unguessable enough for a link, but it is no secret. Any thread may call it.
    """
    return _ids()


def new_secret() -> str:
    """Give 32 characters that nobody guesses: 160 random bits, and nothing else.

    Lower-case letters and digits only: what turns text into links often leaves a ``-`` or ``_`` at
    the end out, or takes it for markup, and these may have to be read out over a telephone.
    """
    number = int.from_bytes(os.urandom(_SECRET_BYTES))
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SECRET_SHIFTS])
