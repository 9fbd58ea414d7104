"""Name servers that say what a test wants, or nothing."""

import socket
import threading
from collections.abc import Mapping
from typing import Any


class Names:
    """A ``getaddrinfo``. A name leads to an address or fails with a number; any other is unknown.

    Names that begin with ``slow`` wait until :attr:`speak` is set; so do those in :attr:`silent`.
    """

    def __init__(self, says: Mapping[str, str | int] | None = None) -> None:
        self.says = dict(says or {})
        self.silent: set[str] = set()
        self.speak = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str, *_: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        if host in self.silent or host.startswith("slow"):
            self.speak.wait(120)
        said = self.says.get(host, socket.EAI_NONAME)
        if isinstance(said, int):
            raise socket.gaierror(said, "said the name server")
        if ":" in said:
            where = (said, 0, 0, 1 if said.startswith("fe80") else 0)
            return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", where)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (said, 0))]
