"""Bodies that no provider would send, and that a parser has to survive."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

_STRANGERS: tuple[Any, ...] = (None, True, -1, 1e400, 10**30, "", "\x00", "ñ" * 40, [], [None], {})
_FIXED = (b"", b"\x00", b"\xff\xfe", b"null", b"[]", b"{}", b'""', b"0", b"[" * 100_000, b"=&=")


def mangled(body: bytes) -> Iterator[bytes]:
    """Give broken variants of a good body: cut short, values of other types, fields missing."""
    yield from _FIXED
    if body:
        yield from (body[:cut] for cut in {len(body) // 2, len(body) - 1})
    try:
        document = json.loads(body)
    except ValueError:
        fields = parse_qsl(body.decode("latin-1"), keep_blank_values=True)
        for index, (name, _) in enumerate(fields):
            others = fields[:index] + fields[index + 1 :]
            yield urlencode(others).encode()
            for value in ("", "\x00", "-1", "x" * 5000):
                yield urlencode([*others, (name, value)]).encode()
    else:
        for variant in _variants(document):
            yield json.dumps(variant).encode()


def _variants(document: Any) -> Iterator[Any]:
    """Give the document with each of its values replaced by each stranger, or left out."""
    yield from _STRANGERS
    if isinstance(document, dict):
        for key, value in document.items():
            yield {other: kept for other, kept in document.items() if other != key}
            for variant in _variants(value):
                yield {**document, key: variant}
    elif isinstance(document, list):
        for index, value in enumerate(document):
            for variant in _variants(value):
                yield [*document[:index], variant, *document[index + 1 :]]


def any_bytes(survive: Callable[[bytes], None]) -> None:
    """Call a function with arbitrary bytes: hypothesis's, or random ones where it is missing."""
    try:
        from hypothesis import HealthCheck, given, settings
        from hypothesis import strategies as st
    except ImportError:
        chance = random.Random(0)
        for _ in range(300):
            survive(chance.randbytes(chance.randrange(200)))
        return
    bodies = st.binary(max_size=500) | st.text().map(str.encode) | st.builds(_as_json, _documents())
    given(bodies)(
        settings(
            max_examples=200,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )(survive)
    )()


def _as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


def _documents() -> Any:
    from hypothesis import strategies as st

    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=8,
    )
