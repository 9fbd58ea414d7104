"""Who is this machine: the rule for the simulator, and for channels that sign nothing.

Anybody who reaches such a page can speak as any customer. Until people log in, being on the
machine itself is the only proof there is, so everything that hints at a stranger refuses: a proxy
in between, a name that only happens to resolve to here (DNS rebinding), another site's page
posting through the visitor's browser.
"""

from collections.abc import Callable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from router.web.asgi import Scope, headers_of

_Ip: TypeAlias = IPv4Address | IPv6Address
_Net: TypeAlias = IPv4Network | IPv6Network

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

NOT_LOCAL: Final = "This is served to the router's own machine only."
FORWARDED: Final = (
    "This is served to the router's own machine only, and the request came through a proxy. "
    "Open it at the router's own address, or name the proxy in [router] trusted_proxies."
)
WRONG_HOST: Final = (
    "This is served under a loopback name only. Open it as http://127.0.0.1 or http://localhost."
)
CROSS_SITE: Final = "This request was made by another site's page, so it is refused."


class Networks:
    """The networks of the trusted proxies, read once for each configuration.

    :param trusted_proxies: gives ``[router] trusted_proxies`` as configured now.
    """

    def __init__(self, trusted_proxies: Callable[[], Sequence[str]]) -> None:
        self._trusted_proxies = trusted_proxies
        self._read: tuple[Sequence[str], tuple[_Net, ...]] = ((), ())

    def __call__(self) -> tuple[_Net, ...]:
        proxies = self._trusted_proxies()
        if self._read[0] is not proxies:
            self._read = (proxies, tuple(ip_network(text, strict=False) for text in proxies))
        return self._read[1]


def client_address(scope: Scope, networks: Networks) -> str | None:
    """Give who asks, for counting: an IPv4 address, or the /64 that an IPv6 address is in.

    ``None`` for this machine: something here, or a proxy or tunnel that nobody told us of and
    behind which everybody would be one. What a trusted proxy says is believed; of several the last
    one's word counts that is not about another trusted one.
    """
    client = scope.get("client")
    if not client:
        return None
    text: str = client[0]
    trusted = networks()
    if trusted:
        peer = _ip(text)
        if peer is not None and _in(peer, trusted):
            text = _vouched(_chains(headers_of(scope)), trusted, text)
    elif ":" not in text:  # the most frequent case, without reading the address
        return None if text.startswith("127.") else text
    address = _ip(text)
    if address is None:
        return text
    if address.is_loopback:
        return None
    if isinstance(address, IPv6Address):
        return str(IPv6Address(int(address) >> 64 << 64))
    return str(address)


def _vouched(chains: list[list[str]], trusted: tuple[_Net, ...], peer: str) -> str:
    """Give the nearest address that is no trusted proxy's, as the proxies tell it."""
    for text in reversed(chains[0]):
        address = _ip(_without_port(text))
        if address is None:
            break
        if not _in(address, trusted):
            return str(address)
    return peer


class LocalOnly:
    """Decides whether a request was made on this machine.

    :param trusted_proxies: gives ``[router] trusted_proxies`` as configured now.
    """

    def __init__(self, trusted_proxies: Callable[[], Sequence[str]]) -> None:
        self._networks = Networks(trusted_proxies)

    def refusal(self, scope: Scope) -> str | None:
        """Say in a sentence why a request is refused with 403; ``None`` lets it in."""
        client = scope.get("client")
        peer = _ip(client[0]) if client else None
        if peer is None or not peer.is_loopback:
            return NOT_LOCAL
        headers = headers_of(scope)
        hosts = [headers.get("host", "")]
        if _went_through_a_proxy(scope, headers):
            networks = self._networks()
            if not _in(peer, networks):
                return FORWARDED
            if not all(_is_here(chain, networks) for chain in _chains(headers)):
                return NOT_LOCAL
            hosts += _names(headers.get("x-forwarded-host", ""))
        if not all(is_loopback_host(host) for host in hosts):
            return WRONG_HOST
        if scope["method"] not in _SAFE_METHODS and _is_cross_site(headers, hosts):
            return CROSS_SITE
        return None


def is_loopback_host(host: str) -> bool:
    """Say whether a ``Host`` header names this machine, whatever the port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        urlsplit(f"//{host}").port  # noqa: B018  a port that is none raises
    except ValueError:
        return False
    if "@" in host or "/" in host:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _ip(name)
    return address is not None and address.is_loopback


def _went_through_a_proxy(scope: Scope, headers: dict[str, str]) -> bool:
    """Look for any trace of a proxy.

    Some proxies add no header unless told to. One that speaks HTTP/1.0, as nginx did before 1.29.7,
    is known by that: no browser has spoken it for decades. One that speaks HTTP/1.1 and asks under
    our own name, as nginx does since, cannot be told from a program on this machine; ``router
    doctor`` finds it by asking at the public URL.
    """
    return scope.get("http_version") == "1.0" or any(
        name in ("forwarded", "via", "x-real-ip") or name.startswith("x-forwarded-")
        for name in headers
    )


def _chains(headers: dict[str, str]) -> list[list[str]]:
    """Give each account of who asked, from the client to the last proxy."""
    chains = [_names(headers[name]) for name in ("x-forwarded-for", "x-real-ip") if name in headers]
    if "forwarded" in headers:  # RFC 7239: for=192.0.2.1;proto=https, for="[2001:db8::1]:80"
        pairs = (
            pair.strip().partition("=")
            for element in headers["forwarded"].split(",")
            for pair in element.split(";")
        )
        chains.append([value.strip('"') for name, _, value in pairs if name.lower() == "for"])
    return chains or [[]]  # a proxy that does not say for whom it asks asks for a stranger


def _is_here(chain: list[str], trusted: tuple[_Net, ...]) -> bool:
    """Say whether the nearest address that no trusted proxy vouches away is this machine."""
    address = None
    for text in reversed(chain):
        address = _ip(_without_port(text))
        if address is None or not _in(address, trusted):
            break
    return address is not None and address.is_loopback


def _is_cross_site(headers: dict[str, str], hosts: list[str]) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    scheme, _, authority = origin.partition("://")
    return scheme not in ("http", "https") or authority.lower() not in [
        host.lower() for host in hosts
    ]


def _names(header: str) -> list[str]:
    return [name.strip() for name in header.split(",") if name.strip()]


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _ip(text: str) -> _Ip | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _in(address: _Ip, networks: tuple[_Net, ...]) -> bool:
    return any(address in network for network in networks)
