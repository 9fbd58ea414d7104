"""``GET /hooks/{channel}/test`` says whether the webhooks of this channel can work.

It is served to everybody, because its best use is from outside: whoever opens it at the address
that the provider is given has tried the tunnel, the proxy and the public URL in one go. So it gives
away nothing that the provider's side does not show anyway: true, false or null (not known), and
fixed sentences with the names of settings. What a provider or a plugin said is told to this machine
only, and with the values of secrets blanked out. A provider is asked at most every ten seconds,
however often somebody opens the page.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio
from pydantic import BaseModel, SecretStr

from router.logs import Redaction
from router.plugin.http import classify
from router.plugin.instance import Instance
from router.settings.annotations import holds_secret
from router.web import asgi
from router.web.access import LocalOnly, is_loopback_host
from router.web.kept import Kept

if TYPE_CHECKING:
    import httpx

    from router.pipeline.instances import LiveChannel
    from router.web.host import WebHost
    from router.web.webhooks import Webhooks

#: What ends a path that asks for a self-test.
ENDING: Final = "/test"

#: How long what a provider answered is kept, in seconds.
_KEPT: Final = 10.0
#: How long a provider may take to answer the probe, in seconds.
_PATIENCE: Final = 5.0
#: How far two clocks may be apart, in seconds. A Date header has whole seconds, and some age.
_SKEW: Final = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    :param ok: ``None`` where nobody can tell.
    :param says: a fixed sentence, fit for strangers.
    :param details: more of it, fit for this machine only.
    """

    check: str
    ok: bool | None
    says: str
    details: str | None = None


@dataclass(frozen=True, slots=True)
class _Probe:
    """What the provider answered.

    :param skew: how many seconds its clock is behind ours, where it told the time.
    """

    asked: bool
    error: str | None = None
    skew: float | None = None


class SelfTest:
    """The ASGI app of every path under ``/hooks/`` that ends with :data:`ENDING`."""

    def __init__(self, host: "WebHost", webhooks: "Webhooks", local_only: LocalOnly) -> None:
        self._host = host
        self._webhooks = webhooks
        self._local_only = local_only
        self._probes: Kept[_Probe] = Kept(host.clock, _KEPT)

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        path: str = scope["path"]
        found = self._webhooks.find(path.removesuffix("/").removesuffix(ENDING))
        if found is None or found[1]:
            await asgi.sentence(send, 404, "There is no such channel in router.toml.")
            return
        if scope["method"] not in ("GET", "HEAD"):
            allow = ((b"allow", b"GET, HEAD"),)
            await asgi.sentence(send, 405, "The self-test is asked for by GET.", headers=allow)
            return
        live: LiveChannel = found[0]  # type: ignore[assignment]  # the real one has all of it
        refusal = self._local_only.refusal(scope)
        if live.capabilities.local_only and refusal is not None:
            await asgi.sentence(send, 403, refusal)
            return
        findings = await self._findings(live, asgi.headers_of(scope))
        body = {
            "channel": live.name,
            "tenant": live.tenant,
            "ok": all(finding.ok is not False for finding in findings),
            "checks": [self._as_json(finding, local=refusal is None) for finding in findings],
        }
        await asgi.answer(
            send,
            200,
            json.dumps(body, ensure_ascii=False, indent=2).encode() + b"\n",
            content_type=asgi.JSON,
            without_body=scope["method"] == "HEAD",
        )

    def _as_json(self, finding: Finding, *, local: bool) -> dict[str, Any]:
        values = {"check": finding.check, "ok": finding.ok, "says": finding.says}
        if local and finding.details:
            redaction = Redaction(self._host.settings.secrets)
            values["details"] = redaction.clean(finding.details)
        return values

    async def _findings(self, live: "LiveChannel", headers: Mapping[str, str]) -> list[Finding]:
        public_url = self._host.settings.router.public_url
        probe = _Probe(asked=False)
        if live.up:
            probe = await self._probes.get(id(live), lambda: self._ask(live))
        return [
            _public_url(public_url, local_only=live.capabilities.local_only),
            _address(public_url, headers),
            *_secrets(live.settings.config),
            _instance(live),
            _provider(probe),
            _clock(probe),
            self._webhooks_so_far(live),
        ]

    async def _ask(self, live: "LiveChannel") -> _Probe:
        """Let the plugin probe its provider, and look at the time in what it is answered."""
        if type(live.plugin).check is Instance.check:
            return _Probe(asked=False)
        skews: list[float] = []

        async def look(response: "httpx.Response") -> None:
            skew = self._skew(response.headers.get("Date", ""))
            if skew is not None:
                skews.append(skew)

        hooks = live.context.http.event_hooks["response"]
        hooks.append(look)
        error: str | None = None
        try:
            with anyio.fail_after(min(live.settings.timeout, _PATIENCE)):
                await live.plugin.check()
        except TimeoutError:
            error = f"no answer within {min(live.settings.timeout, _PATIENCE):g} s"
        except Exception as broken:  # noqa: BLE001 - a plugin's call
            error = classify(broken).reason
        finally:
            hooks.remove(look)
        return _Probe(asked=True, error=error, skew=skews[-1] if skews else None)

    def _skew(self, date: str) -> float | None:
        try:
            told = parsedate_to_datetime(date)
        except ValueError:
            return None
        if told.tzinfo is None:
            return None
        return (self._host.clock.now() - told).total_seconds()

    def _webhooks_so_far(self, live: "LiveChannel") -> Finding:
        """Say whether webhooks came since the start, and whether they were signed."""
        statuses = {
            labels[2]
            for labels in self._host.metrics.webhooks.values
            if labels[:2] == (live.tenant, live.name)
        }
        if any(status.startswith("2") for status in statuses):
            return Finding("webhooks", ok=True, says="A webhook was accepted since the start.")
        if "403" in statuses:
            says = (
                "Webhooks came since the start, and none was signed as it should be. The provider "
                "signs the exact address that it was given: it must begin with [router] public_url "
                "and be this channel's. Else the secret is another account's."
            )
            return Finding("webhooks", ok=False, says=says)
        says = "No webhook came since the start."
        return Finding("webhooks", ok=None, says=says)


def _public_url(url: str, *, local_only: bool) -> Finding:
    if local_only:
        says = "This channel is served to this machine only, so it needs no public address."
        return Finding("public_url", ok=True, says=says)
    parts = urlsplit(url)
    if is_loopback_host(parts.netloc):
        says = (
            "[router] public_url is not set, or names this machine: no provider can reach it. "
            "Set it to the https address of your proxy or tunnel."
        )
        return Finding("public_url", ok=False, says=says)
    if parts.scheme != "https":
        says = (
            "[router] public_url is not https: providers do not call it, or send customers' "
            "words in the open."
        )
        return Finding("public_url", ok=False, says=says)
    return Finding("public_url", ok=True, says="[router] public_url is set, and is https.")


def _address(public_url: str, headers: Mapping[str, str]) -> Finding:
    """Compare the address that was opened with the configured one, as far as headers tell."""
    forwarded = headers.get("x-forwarded-host", "").split(",")[0].strip()
    host = forwarded or headers.get("host", "")
    if is_loopback_host(host):
        says = (
            "This was asked on the router's own machine. Open it at the public address, too: that "
            "tries the way that webhooks take."
        )
        return Finding("address", ok=None, says=says)
    wanted = urlsplit(public_url)
    scheme = headers.get("x-forwarded-proto", wanted.scheme).split(",")[0].strip().lower()
    if (scheme, _bare(host, scheme)) == (wanted.scheme, _bare(wanted.netloc, wanted.scheme)):
        says = "This was asked at [router] public_url, so the way in works."
        return Finding("address", ok=True, says=says)
    says = (
        "This was asked at another address than [router] public_url. A provider that is given this "
        "one signs it, and every webhook is refused: make the two the same."
    )
    details = f"asked at {scheme}://{host}, public_url is {public_url}"
    return Finding("address", ok=False, says=says, details=details)


def _bare(host: str, scheme: str) -> str:
    """Give a host without the port that goes without saying."""
    return host.lower().removesuffix({"https": ":443", "http": ":80"}.get(scheme, ""))


def _secrets(config: BaseModel) -> Iterator[Finding]:
    names = []
    for name, field in type(config).model_fields.items():
        if not holds_secret(field.annotation):
            continue
        values = list(_inside(getattr(config, name)))
        if any(not value.get_secret_value() for value in values):
            yield Finding("secrets", ok=False, says=f"{name} is empty.")
            return
        if values:
            names.append(name)
    if names:
        verb = "is" if len(names) == 1 else "are"
        yield Finding("secrets", ok=True, says=f"{', '.join(names)} {verb} set.")
    else:
        yield Finding("secrets", ok=None, says="This channel has no secret.")


def _inside(value: Any) -> Iterator[SecretStr]:
    if isinstance(value, SecretStr):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _inside(getattr(value, name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _inside(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _inside(inner)


def _instance(live: "LiveChannel") -> Finding:
    if live.up:
        return Finding("instance", ok=True, says="The channel is up.")
    says = "The channel is down; it is tried again by itself. `router status` says why."
    return Finding("instance", ok=False, says=says, details=live.error)


def _provider(probe: _Probe) -> Finding:
    if not probe.asked:
        return Finding("provider", ok=None, says="The provider was not asked.")
    if probe.error is None:
        return Finding("provider", ok=True, says="The provider answers, and knows this account.")
    says = (
        "The provider did not answer the probe as it should. Ask for this test on the router's own "
        "machine to see what it said."
    )
    return Finding("provider", ok=False, says=says, details=probe.error)


def _clock(probe: _Probe) -> Finding:
    if probe.skew is None:
        says = "No provider told the time, so the clock was not compared."
        return Finding("clock", ok=None, says=says)
    if abs(probe.skew) <= _SKEW:
        return Finding("clock", ok=True, says="The clock agrees with the provider's.")
    says = (
        "The clock is off: signatures with an age limit will be refused. Let the machine keep its "
        "time by NTP (timedatectl set-ntp true)."
    )
    behind = "behind" if probe.skew < 0 else "ahead of"
    details = f"{abs(probe.skew):.0f} s {behind} the provider's"
    return Finding("clock", ok=False, says=says, details=details)
