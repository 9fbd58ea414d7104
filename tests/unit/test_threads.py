"""Threads of one's own: so many at once, let go of when nobody waits, and never waited for."""

import asyncio
import subprocess
import sys
import threading

import anyio
import pytest

from router.threads import Threads
from tests.blocking import blocking


async def test_what_a_function_gives_or_raises_comes_back() -> None:
    threads = Threads(1)

    assert await threads.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    assert await threads.run(threading.get_ident) != threading.get_ident()


async def test_the_end_of_an_iterator_that_a_function_raises_comes_back_too() -> None:
    with pytest.raises(RuntimeError) as raised, anyio.fail_after(20):
        await Threads(1).run(lambda: next(iter(())))

    assert isinstance(raised.value.__cause__, StopIteration)


async def test_whoever_waits_no_longer_is_let_go_at_once() -> None:
    threads = Threads(2)
    with blocking() as library:
        with pytest.raises(TimeoutError), anyio.fail_after(0.1):
            await threads.run(library.call)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await threads.run(library.call)

        assert library.came_back == 0


async def test_a_thread_that_was_abandoned_counts_until_it_comes_back() -> None:
    threads, begun = Threads(2), 0

    def call() -> None:
        nonlocal begun
        begun += 1
        library.call()

    with blocking() as library:
        for _ in range(5):
            with anyio.move_on_after(0.05):
                await threads.run(call)
        assert begun == 2

    assert await threads.run(lambda: "free again") == "free again"


def test_a_process_ends_while_a_call_hangs() -> None:
    code = (
        "import asyncio, contextlib, time\n"
        "from router.threads import Threads\n"
        "async def main():\n"
        "    with contextlib.suppress(TimeoutError):\n"
        "        async with asyncio.timeout(0.1):\n"
        "            await Threads(1).run(lambda: time.sleep(3600))\n"
        "asyncio.run(main())\n"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=150)

    assert done.returncode == 0
