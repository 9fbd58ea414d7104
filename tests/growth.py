"""How the work that a text makes grows with the text."""

from collections.abc import Callable
from itertools import count
from time import process_time

_number = count()


def growth(work: Callable[[str], object], piece: str, length: int) -> float:
    """Give how many times as long a text of four times the length takes.

    It is 4 where time is in proportion, 16 where it is in the square: below 10 is the former, on
    any machine. The best of several runs counts, of the processor's time.

    :param piece: what the text is made of.
    :param length: of the shorter text, so long that its square would show.
    """

    def took(size: int) -> float:
        # Each text is a new one: nothing is known of it from before.
        text = f"{next(_number)} {(piece * (size // len(piece) + 1))[:size]}"
        began = process_time()
        work(text)
        return process_time() - began

    short = min(took(length) for _ in range(5))
    return min(took(4 * length) for _ in range(5)) / short
