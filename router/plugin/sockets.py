"""Socket: an open WebSocket, as plugins see it."""

from typing import Protocol


class Socket(Protocol):
    """A WebSocket of ``context.websocket(…)``, open while its context is.

    One task may send while another receives; two must not do the same at once. Pings of the
    protocol are answered, and sent, by the host.

    .. versionadded:: 1.1
    """

    async def send(self, text: str) -> None:
        """Send one text message. That it left does not say that it arrived.

        :raises SocketClosed: if the connection has ended.
        """
        ...

    async def receive(self) -> str:
        """Wait for the next text message, without a limit: set one yourself.

        :raises SocketClosed: once the connection has ended, with its code and reason. A message
            of bytes, or one longer than ``max_size``, ends it.
        """
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye and end the connection; harmless where it has ended."""
        ...
