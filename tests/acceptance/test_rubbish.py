"""Whatever is sent: answered, and kept once if it was signed, refused without a trace if not."""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.acceptance import provider as providers
from tests.acceptance.daemon import (
    ARTICLES,
    SIGNATURE,
    Daemon,
    folder_of,
    router_toml,
    sign,
    signed,
    wait_for,
)

COUNT = 10_000
#: ROUTER_SEED repeats a run's bodies.
SEED = int(os.environ.get("ROUTER_SEED", "0")) or int.from_bytes(os.urandom(4))

RULES = """
default.ignore = "nobody asked"

[[rule]]
id = "greeting"
when.text.contains = "hola"
then.reply = { text = "{{ text }}, {{ contact.name }}" }
"""

TENANT = """
[tenants.clinica]
[tenants.clinica.channels.recepcion]
type = "ledger"
base_url = "http://127.0.0.1:9"
secret = { env = "LEDGER_SECRET" }
"""

# --- what is sent

#: Stands in a body for a name that no other body has.
_NAME = "@NAME@"

_characters = st.characters(exclude_categories=())  # lone surrogates and NUL, too
_texts = st.one_of(
    st.text(_characters, max_size=20),
    st.sampled_from(["hola", "hola\0", "\ud83d", "\udc00hola", "\u202e", "e" + "\u0301" * 50, ""]),
)
_names = st.one_of(
    st.just(_NAME), _texts.map(lambda text: text + _NAME), _texts.map(lambda text: _NAME + text)
)
_numbers = st.one_of(
    st.integers(),
    st.integers(1, 5000).map(lambda digits: 10**digits),
    st.floats(),
    st.sampled_from([2**63, -(2**63) - 1, 1e308, -0.0]),
)
_addresses = st.one_of(
    st.integers(10**9, 10**9 + 50).map(lambda number: f"tel:+57{number}"),
    st.builds("{}:{}".format, st.sampled_from(["tel", "x", "TEL", "á"]), _texts),
    st.sampled_from(["tel:", ":", "tel:+", "tel:+5491112345678/x#1", "main/raw:ledger", "x:" * 99]),
    _texts,
)
_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_texts, inner, max_size=3)
    ),
    max_leaves=5,
)
_messages = st.fixed_dictionaries(
    {"id": _names, "from": _addresses, "text": _texts},
    optional={"name": _texts, "more": _values},
)
_echoes = st.fixed_dictionaries(
    {"id": _names, "to": _addresses, "text": _texts, "echo": st.just(value=True)}
)
_reports = st.fixed_dictionaries(
    {"message": _names, "to": _addresses, "status": st.sampled_from(["read", "failed"]) | _texts},
    optional={"item": _texts},
)
_nearly = st.fixed_dictionaries(
    {"id": _names},
    optional={"from": _addresses | _values, "text": _texts | _values, "echo": _values},
)


def _encoded(value: Any, *, ascii_only: bool, encoding: str) -> bytes:
    # An integer may be too long to be written down in the usual way; so may its text be.
    text = json.dumps(value, ensure_ascii=ascii_only)
    return text.encode(encoding, "surrogatepass")


def _json(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    encodings = st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"])
    return st.builds(_encoded, values, ascii_only=st.booleans(), encoding=encodings)


def _nested(depth: int, mark: tuple[bytes, bytes], closed: bool) -> bytes:
    begin, end = mark
    return begin * depth + (b"1" + end * depth if closed else b"")


_bodies: st.SearchStrategy[bytes] = st.one_of(
    _json(_messages),
    _json(_messages),
    _json(_nearly),
    _json(_echoes | _reports),
    _json(_values),
    st.binary(max_size=100),
    _texts.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.builds(
        _nested,
        st.integers(1, 3000),
        st.sampled_from([(b"[", b"]"), (b'{"id":', b"}")]),
        st.booleans(),
    ),
)


def bodies(count: int) -> list[bytes]:
    """Give so many bodies, no two alike, and no two with one message's name."""
    found: dict[bytes, None] = {}

    def generate(number: int) -> None:
        @seed(number)
        @settings(
            max_examples=count,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(_bodies)
        def keep(body: bytes) -> None:
            name = f"n{len(found)}"
            mark = _NAME if _NAME.encode() in body else _NAME.encode("utf-16-le").decode("latin-1")
            wide = mark != _NAME
            new = name.encode("utf-16-le") if wide else name.encode()
            old = _NAME.encode("utf-16-le") if wide else _NAME.encode()
            if len(found) < count:
                found[body.replace(old, new)] = None

        keep()

    number = SEED
    while len(found) < count:
        generate(number)
        number += 1
    return list(found)
