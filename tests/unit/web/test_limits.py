"""How fast webhooks may come: whom a flood stops, and whom it does not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.settings.values import Rate
from router.web import limits
from router.web.access import Networks, client_address
from router.web.limits import WebhookLimits
from tests.unit.web.world import FakeChannel, FakeHost, RecordingIntake, Verdict, settings

PHONE, CLINIC = FakeChannel("phone"), FakeChannel("phone", tenant="clinica")
THREE = Rate(3, 60.0)


@dataclass
class Ticking:
    """A clock that the test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def site(source: Rate | None = None, channel: Rate | None = None, **more: Any) -> FakeHost:
    channels = (PHONE, CLINIC)
    configured = settings(channels, webhook_rate=source, channel_rate=channel, **more)
    return FakeHost(channels=channels, settings=configured)


def scope(address: str = "203.0.113.7", **headers: str) -> dict[str, Any]:
    lines = [(name.replace("_", "-").encode(), it.encode()) for name, it in headers.items()]
    return {"type": "http", "client": (address, 1), "headers": lines, "http_version": "1.1"}


def watched(host: FakeHost, clock: Ticking) -> WebhookLimits:
    networks = Networks(lambda: host.settings.router.trusted_proxies)
    return WebhookLimits(cast("Any", host), networks, clock)


async def posted(client: httpx.AsyncClient, path: str, times: int) -> Sequence[int]:
    return [(await client.post(path, content=b"x")).status_code for _ in range(times)]


async def test_whoever_is_too_fast_is_told_when_to_try_again() -> None:
    host = site(source=THREE)
    async with host.client(peer="203.0.113.7") as client:
        fine = await posted(client, "/hooks/phone", 3)
        refused = await client.post("/hooks/phone", content=b"x" * 5000)

    assert fine == [200, 200, 200]
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert len(host.intake.received) == 3
    assert host.metrics.limited.values == {("main", "phone", "source"): 1}
    assert host.metrics.webhooks.values["main", "phone", "429"] == 1


async def test_a_flood_of_one_channel_leaves_the_others_alone() -> None:
    host = site(source=THREE)
    async with host.client(peer="203.0.113.7") as client:
        await posted(client, "/hooks/phone", 10)
        other_channel = await posted(client, "/hooks/clinica/phone", 1)
        nowhere = await posted(client, "/hooks/nobody", 4)
    async with host.client(peer="203.0.113.8") as client:
        other_app = await posted(client, "/hooks/phone", 1)

    assert (other_channel, other_app) == ([200], [200])
    assert nowhere == [404, 404, 404, 429]


async def test_a_channel_has_a_limit_over_all_addresses() -> None:
    host = site(channel=THREE)
    host.intake = RecordingIntake()
    clock = Ticking()
    flood = watched(host, clock)
    waits = []
    for n in range(5):
        wait = flood.wait(scope(f"203.0.113.{n}"), "main", "phone")
        waits.append(wait)
        if not wait:
            flood.signed("main", "phone")

    assert waits == [0, 0, 0, 20, 20]
    assert flood.wait(scope(), "clinica", "phone") == 0
    assert host.metrics.limited.values == {("main", "phone", "channel"): 2}


async def test_what_nobody_signed_uses_up_no_channel() -> None:
    host = site(channel=THREE)
    host.intake = RecordingIntake(Verdict(403))
    async with host.client(peer="203.0.113.7") as client:
        forged = await posted(client, "/hooks/phone", 10)
        host.intake.verdict = Verdict(200)
        real = await posted(client, "/hooks/phone", 4)

    assert forged == [403] * 10
    assert real == [200, 200, 200, 429]


async def test_a_limit_that_was_changed_is_in_force_at_once() -> None:
    host = site(channel=THREE)
    async with host.client(peer="203.0.113.7") as client:
        assert (await posted(client, "/hooks/phone", 4))[-1] == 429
        host.settings = settings((PHONE, CLINIC))
        assert await posted(client, "/hooks/phone", 4) == [200] * 4


@pytest.mark.parametrize("rate", [Rate(1, 1.0), Rate(3, 60.0), Rate(5000, 3600.0)], ids=str)
def test_so_many_at_once_and_so_many_in_each_period(rate: Rate) -> None:
    clock = Ticking()
    gate = watched(site(source=rate), clock)

    def let_in(times: int) -> int:
        return [gate.wait(scope(), "main", "phone") for _ in range(times)].count(0)

    assert let_in(rate.count + 5) == rate.count
    clock.now += rate.period / rate.count + 1e-6
    assert let_in(5) == 1
    clock.now += rate.period * 10
    assert let_in(rate.count + 5) == rate.count


@given(st.lists(st.floats(0, 30), max_size=60))
def test_whoever_waits_as_long_as_they_are_told_is_let_in(pauses: list[float]) -> None:
    clock = Ticking()
    gate = watched(site(source=THREE), clock)
    for pause in pauses:
        clock.now += pause
        wait = gate.wait(scope(), "main", "phone")
        if wait:
            clock.now += wait
            assert gate.wait(scope(), "main", "phone") == 0


def test_addresses_that_have_been_quiet_are_forgotten() -> None:
    clock = Ticking()
    gate = watched(site(source=THREE), clock)
    for n in range(limits._MOST):
        gate.wait(scope(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"), "main", "phone")
    assert len(gate._sources) == limits._MOST
    clock.now += 60
    gate.wait(scope("10.9.9.9"), "main", "phone")

    assert len(gate._sources) == 1


# Whose address it is ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "peer, headers, proxies, address",
    [
        ("203.0.113.7", {}, (), "203.0.113.7"),
        ("203.0.113.7", {"x_forwarded_for": "198.51.100.1"}, (), "203.0.113.7"),
        ("127.0.0.1", {}, (), None),
        ("127.0.0.1", {"x_forwarded_for": "198.51.100.1"}, (), None),
        ("::1", {}, (), None),
        ("::ffff:127.0.0.1", {}, (), None),
        ("::ffff:203.0.113.7", {}, (), "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", {}, (), "2001:db8:1:2::"),
        ("testclient", {}, (), "testclient"),
        ("127.0.0.1", {"x_forwarded_for": "198.51.100.1"}, ("127.0.0.1",), "198.51.100.1"),
        (
            "127.0.0.1",
            {"x_forwarded_for": "8.8.8.8, 198.51.100.1, 10.0.0.9"},
            ("127.0.0.1", "10.0.0.0/8"),
            "198.51.100.1",
        ),
        ("127.0.0.1", {"x_real_ip": "198.51.100.1"}, ("127.0.0.1",), "198.51.100.1"),
        ("127.0.0.1", {"forwarded": 'for="[2001:db8::1]:80"'}, ("127.0.0.1",), "2001:db8::"),
        ("127.0.0.1", {"x_forwarded_for": "nonsense"}, ("127.0.0.1",), None),
        ("10.0.0.1", {"x_forwarded_for": "nonsense"}, ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", {}, ("10.0.0.0/8",), "10.0.0.1"),
        ("127.0.0.1", {}, ("127.0.0.1",), None),
        ("203.0.113.7", {"x_forwarded_for": "198.51.100.1"}, ("127.0.0.1",), "203.0.113.7"),
    ],
)
def test_whose_request_it_is(
    peer: str, headers: dict[str, str], proxies: tuple[str, ...], address: str | None
) -> None:
    networks = Networks(lambda: proxies)

    assert client_address(scope(peer, **headers), networks) == address


def test_who_came_through_a_socket_without_addresses_is_not_counted() -> None:
    gate = watched(site(source=Rate(1, 60.0)), Ticking())
    nobody = {**scope(), "client": None}

    assert [gate.wait(nobody, "main", "phone") for _ in range(3)] == [0, 0, 0]


def test_the_machine_itself_is_not_counted() -> None:
    gate = watched(site(source=Rate(1, 60.0)), Ticking())

    assert [gate.wait(scope("127.0.0.1"), "main", "phone") for _ in range(3)] == [0, 0, 0]


def test_a_rate_prints_itself_as_it_is_written() -> None:
    assert [str(Rate(5, period)) for period in (1.0, 60.0, 3600.0)] == ["5/s", "5/m", "5/h"]
    assert replace(Rate(5, 1.0), count=6) == Rate(6, 1.0)
