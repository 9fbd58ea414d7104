"""What an instance calls in threads: so many at once, whatever hangs, and never an endless wait."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio
import pytest

from router import plugin
from router.errors import NoConnection
from router.plugin.host import HostContext
from router.plugin.testing import FakeContext, RecordingLog
from router.plugin.threads import MOST
from tests.blocking import Library, blocking


def hosted(timeout: float = 3600.0) -> HostContext:
    return HostContext(
        name="x", log=RecordingLog(), public_url="https://desk.example", timeout=timeout
    )


@pytest.fixture(params=["host", "kit"])
async def context(request: pytest.FixtureRequest) -> AsyncIterator[plugin.PluginContext]:
    given = hosted() if request.param == "host" else FakeContext()
    yield given
    await given.aclose()


async def until_called(library: Library, times: int) -> None:
    with anyio.fail_after(20):
        while library.called < times:  # noqa: ASYNC110 - in threads
            await anyio.sleep(0.005)


async def give_up(context: plugin.PluginContext, library: Library, times: int) -> None:
    """Let calls hang, and wait for none of them any more."""
    async with anyio.create_task_group() as tasks:
        for _ in range(times):
            tasks.start_soon(context.in_thread, library.call)
        await until_called(library, min(times, MOST))
        tasks.cancel_scope.cancel()


async def test_an_instance_is_given_what_a_function_in_another_thread_gives_or_raises(
    context: plugin.PluginContext,
) -> None:
    assert await context.in_thread(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await context.in_thread(lambda: 1 // 0)


async def test_calls_that_never_come_back_hold_so_many_threads_and_no_more(
    context: plugin.PluginContext,
) -> None:
    with blocking() as library:
        await give_up(context, library, MOST + 4)
        for _ in range(MOST):
            with pytest.raises(plugin.Unavailable, match=f"{MOST} earlier calls hang") as told:
                await context.in_thread(library.call)
            assert type(plugin.classify(told.value)) is plugin.Unavailable  # the instance's failure

        assert (library.called, library.came_back) == (MOST, 0)

    with anyio.fail_after(20):
        while True:
            try:
                assert await context.in_thread(lambda: "free again") == "free again"
            except plugin.Unavailable:
                await anyio.sleep(0.005)
            else:
                break


async def test_an_instance_whose_threads_hang_keeps_no_other_waiting() -> None:
    with blocking() as library:
        await give_up(hosted(), library, MOST)

        assert await hosted().in_thread(lambda: "another's") == "another's"
        assert library.came_back == 0


async def test_a_busy_instance_says_after_half_its_timeout_that_nothing_was_called() -> None:
    context = hosted(timeout=0.2)
    with blocking() as library:
        async with anyio.create_task_group() as tasks:
            for _ in range(MOST):
                tasks.start_soon(context.in_thread, library.call)
            await until_called(library, MOST)

            with pytest.raises(NoConnection, match=f"all {MOST} threads of this instance are in"):
                await context.in_thread(library.call)

            assert (library.called, library.came_back) == (MOST, 0)
            library.let_go()

    assert library.came_back == MOST


async def test_who_waits_for_a_thread_no_longer_is_let_go_at_once_and_takes_none() -> None:
    context = hosted()
    with blocking() as library:
        async with anyio.create_task_group() as tasks:
            for _ in range(MOST):
                tasks.start_soon(context.in_thread, library.call)
            await until_called(library, MOST)

            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await context.in_thread(library.call)
            with anyio.move_on_after(0.05) as waited:
                await context.in_thread(library.call)

            assert waited.cancelled_caught
            assert (library.called, library.came_back) == (MOST, 0)
            library.let_go()

    async with anyio.create_task_group() as tasks:  # all of them are free again, all at once
        barrier = threading.Barrier(MOST)
        for _ in range(MOST):
            tasks.start_soon(context.in_thread, lambda: barrier.wait(20))


@contextmanager
def no_more_threads() -> Iterator[None]:
    """Have the machine refuse threads: none can have a stack of 64 TiB."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)


async def test_a_process_that_gets_no_more_threads_has_called_nothing_and_lost_none() -> None:
    context, called = hosted(), []
    with no_more_threads():
        for _ in range(MOST + 1):
            with pytest.raises(NoConnection, match="there is no thread for it"):
                await context.in_thread(lambda: called.append(1))

    assert called == []
    assert await context.in_thread(lambda: "free") == "free"


async def test_an_instance_that_is_closed_calls_nothing_any_more() -> None:
    context = hosted()
    await context.aclose()

    with pytest.raises(RuntimeError, match="'x' is closed"):
        await context.in_thread(lambda: None)


def test_a_process_ends_while_every_thread_of_an_instance_hangs() -> None:
    code = (
        "import asyncio, threading\n"
        "from router.plugin.testing import FakeContext\n"
        "from router.plugin.threads import MOST\n"
        "async def main():\n"
        "    context, begun = FakeContext(), threading.Barrier(MOST + 1)\n"
        "    def hang():\n"
        "        begun.wait()\n"
        "        threading.Event().wait()\n"
        "    calls = [asyncio.ensure_future(context.in_thread(hang)) for _ in range(MOST)]\n"
        "    await asyncio.to_thread(begun.wait)\n"
        "asyncio.run(main())\n"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=150)

    assert done.returncode == 0
