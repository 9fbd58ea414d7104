"""Identifiers."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

from router.ids import new_id, new_secret

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def moment(name: str) -> int:
    """Read the milliseconds that an id begins with."""
    number = 0
    for letter in name[:10]:
        number = number * 32 + ALPHABET.index(letter)
    return number


def test_id_begins_with_the_time_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    name = new_id()
    after = time.time_ns() // 1_000_000

    assert re.fullmatch(f"[{ALPHABET}]{{26}}", name)
    assert before <= moment(name) <= after


def test_ids_sort_by_the_time_they_were_made() -> None:
    names = []
    for _ in range(20):
        names.append(new_id())
        time.sleep(0.002)

    assert names == sorted(names)


def test_ids_of_one_millisecond_sort_as_they_were_made() -> None:
    names = [new_id() for _ in range(5000)]

    assert names == sorted(names)
    assert len({name[:10] for name in names}) < len(names)


def test_threads_never_get_the_same_id() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: [new_id() for _ in range(5000)], range(8)))

    names = [name for some in made for name in some]
    assert len(set(names)) == len(names) == 40_000


def test_every_letter_comes_up_wherever_it_is_chance() -> None:
    names = [new_id() for _ in range(5000)]

    assert all({name[place] for name in names} == set(ALPHABET) for place in range(13, 26))


def test_secret_is_long_and_easily_read_out() -> None:
    assert re.fullmatch(f"[{ALPHABET}]{{32}}", new_secret())
    assert new_secret() != new_secret()
