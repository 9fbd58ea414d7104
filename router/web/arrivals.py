"""How requests of ``router doctor`` arrived, and which process they arrived at.

The doctor asks for a page at the public URL with a word of its own in a header, and then asks at
this machine's own address how that request came in: that is what the proxies in between do.
"""

import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from router.web.asgi import Scope, headers_of

#: The header with the doctor's word, in a request that goes the way that webhooks take.
MARK: Final = "x-router-doctor"
#: The header with the same word, in the question how that request arrived.
ASKED: Final = "x-router-doctor-asks"

_WORD: Final = re.compile(r"[0-9a-f]{32}")
#: So many requests are remembered: whoever else sends the header can make us forget, no more.
_MOST: Final = 16
_LONGEST: Final = 300
_TOLD: Final = (
    "host",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-real-ip",
    "forwarded",
    "via",
)


class Arrivals:
    """Remembers the last requests that carry a doctor's word.

    :ivar instance: a name of this process that nobody can guess; it says nothing about it.
    """

    def __init__(self) -> None:
        self.instance = secrets.token_hex(8)
        self._seen: OrderedDict[str, dict[str, str]] = OrderedDict()

    def note(self, scope: Scope) -> None:
        """Remember a request, if it has a doctor's word."""
        headers = headers_of(scope)
        word = headers.get(MARK, "")
        if not _WORD.fullmatch(word):
            return
        client = scope.get("client")
        seen = {"peer": str(client[0]) if client else "", "http": scope.get("http_version", "")}
        seen |= {name: headers[name][:_LONGEST] for name in _TOLD if name in headers}
        self._seen[word] = seen
        while len(self._seen) > _MOST:
            self._seen.popitem(last=False)

    def asked(self, scope: Scope) -> Mapping[str, str] | None:
        """Give how the request arrived that is asked for; ``None`` where none is."""
        word = headers_of(scope).get(ASKED)
        return None if word is None else self._seen.get(word)
