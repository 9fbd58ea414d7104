"""``GET /hooks/{channel}/test`` says whether the webhooks of this channel can work.

It is served to everybody, because its best use is from outside: whoever opens it at the address
that the provider is given has tried the tunnel, the proxy and the public URL in one go. So it gives
away nothing that the provider's side does not show anyway: true, false or null (not known), and
fixed sentences with the names of settings. What a provider or a plugin said is told to this machine
only, and with the values of secrets blanked out. A provider is asked at most every ten seconds,
however often somebody opens the page.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from router.logs import Redaction
from router.web import asgi
from router.web.access import LocalOnly, is_loopback_host
from router.web.arrivals import Arrivals
from router.web.findings import (
    Finding,
    Probe,
    clock_finding,
    probed,
    provider_finding,
    public_url_finding,
    secrets_findings,
)
from router.web.kept import Kept

if TYPE_CHECKING:
    from router.pipeline.instances.instances import LiveChannel
    from router.web.host import WebHost
    from router.web.webhooks import Webhooks

#: What ends a path that asks for a self-test.
ENDING: Final = "/test"

#: How long what a provider answered is kept, in seconds.
_KEPT: Final = 10.0


class SelfTest:
    """The ASGI app of every path under ``/hooks/`` that ends with :data:`ENDING`."""

    def __init__(
        self,
        host: "WebHost",
        webhooks: "Webhooks",
        local_only: LocalOnly,
        arrivals: Arrivals | None = None,
    ) -> None:
        self._host = host
        self._arrivals = arrivals or Arrivals()
        self._webhooks = webhooks
        self._local_only = local_only
        self._probes: Kept[Probe] = Kept(host.clock, _KEPT)

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
        self._arrivals.note(scope)
        findings = await self._findings(live, asgi.headers_of(scope))
        body = {
            "channel": live.name,
            "tenant": live.tenant,
            "instance": self._arrivals.instance,
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
        probe = Probe(asked=False)
        if live.up:
            probe = await self._probes.get(id(live), lambda: probed(live, self._host.clock))
        return [
            public_url_finding(public_url, local_only=live.capabilities.local_only),
            _address(public_url, headers),
            *secrets_findings(live.settings.config),
            _instance(live),
            provider_finding(probe),
            clock_finding(probe),
            self._webhooks_so_far(live),
        ]

    def _webhooks_so_far(self, live: "LiveChannel") -> Finding:
        """Say whether webhooks came since the start, and whether they were signed."""
        metrics, mine = self._host.metrics, (live.tenant, live.name)
        counts = {
            labels[2]: count
            for labels, count in metrics.webhooks.values.items()
            if labels[:2] == mine
        }
        if any(status.startswith("2") for status in counts):
            return Finding("webhooks", ok=True, says="A webhook was accepted since the start.")
        refused, unsigned = counts.get("403", 0), metrics.unsigned.values.get(mine, 0)
        if refused and refused <= unsigned:
            says = (
                "Requests came since the start, and none carried a signature. They may be "
                "strangers'. If they are the provider's, it was not told to sign, or not to send "
                "its key."
            )
            return Finding("webhooks", ok=None, says=says)
        if refused:
            says = (
                "Webhooks came since the start, and none was signed as it should be. The provider "
                "signs the exact address that it was given: it must begin with [router] public_url "
                "and be this channel's. Else the secret is another account's."
            )
            return Finding("webhooks", ok=False, says=says)
        says = "No webhook came since the start."
        return Finding("webhooks", ok=None, says=says)


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


def _instance(live: "LiveChannel") -> Finding:
    if live.up:
        return Finding("instance", ok=True, says="The channel is up.")
    says = "The channel is down; it is tried again by itself. `router status` says why."
    return Finding("instance", ok=False, says=says, details=live.error)
