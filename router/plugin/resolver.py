"""How names become addresses, so that a name server's silence holds up no other name.

Import it late, like :mod:`router.plugin.transport`: it brings aiohttp with it.
"""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache, partial
from threading import Lock
from time import monotonic
from typing import Any, Final, TypeAlias

import anyio
from aiohttp.abc import AbstractResolver, ResolveResult

from router.threads import begin

_AGAIN: Final = socket.EAI_AGAIN
#: There is no such name, or it has no address.
_NO_SUCH: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_MAX_KNOWN: Final = 1000
_NUMBERS: Final = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
_Key: TypeAlias = tuple[str, int]


class Resolver(AbstractResolver):
    """Looks names up with ``getaddrinfo``, each in a thread of its own that may get stuck.

    An event loop has a few threads for this and all else (uvloop four), and a look-up that nobody
    waits for any more keeps its thread until the name server's time is over.

    Guaranteed: while fewer than ``most`` look-ups are under way, no name waits for another. A name
    is looked up once at a time (and family), for all who ask. Who gives up ends its own wait only.
    A name that takes longer than ``patience`` seconds, fails for the moment or finds no thread
    leads where it led last, unless it was since said not to exist. Nothing here delays an exit.

    Not guaranteed: that an address is fresh, for a last one may be as old as the process. That a
    name which was not found before is looked up while ``most`` are: it fails at once. That a
    look-up ends: until it does, who asks for its name waits for it. Nor are fresh answers kept:
    aiohttp's connector does that, for ten seconds, and asks for no numbers.
    """

    def __init__(
        self, look_up: Callable[..., Any] | None = None, *, patience: float = 1.0, most: int = 32
    ) -> None:
        self._look_up, self._patience, self._most = look_up, patience, most
        self._lock = Lock()
        self._under_way: dict[_Key, tuple[float, Future[list[str]]]] = {}
        self._known: dict[_Key, list[str]] = {}  # the one found longest ago is the first

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Give the addresses of a name, in numbers, as the connector writes such down itself.

        :raises OSError: if it has none, or they cannot be had now (``EAI_AGAIN``).
        """
        found = ["127.0.0.1", "::1"] if host == "localhost" else await self._find((host, family))
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0)
            for each in found
        ]

    async def close(self) -> None:
        """Do nothing: whoever closes a connection is not alone in using this."""

    async def _find(self, key: _Key) -> list[str]:
        known = self._known.get(key, [])
        try:
            began, answer = self._join(key)
            with anyio.move_on_after(began + self._patience - monotonic() if known else None):
                return await asyncio.wrap_future(answer)
        except socket.gaierror as error:
            if error.errno != _AGAIN or not known:
                raise
        return known

    def _join(self, key: _Key) -> tuple[float, Future[list[str]]]:
        """Give the look-up of a name that is under way; begin it if none is."""
        with self._lock:
            if key not in self._under_way:
                if len(self._under_way) >= self._most:
                    raise socket.gaierror(_AGAIN, f"{self._most} other look-ups are under way")
                try:
                    answer = begin(partial(self._run, key))
                except RuntimeError as error:
                    raise socket.gaierror(_AGAIN, str(error)) from error
                self._under_way[key] = monotonic(), answer
            return self._under_way[key]

    def _run(self, key: _Key) -> list[str]:
        ask, (host, family) = self._look_up or socket.getaddrinfo, key
        wrong: Exception | None = None
        found: list[str] = []
        try:
            infos = ask(host, None, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
            found = [socket.getnameinfo(info[4], _NUMBERS)[0] for info in infos]
        except UnicodeError:  # a part of it is empty or too long
            wrong = socket.gaierror(socket.EAI_NONAME, "no name is written like this")
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
            wrong = error
        with self._lock:
            del self._under_way[key]
            if getattr(wrong, "errno", None) in _NO_SUCH:
                self._known.pop(key, None)
            if found:
                self._known[key] = found
            if len(self._known) > _MAX_KNOWN:
                del self._known[next(iter(self._known))]
        if wrong is not None:
            raise wrong
        return found


@cache
def shared_resolver() -> Resolver:
    """Give this process's resolver: threads that are stuck are counted over all that need one."""
    return Resolver()
