"""Identifiers that sort by the time they were made."""

import os
import time
from collections.abc import Callable

#: Anything that gives a new identifier at each call.
Ids = Callable[[], str]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u to misread
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_SHIFTS = tuple(range(40, -1, -10))
#: The letter of a random byte: five bits of it count.
_LETTERS = bytes(ord(_ALPHABET[byte & 31]) for byte in range(256))
_RANDOM_LETTERS = 13
#: So many of one millisecond sort as they were made: three letters count them.
_COUNTED = 1 << 15
_MANY = 256
_SECRET_BYTES = 20
_SECRET_SHIFTS = tuple(range(150, -1, -10))


class _Ids:
    """Gives identifiers; random letters are made for many at once, a system call each is slow."""

    def __init__(self) -> None:
        self._pool: list[str] = []
        self._last = (0, "", 0)

    def __call__(self) -> str:
        moment = time.time_ns() // 1_000_000
        try:
            letters = self._pool.pop()  # which no two threads do at once
        except IndexError:
            letters = self._filled().pop()
        known, beginning, count = self._last
        if moment != known:
            beginning = "".join([_PAIRS[moment >> shift & 1023] for shift in _SHIFTS])
            count = 0
        elif count < _COUNTED - 1:
            count += 1
        self._last = (moment, beginning, count)
        return f"{beginning}{_PAIRS[count >> 5]}{_ALPHABET[count & 31]}{letters}"

    def _filled(self) -> list[str]:
        noise = os.urandom(_RANDOM_LETTERS * _MANY).translate(_LETTERS).decode("ascii")
        starts = range(0, len(noise), _RANDOM_LETTERS)
        pool = [noise[start : start + _RANDOM_LETTERS] for start in starts]
        last = [pool.pop()]  # for whoever fills it, however many others take of the rest
        self._pool = pool
        return last


_ids = _Ids()


def new_id() -> str:
    """Give 26 characters: 48 bits of milliseconds, 15 that count, 65 of chance (a lower-case ULID).

    What one thread makes sorts as it was made, within a millisecond too: several messages of one
    answer are listed as they are sent. Sorting by time keeps new rows on the same pages of an
    index; the random part makes it unguessable enough for a link, but it is no secret. Any thread
    may call it.
    """
    return _ids()


def new_secret() -> str:
    """Give 32 characters that nobody guesses: 160 random bits, and nothing else.

    Lower-case letters and digits only: what turns text into links often leaves a ``-`` or ``_`` at
    the end out, or takes it for markup, and these may have to be read out over a telephone.
    """
    number = int.from_bytes(os.urandom(_SECRET_BYTES))
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SECRET_SHIFTS])
