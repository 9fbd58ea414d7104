"""Server-sent events: a page stays as fresh as what this node commits."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

import anyio
from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from router.storage.store import Change
    from router.web.host import WebHost

#: How long a burst of changes is gathered before the page is drawn again, in seconds.
_GATHER: Final = 0.05
#: How often a silent stream says that it is alive, in seconds.
_PING: Final = 15.0
#: How soon a stream notices that the daemon drains, in seconds.
_TICK: Final = 0.5


def event(data: str) -> bytes:
    """Give one unnamed server-sent event."""
    # Not splitlines(): it breaks at characters that are no line ends in a stream, and loses them.
    plain = data.replace("\r\n", "\n").replace("\r", "\n")
    lines = "".join(f"data: {line}\n" for line in plain.split("\n"))
    return f"{lines}\n".encode()


class LiveResponse(StreamingResponse):
    """A stream of fragments: the present state at once, then a new one whenever it differs.

    Every fragment is whole, so it does no harm that changes may be missed under load, or that a
    reader comes back after a while. The stream ends when the reader leaves or the daemon drains.

    :param draw: gives the fragment as it is now.
    :param concerns: says whether a change may have altered it.
    """

    def __init__(
        self,
        host: "WebHost",
        *,
        draw: Callable[[], Awaitable[str]],
        concerns: "Callable[[Change], bool]",
    ) -> None:
        super().__init__(
            _fragments(host, draw, concerns),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


async def _fragments(
    host: "WebHost",
    draw: Callable[[], Awaitable[str]],
    concerns: "Callable[[Change], bool]",
) -> AsyncIterator[bytes]:
    # Listen first, then draw: nothing falls between the two.
    subscription = host.store.subscribe()
    try:
        shown = await draw()
        yield event(shown)
        quiet_since = host.clock.monotonic()
        while not host.draining:
            changed = False
            with anyio.move_on_after(_TICK):
                changed = concerns(await anext(subscription))
            if changed:
                with anyio.move_on_after(_GATHER):
                    while True:
                        concerns(await anext(subscription))
                fresh = await draw()
                if fresh != shown:
                    shown = fresh
                    yield event(shown)
                    quiet_since = host.clock.monotonic()
                    continue
            if host.clock.monotonic() - quiet_since >= _PING:
                yield b": still here\n\n"
                quiet_since = host.clock.monotonic()
    except StopAsyncIteration:
        return
    finally:
        subscription.close()
