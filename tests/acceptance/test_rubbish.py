"""Whatever is sent: answered, and kept once if it was signed, refused without a trace if not."""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
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
    TLS,
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
then.reply = { text = "{{ text }}, {{ contact.name or 'cliente' }}" }
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
#: Bodies in one example of hypothesis, which spends more time on an example than on a body.
_BATCH = 20

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
    st.integers(1, 4000).map(lambda digits: 10**digits),
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
    return json.dumps(value, ensure_ascii=ascii_only).encode(encoding, "surrogatepass")


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
    # More digits than Python reads, beside what is all right.
    st.integers(4200, 9000).map(
        lambda digits: (
            b'{"id": "@NAME@", "from": "x:y", "text": "hola", "more": %s}' % (b"9" * digits)
        )
    ),
)


def bodies(count: int) -> list[bytes]:
    """Give so many bodies, no two alike, and no two with one message's name."""
    found: dict[bytes, None] = {}

    def named(body: bytes) -> bytes:
        name = f"<{len(found)}>"
        for encoding in ("utf-8", "utf-16-le"):
            body = body.replace(_NAME.encode(encoding), name.encode(encoding))
        return body

    def generate(number: int) -> None:
        @seed(number)
        @settings(
            max_examples=count // _BATCH,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(_bodies, min_size=_BATCH, max_size=_BATCH))
        def keep(batch: list[bytes]) -> None:
            for body in batch:
                found.setdefault(named(body))

        keep()

    number = SEED
    while len(found) < count:
        generate(number)
        number += 1
    return list(found)[:count]


# --- sending


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with (
        providers.running() as provider,
        folder_of(
            tmp_path,
            router_toml(provider.url, server='max_body = "64 KiB"', more=TENANT),
            {"rules.toml": RULES, **ARTICLES},
        ) as daemon,
    ):
        daemon.start()
        yield daemon


async def send(daemon: Daemon, rubbish: list[bytes]) -> Counter[int]:
    """Send each body, rightly signed, over a few connections that stay open; count the answers."""
    statuses: Counter[int] = Counter()
    left = iter(rubbish)

    async def one_by_one() -> None:
        async with httpx.AsyncClient(timeout=30) as http:
            for body in left:
                answer = await http.post(
                    f"{daemon.url}/hooks/ledger", content=body, headers=sign(body)
                )
                statuses[answer.status_code] += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(one_by_one)
    return statuses


def idle(daemon: Daemon) -> bool:
    return daemon.rows("SELECT count(*) FROM inbox_event WHERE outcome IS NULL") == [(0,)]


def events(daemon: Daemon) -> int:
    ((count,),) = daemon.rows("SELECT count(*) FROM inbox_event")
    return int(count)


@pytest.mark.timeout(600)
async def test_signed_rubbish_is_acknowledged_and_each_body_is_kept_once(daemon: Daemon) -> None:
    print(f"ROUTER_SEED={SEED}")  # noqa: T201 - shown when it fails
    rubbish = bodies(COUNT)
    before = daemon.pid

    assert await send(daemon, rubbish) == {200: COUNT}

    await anyio.to_thread.run_sync(lambda: wait_for(lambda: idle(daemon), "all worked"))
    assert daemon.alive
    assert daemon.pid == before
    # Each body has a name of its own in it, or is known by its digest: a row for each.
    assert events(daemon) == len(set(rubbish)) == COUNT
    raw = {name for (name,) in daemon.rows(_RAW)}
    assert raw <= {f"raw:{hashlib.sha256(body).hexdigest()}" for body in rubbish}
    assert 0.1 * COUNT < len(raw) < 0.9 * COUNT  # of both sorts there were plenty
    assert daemon.rows("SELECT lane, seq, dead_error FROM inbox_event WHERE dead_at NOTNULL") == []

    again = rubbish[:: COUNT // 200]
    assert await send(daemon, again) == {200: len(again)}
    assert events(daemon) == COUNT
    assert daemon.stop() == 0


_RAW = "SELECT external_id FROM inbox_event WHERE lane = 'main/raw:ledger' AND type = 'unparsed'"


# --- what is refused

HOLA = {"id": "m1", "from": "tel:+573001234567", "text": "hola"}


def _padded(size: int) -> bytes:
    """Give a message of exactly so many bytes."""
    body = json.dumps(HOLA).encode()
    return body + b" " * (size - len(body))


BODY, SIGNED = signed(HOLA)
LARGE = _padded(65_537)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        pytest.param("POST", "ledger", BODY, {}, 403, id="unsigned"),
        pytest.param("POST", "ledger", BODY + b" ", SIGNED, 403, id="tampered"),
        pytest.param("POST", "ledger", b"", SIGNED, 403, id="emptied"),
        pytest.param("POST", "ledger", BODY, sign(BODY, "another"), 403, id="another secret"),
        pytest.param("POST", "ledger", BODY, {SIGNATURE: "no hex"}, 403, id="no signature"),
        pytest.param("POST", "ledger", BODY, {SIGNATURE: ""}, 403, id="empty signature"),
        pytest.param("POST", "ledger", LARGE, sign(LARGE), 413, id="too large"),
        pytest.param("POST", "ledgr", BODY, SIGNED, 404, id="unknown channel"),
        pytest.param("POST", "recepcion", BODY, SIGNED, 404, id="a tenant's channel"),
        pytest.param("POST", "clinica/ledger", BODY, SIGNED, 404, id="not that tenant's channel"),
        pytest.param("POST", "nobody/ledger", BODY, SIGNED, 404, id="unknown tenant"),
        pytest.param("POST", "", BODY, SIGNED, 404, id="nothing"),
        pytest.param("GET", "ledger", b"", sign(b""), 405, id="GET"),
        pytest.param("GET", "ledger", b"", {}, 403, id="unsigned GET"),
        pytest.param("PUT", "ledger", BODY, SIGNED, 405, id="PUT"),
    ],
)
def test_what_nobody_may_send_is_refused_without_a_row(
    shared: Daemon, method: str, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    url = f"{shared.url}/hooks/{path}"

    answer = httpx.request(method, url, content=body, headers=headers, timeout=30, verify=TLS)

    assert answer.status_code == status
    assert events(shared) == 0


def test_a_body_too_large_is_refused_even_if_its_length_is_not_announced(shared: Daemon) -> None:
    answer = httpx.post(
        f"{shared.url}/hooks/ledger",
        content=(LARGE[start : start + 4096] for start in range(0, len(LARGE), 4096)),
        headers=sign(LARGE),
        timeout=30,
    )

    assert answer.status_code == 413
    assert events(shared) == 0


def test_a_second_process_is_told_who_has_the_database(shared: Daemon) -> None:
    errors = shared.command("run", "--port", "0", status=1)

    assert re.findall(r"router\.db is in use by process (\d+)\.", errors) == [str(shared.pid)]
    assert "Traceback" not in errors
    assert shared.ready


def test_a_body_as_large_as_allowed_and_another_tenant_are_served(daemon: Daemon) -> None:
    body = _padded(65_536)
    for path in ("ledger", "clinica/recepcion"):
        url = f"{daemon.url}/hooks/{path}"
        assert httpx.post(url, content=body, headers=sign(body), timeout=30).status_code == 200

    tenants = daemon.rows("SELECT tenant, source, external_id FROM inbox_event ORDER BY tenant")
    assert tenants == [
        ("clinica", "clinica/recepcion", "message:m1"),
        ("main", "main/ledger", "message:m1"),
    ]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon for tests that leave nothing behind."""
    config = router_toml("http://127.0.0.1:9", server='max_body = "64 KiB"', more=TENANT)
    files = {"rules.toml": RULES, **ARTICLES}
    with folder_of(tmp_path_factory.mktemp("shared"), config, files) as daemon:
        daemon.start()
        yield daemon
        assert daemon.stop() == 0


# --- when the disk is full


def test_a_full_disk_is_answered_with_503_and_nothing_acknowledged_is_lost(daemon: Daemon) -> None:
    def deliver(number: int) -> httpx.Response:
        sender = f"tel:+57300{number:07}"
        return daemon.post({"id": f"m{number}", "from": sender, "text": "hola"})

    def acknowledges(number: int) -> bool:
        return deliver(number).status_code == 200

    acknowledged = [number for number in range(20) if acknowledges(number)]
    assert len(acknowledged) == 20
    wait_for(lambda: idle(daemon), "all worked")

    # The log of the database may still grow a little, and then no more.
    wal = daemon.database.with_name("router.db-wal")
    daemon.limit_files(wal.stat().st_size + 50_000)
    answers = {}
    for number in range(20, 400):
        answer = deliver(number)
        if answer.status_code == 200:
            acknowledged.append(number)
        else:
            answers[number] = answer
            if len(answers) == 5:
                break
    assert {answer.status_code for answer in answers.values()} == {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers.values())
    health = daemon.health()
    assert health is not None
    assert health[0] == 503
    assert "database" in health[1][0]

    daemon.limit_files(None)
    for number in answers:  # the provider sends again what was not acknowledged
        wait_for(partial(acknowledges, number), "acknowledged again")
        acknowledged.append(number)
    wait_for(lambda: daemon.ready, "ready again")
    wait_for(lambda: idle(daemon), "all worked")
    kept = daemon.rows("SELECT external_id, outcome FROM inbox_event ORDER BY received_at")
    assert sorted(kept) == sorted((f"message:m{number}", "reply") for number in acknowledged)
    wait_for(lambda: sent(daemon) == len(acknowledged), "all answered")
    assert daemon.stop() == 0


def test_what_a_provider_answered_while_the_disk_was_full_is_not_forgotten(
    tmp_path: Path,
) -> None:
    with (
        providers.running() as provider,
        folder_of(tmp_path, router_toml(provider.url), {"rules.toml": RULES, **ARTICLES}) as daemon,
    ):
        provider.misbehave(providers.slow(1.0))
        daemon.start()
        daemon.say("m1", "tel:+573001234567", "hola")
        wait_for(lambda: len(provider.received()) == 1, "received")
        daemon.limit_files(daemon.database.with_name("router.db-wal").stat().st_size)
        wait_for(lambda: "result not stored" in daemon.log, "the result cannot be stored")
        assert daemon.rows("SELECT state FROM outbox") == [("started",)]

        daemon.limit_files(None)
        wait_for(lambda: daemon.rows("SELECT state FROM outbox") != [("started",)], "stored")

        assert daemon.rows("SELECT state, attempt, provider_ref FROM outbox") == [
            ("done", 1, "ledger-0")
        ]
        assert len(provider.received()) == 1
        assert daemon.stop() == 0


def sent(daemon: Daemon) -> int:
    ((count,),) = daemon.rows("SELECT count(*) FROM outbox WHERE state = 'done'")
    return int(count)
