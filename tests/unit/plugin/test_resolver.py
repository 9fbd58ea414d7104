"""How names become addresses while name servers are silent, fail, or change their mind."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio.lowlevel
import pytest

from router.plugin.resolver import Resolver
from tests.names import Names

HERE = "192.0.2.1"
THERE = "192.0.2.2"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def names() -> Iterator[Names]:
    names = Names({"good": HERE})
    yield names
    names.speak.set()


async def addresses(resolver: Resolver, host: str) -> list[str]:
    with anyio.fail_after(60):
        return [each["host"] for each in await resolver.resolve(host, 443, socket.AF_UNSPEC)]


async def failure(resolver: Resolver, host: str) -> int | None:
    with pytest.raises(socket.gaierror) as raised:
        await addresses(resolver, host)
    return raised.value.errno


async def until_asked(names: Names, count: int) -> None:
    with anyio.fail_after(60):
        while len(names.asked) < count:  # noqa: ASYNC110 - in threads
            await anyio.sleep(0.005)


@asynccontextmanager
async def waiting(resolver: Resolver, *hosts: str) -> AsyncIterator[list[asyncio.Task[list[str]]]]:
    """Let somebody wait for each of these names."""
    tasks = [asyncio.create_task(addresses(resolver, host)) for host in hosts]
    await anyio.lowlevel.checkpoint()
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_silent_name_servers_hold_up_no_other_name(names: Names) -> None:
    resolver = Resolver(names)
    async with waiting(resolver, *(f"slow{n}" for n in range(20))) as tasks:
        await until_asked(names, 20)

        assert await addresses(resolver, "good") == [HERE]
        assert not any(task.done() for task in tasks)


async def test_a_name_is_looked_up_once_for_all_who_ask_for_it(names: Names) -> None:
    resolver = Resolver(names)
    names.says["slow"] = HERE
    ports = (80, 443, 443, 5061)
    async with asyncio.timeout(60):
        asking = [asyncio.create_task(resolver.resolve("slow", port)) for port in ports]
        await anyio.lowlevel.checkpoint()
        names.speak.set()
        found = await asyncio.gather(*asking)

    assert [(each["host"], each["port"]) for (each,) in found] == [(HERE, port) for port in ports]
    assert names.asked == ["slow"]


async def test_who_gives_up_ends_its_own_wait_only(names: Names) -> None:
    resolver = Resolver(names)
    names.says["slow"] = HERE
    async with waiting(resolver, "slow", "slow") as (impatient, patient):
        await until_asked(names, 1)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await resolver.resolve("slow", 0, socket.AF_UNSPEC)
        names.speak.set()

        assert await patient == [HERE]

    assert names.asked == ["slow"]


async def test_a_name_that_takes_long_leads_where_it_led_last_until_it_is_found(
    names: Names,
) -> None:
    resolver = Resolver(names, patience=0.01)
    assert await addresses(resolver, "good") == [HERE]
    names.silent.add("good")
    names.says["good"] = THERE

    assert [await addresses(resolver, "good") for _ in range(3)] == [[HERE]] * 3
    await until_asked(names, 2)
    assert names.asked == ["good", "good"]  # not once more for each

    names.speak.set()
    with anyio.fail_after(60):
        while await addresses(resolver, "good") != [THERE]:
            pass


async def test_a_failure_of_the_moment_leads_where_the_name_led_last(names: Names) -> None:
    resolver = Resolver(names)
    assert await addresses(resolver, "good") == [HERE]
    names.says = {"good": socket.EAI_AGAIN, "other": socket.EAI_AGAIN}

    assert await addresses(resolver, "good") == [HERE]
    assert await failure(resolver, "other") == socket.EAI_AGAIN


async def test_a_name_that_is_said_not_to_exist_leads_nowhere_from_then_on(names: Names) -> None:
    resolver = Resolver(names, patience=60)
    assert await addresses(resolver, "good") == [HERE]
    names.says["good"] = socket.EAI_NONAME
    assert await failure(resolver, "good") == socket.EAI_NONAME

    names.says["good"] = socket.EAI_AGAIN
    assert await failure(resolver, "good") == socket.EAI_AGAIN


async def test_a_name_that_is_said_late_not_to_exist_leads_nowhere_either(names: Names) -> None:
    resolver = Resolver(names, patience=0.01)
    assert await addresses(resolver, "good") == [HERE]
    names.says["good"] = socket.EAI_NONAME
    names.silent.add("good")
    assert await addresses(resolver, "good") == [HERE]
    await until_asked(names, 2)

    names.speak.set()
    with anyio.fail_after(60):
        while names.asked == ["good"] * 2:
            with contextlib.suppress(socket.gaierror):
                await addresses(resolver, "good")
    assert await failure(resolver, "good") == socket.EAI_NONAME


async def test_too_many_stuck_names_fail_a_new_one_at_once_and_no_known_one(names: Names) -> None:
    resolver = Resolver(names, most=2)
    assert await addresses(resolver, "good") == [HERE]
    async with waiting(resolver, "slow1", "slow2") as stuck:
        with pytest.raises(socket.gaierror, match="2 other look-ups are under way") as raised:
            await addresses(resolver, "new")
        assert raised.value.errno == socket.EAI_AGAIN
        assert await addresses(resolver, "good") == [HERE]
        assert names.asked.count("new") == 0

        names.says["new"] = THERE
        names.speak.set()
        await asyncio.gather(*stuck, return_exceptions=True)

    assert await addresses(resolver, "new") == [THERE]


async def test_the_names_found_longest_ago_are_forgotten(names: Names) -> None:
    resolver = Resolver(names)
    others = [f"host{n}" for n in range(1000)]
    names.says |= dict.fromkeys(others, THERE)
    for name in ["good", *others]:
        await addresses(resolver, name)
    names.says = dict.fromkeys(["good", *others], socket.EAI_AGAIN)

    assert await failure(resolver, "good") == socket.EAI_AGAIN
    assert await addresses(resolver, others[-1]) == [THERE]


async def test_localhost_is_looked_up_nowhere(names: Names) -> None:
    assert await addresses(Resolver(names), "localhost") == ["127.0.0.1", "::1"]
    assert names.asked == []


async def test_an_address_that_needs_its_interface_has_it(names: Names) -> None:
    names.says = {"printer.local": "fe80::1", "v6": "2001:db8::1"}
    (link,) = await addresses(Resolver(names), "printer.local")

    assert link.startswith("fe80::1%")
    assert await addresses(Resolver(names), "v6") == ["2001:db8::1"]


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..example"])
async def test_what_can_be_no_name_is_told_as_one_that_does_not_exist(name: str) -> None:
    assert await failure(Resolver(), name) == socket.EAI_NONAME


async def test_whatever_goes_wrong_is_told_and_holds_no_place() -> None:
    def broken(*_: object) -> list[tuple[object, ...]]:
        raise AssertionError("out of order")

    resolver = Resolver(broken, most=1)
    for name in ("one", "two"):
        with pytest.raises(AssertionError, match="out of order"):
            await addresses(resolver, name)


STUCK = """
import asyncio, time
from router.plugin.resolver import Resolver

async def main():
    resolver = Resolver(lambda *_: time.sleep(600))
    try:
        async with asyncio.timeout(0.1):
            await resolver.resolve("slow")
    except TimeoutError:
        print("given up")

asyncio.run(main())
"""


def test_a_process_does_not_wait_for_a_name_to_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=120, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "given up\n", "")
