"""The way that webhooks take: the public URL, whether it leads here, and what the proxy says."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio

from router.clock import Clock
from router.web.access import is_loopback_host
from router.web.arrivals import ASKED, MARK
from router.web.doctor.diagnosis import Diagnosis, Level, Lines
from router.web.doctor.local import local_things
from router.web.findings import ahead, public_url_finding

if TYPE_CHECKING:
    import httpx

    from router.settings.model import Settings

_PROXY_WORDS: Final = ("x-forwarded-for", "x-real-ip", "forwarded", "via", "x-forwarded-proto")
_FOR_WHOM: Final = {"x-forwarded-for", "x-real-ip", "forwarded"}
_LIVE: Final = "/health/live"
#: How long an answer may take as a whole, in seconds, and how much of it is read, in bytes:
#: whoever answers may be anybody.
_PATIENCE: Final = 20.0
_LONGEST: Final = 1 << 16


def _elsewhere(public_url: str, answer: "_Answer") -> str | None:
    """Give the public URL to which a redirect leads; ``None`` if it leads to something else.

    Whoever moved only the name asks for the same path there; everything else is a page to log in
    at, a warning, or a shop's front.
    """
    try:
        target = urlsplit(answer.location)
        named, _ = target.hostname, target.port
    except ValueError:
        return None
    path = urlsplit(public_url).path
    if target.scheme != "https" or not named or "@" in target.netloc or target.query:
        return None
    if target.path != path + answer.path:
        return None
    found = f"https://{target.netloc}{path}"
    return None if found == public_url else found


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an address answered.

    :param path: what was asked for, below the public URL.
    :param instance: the process that answered, if it was a router.
    :param beginning: of the body.
    :param date: the header ``Date``.
    """

    path: str
    status: int
    instance: str | None
    body: Mapping[str, Any]
    beginning: bytes
    date: str
    location: str


class Site:
    """Looks at the public URL from this machine.

    :param base: where the router listens on this machine, such as ``http://127.0.0.1:8000``.
    :param several: other nodes may answer at the public URL, too.
    """

    def __init__(
        self,
        settings: "Settings",
        lines: Lines,
        client: "httpx.AsyncClient",
        clock: Clock,
        *,
        base: str,
        several: bool = False,
    ) -> None:
        self._settings = settings
        self._lines = lines
        self._client = client
        self._clock = clock
        self._base = base
        self._several = several
        self._word = secrets.token_hex(16)
        #: How many seconds our clock is ahead of the public URL's answer.
        self.skew: float | None = None

    async def examined(self, paths: Sequence[str], local: Sequence[str] = ()) -> list[Diagnosis]:
        """Look at everything that can be seen from here.

        :param paths: those of self-tests, for where a proxy lets only ``/hooks/`` through; empty
            if no channel needs a way in.
        :param local: those of self-tests of channels that are for this machine only.
        """
        found = [self._public_url(needed=bool(paths)), *self._trusted()]
        here, _ = await self._ask(self._base, _LIVE)
        name = None if here is None else here.instance
        if name is None:
            says = (
                f"No router answers at {self._base}. Start it, so that the way to it can be tried."
            )
            found.append(Diagnosis(check="running", level=Level.WARNING, says=says))
        else:
            says = f"The router answers at {self._base}."
            found.append(Diagnosis(check="running", level=Level.OK, says=says))
        if not is_loopback_host(urlsplit(self._settings.router.public_url).netloc):
            if paths:
                found += await self._from_outside(name, paths)
            found += await self._open(local)
        return found

    def _public_url(self, *, needed: bool) -> Diagnosis:
        url = self._settings.router.public_url
        finding = public_url_finding(url, local_only=not needed)
        says = finding.says
        if not needed:
            says = "No channel has a provider that calls, so no public address is needed."
        parts, change = urlsplit(url), None
        if finding.ok is False:
            named = (
                "https://YOUR-ADDRESS"
                if is_loopback_host(parts.netloc)
                else f"https://{parts.netloc}{parts.path}"
            )
            change = f'public_url = "{named}"'
        return Diagnosis(
            check="public_url",
            level=Level.OK if finding.ok else Level.WRONG,
            says=says if finding.ok is False or not needed else f"{says[:-1]}: {url}",
            place=self._lines.single("router", "public_url") if change else None,
            change=change,
        )

    def _trusted(self) -> list[Diagnosis]:
        everybody = [
            text
            for text in self._settings.router.trusted_proxies
            if ip_network(text, strict=False).prefixlen == 0
        ]
        if not everybody:
            return []
        says = (
            f'trusted_proxies has "{everybody[0]}", so everybody is believed who claims to be a '
            "proxy. Name the proxy's own address."
        )
        place = self._lines.single("router", "trusted_proxies")
        return [Diagnosis(check="trusted_proxies", level=Level.WRONG, says=says, place=place)]

    async def _from_outside(self, name: str | None, paths: Sequence[str]) -> list[Diagnosis]:
        public = self._settings.router.public_url
        answers = []
        for path in (_LIVE, *paths):
            answer, error = await self._ask(public, path, {MARK: self._word})
            if answer is None:
                return [self._unreachable(*(error or ("", False)))]
            answers.append(answer)
            if answer.instance is not None:
                self.skew = ahead(self._clock, answer.date)
                found = [self._compared(answer.instance, name)]
                if answer.instance == name:
                    found += await self._proxy()
                return found
        return [self._stranger(answers, running=name is not None)]

    async def _ask(
        self, where: str, path: str, headers: Mapping[str, str] | None = None
    ) -> tuple[_Answer | None, tuple[str, bool] | None]:
        """Give what an address answers, or why it does not, and whether that is no accident."""
        import aiohttp
        import httpx

        beginning = b""
        try:
            with anyio.fail_after(_PATIENCE):
                async with self._client.stream("GET", where + path, headers=headers) as response:
                    async for piece in response.aiter_bytes():
                        beginning += piece
                        if len(beginning) > _LONGEST:
                            break
        except TimeoutError:
            return None, (f"no whole answer within {_PATIENCE:g} s", False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            cause = error.__cause__
            certificate = isinstance(
                cause, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError
            )
            return None, (" ".join(str(error).split()) or type(error).__name__, certificate)
        try:
            body = json.loads(beginning)
        except (ValueError, RecursionError):
            body = None
        known = body if isinstance(body, dict) else {}
        instance = known.get("instance")
        return _Answer(
            path=path,
            status=response.status_code,
            instance=instance if isinstance(instance, str) else None,
            body=known,
            beginning=beginning,
            date=response.headers.get("Date", ""),
            location=response.headers.get("Location", ""),
        ), None

    def _reached(self, level: Level, says: str, change: str | None = None) -> Diagnosis:
        place = None if level is Level.OK else self._lines.single("router", "public_url")
        return Diagnosis(check="reachable", level=level, says=says, place=place, change=change)

    def _unreachable(self, reason: str, certificate: bool) -> Diagnosis:  # noqa: FBT001
        public = self._settings.router.public_url
        if certificate:
            return self._reached(
                Level.WRONG,
                f"{public} has no certificate that can be trusted, and no provider calls an "
                f"address without one: {reason}",
            )
        return self._reached(
            Level.WARNING,
            f"{public} cannot be reached from this machine: {reason}. That may be fine: many "
            "networks do not let a machine reach its own public address, or its name means "
            "nothing inside. Open a channel's address with /test behind it from elsewhere, such "
            "as a telephone without the office's network.",
        )

    def _compared(self, answered: str, name: str | None) -> Diagnosis:
        public = self._settings.router.public_url
        if answered == name:
            return self._reached(Level.OK, f"{public} leads to this router.")
        if name is None:
            return self._reached(
                Level.WARNING,
                f"A router answers at {public}, and none at {self._base}: whether it is this one "
                "cannot be told from here.",
            )
        if self._several:
            return self._reached(
                Level.WARNING,
                f"A router answers at {public}, and not this process: another node of this "
                "database, if all is well.",
            )
        return self._reached(
            Level.WRONG,
            f"Another router answers at {public} than at {self._base}. The proxy or tunnel leads "
            "to another machine, port or process.",
        )

    def _stranger(self, answers: Sequence[_Answer], *, running: bool) -> Diagnosis:
        public, last = self._settings.router.public_url, answers[-1]
        if 300 <= last.status < 400:
            found = _elsewhere(public, last)
            then = (
                "Let the proxy pass webhooks on; a page to log in at must not stand before them."
                if found is None
                else "Name the address that it leads to, or let the proxy pass webhooks on."
            )
            return self._reached(
                Level.WRONG,
                f"{public} answers with a redirect ({last.status}), and providers follow none. "
                f"{then}",
                None if found is None else f"public_url = {json.dumps(found)}",
            )
        if last.status >= 500:
            says = (
                f"{public} answers {last.status}: the proxy or tunnel is there, and finds no router"
            )
            if running:
                port = urlsplit(self._base).port
                return self._reached(
                    Level.WRONG, f"{says}, though one runs. Let it lead to port {port}."
                )
            return self._reached(Level.WARNING, f"{says}, and none runs here. Start it.")
        return self._reached(
            Level.WRONG,
            f"Something answers at {public} ({last.status}), and it is no router of this version. "
            "The address belongs to something else, or the proxy does not pass on /hooks/.",
        )

    async def _open(self, local: Sequence[str]) -> list[Diagnosis]:
        """Look whether what is for this machine only is to be had at the public URL."""
        public, marked = self._settings.router.public_url, {MARK: self._word}
        answer, _ = await self._ask(public, _LIVE, marked)
        if answer is None:
            return []
        place = self._lines.single("router", "public_url")
        found = []
        for each in local_things(local, metrics=self._settings.server.metrics):
            for path, sign in each.signs.items():
                answer, _ = await self._ask(public, path, marked)
                if answer is not None and answer.status == 200 and sign in answer.beginning:
                    found.append(each.open_at(f"{public}{path}", place))
                    break
        if found and _FOR_WHOM & (await self._arrived() or {}).keys():
            return []  # the proxy says that it is this machine that asks, and is believed
        return found

    async def _arrived(self) -> dict[str, str] | None:
        """Give how the last request arrived that had our word."""
        answer, _ = await self._ask(self._base, _LIVE, {ASKED: self._word})
        arrived = None if answer is None else answer.body.get("arrived")
        if not isinstance(arrived, dict):
            return None
        return {str(name): str(value) for name, value in arrived.items()}

    async def _proxy(self) -> list[Diagnosis]:
        """Compare ``trusted_proxies`` with how the request arrived that was just made."""
        arrived = await self._arrived()
        return [] if arrived is None else [self.proxy_of(arrived)]

    def proxy_of(self, arrived: Mapping[str, str]) -> Diagnosis:
        """Compare ``trusted_proxies`` with what the proxy sends.

        :param arrived: what the router noted; see :class:`~router.web.arrivals.Arrivals`.
        """
        trusted = self._settings.router.trusted_proxies
        place = self._lines.single("router", "trusted_proxies")
        peer = arrived.get("peer", "")
        told = [name for name in _PROXY_WORDS if name in arrived]

        def found(level: Level, says: str, change: str | None = None) -> Diagnosis:
            where = None if level is Level.OK else place
            return Diagnosis(
                check="trusted_proxies", level=level, says=says, place=where, change=change
            )

        try:
            address = ip_address(peer)
            mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
            networks = [ip_network(text, strict=False) for text in trusted]
            known = any((mapped or address) in network for network in networks)
            peer = str(mapped or address)
        except ValueError:
            known = False
        if not known and (told or arrived.get("http") == "1.0"):
            names = json.dumps([*trusted, peer], ensure_ascii=False)
            return found(
                Level.WARNING,
                f"Requests come in through a proxy at {peer}, which trusted_proxies does not name. "
                "It is not believed for whom it asks: everybody behind it counts as one address.",
                f"trusted_proxies = {names}",
            )
        if known and not _FOR_WHOM & set(told):
            return found(
                Level.WARNING,
                f"The proxy at {peer} is trusted, and does not say for whom it asks. Let it send "
                "X-Forwarded-For, and take away what the client sent of it.",
            )
        if known:
            return found(Level.OK, f"The proxy at {peer} is trusted, and says for whom it asks.")
        if trusted:
            return found(
                Level.WARNING,
                f"Requests come in from {peer}, without a trace of a proxy; trusted_proxies names "
                "others. If there is none in between, leave it out.",
            )
        return found(Level.OK, f"Requests come in from {peer}, without a trace of a proxy.")
