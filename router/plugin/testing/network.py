"""No test of a plugin reaches beyond this machine."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any
from unittest import mock


class NetworkUsedError(AssertionError):
    """A plugin tried to reach the network other than by ``context.http``."""


@contextmanager
def no_network() -> Iterator[None]:
    """Refuse every connection and name look-up beyond loopback while inside.

    :raises NetworkUsedError: in the code that tries, and at the end if that code swallowed it.
    """
    attempts: list[str] = []
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    look_up = socket.getaddrinfo

    def refuse(host: object) -> None:
        name = host.decode("latin-1") if isinstance(host, bytes) else str(host or "")
        if not _is_local(name):
            attempts.append(name)
            raise NetworkUsedError(f"it tried to reach {name} other than by context.http")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        refuse(address[0] if isinstance(address, tuple) else "localhost")
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        refuse(address[0] if isinstance(address, tuple) else "localhost")
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        refuse(host)
        return look_up(host, *args, **kwargs)

    try:
        with (
            mock.patch.object(socket.socket, "connect", guarded_connect),
            mock.patch.object(socket.socket, "connect_ex", guarded_connect_ex),
            mock.patch.object(socket, "getaddrinfo", guarded_look_up),
        ):
            yield
    finally:
        if attempts:  # whatever the code under test made of it
            message = f"it tried to reach {', '.join(attempts)} other than by context.http"
            raise NetworkUsedError(message)


def _is_local(host: str) -> bool:
    if host in {"", "localhost"}:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
