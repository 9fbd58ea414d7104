"""Each instance: whether its provider answers, where its webhooks go, and what came so far."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anyio

from router.clock import Clock
from router.pipeline.instances.instances import Instances, Live, LiveChannel
from router.settings.secrets import PLACEHOLDER
from router.web.doctor.diagnosis import Diagnosis, Level, Lines, diagnosed
from router.web.findings import (
    SKEW,
    Finding,
    Probe,
    clock_finding,
    probed,
    provider_finding,
    secrets_findings,
    secrets_in,
)

if TYPE_CHECKING:
    import httpx


def calling(instances: Instances) -> list[LiveChannel]:
    """Give the channels whose providers call us."""
    return [live for live in instances.channels.values() if not live.capabilities.local_only]


def local_only(instances: Instances) -> list[LiveChannel]:
    """Give the channels that are for this machine only."""
    return [live for live in instances.channels.values() if live.capabilities.local_only]


def self_test_path(live: LiveChannel, public_url: str) -> str:
    """Give the path of a channel's self-test, below the public URL."""
    return f"{live.context.webhook_url().removeprefix(public_url)}/test"


async def examined(
    instances: Instances,
    lines: Lines,
    clock: Clock,
    client: "httpx.AsyncClient",
    *,
    base: str,
    outside: float | None = None,
) -> list[Diagnosis]:
    """Probe every instance whose secrets have values, and say where each channel's webhooks go.

    :param client: for asking the router on this machine.
    :param base: where that listens.
    :param outside: how many seconds our clock is ahead of the public URL's answer.
    """
    probes: dict[int, Probe] = {}

    async def probe(live: Live[Any]) -> None:
        probes[id(live)] = await _probed(live, clock)

    everything = [live for live in instances.all() if not _lacks_secret(live)]
    async with anyio.create_task_group() as tasks:
        for live in everything:
            tasks.start_soon(probe, live)
    found = []
    for live in everything:
        found += _secrets(live, lines)
        found.append(_provider(live, probes[id(live)], lines))
    for channel in calling(instances):
        found.append(await _webhook(channel, lines, client, base, instances.public_url))
    clocks = _clock(list(probes.values()), outside, needed=bool(calling(instances)))
    return [*clocks, *found]


def _lacks_secret(live: Live[Any]) -> bool:
    """Say whether a secret has no value, so that asking the provider would only mislead."""
    return any(value == PLACEHOLDER for _, value in secrets_in(live.settings.config))


async def _probed(live: Live[Any], clock: Clock) -> Probe:
    """Probe an instance of our own, which is closed again at once."""
    try:
        async with live.plugin.lifespan():
            return await probed(live, clock)
    except Exception as error:  # noqa: BLE001 - a plugin's call
        return Probe(asked=True, error=f"it does not start: {live.meaning(error).reason}")
    finally:
        await live.context.aclose()


def _secrets(live: Live[Any], lines: Lines) -> list[Diagnosis]:
    place = lines.of(live.settings.position)
    return [
        diagnosed(finding, about=live.label, place=place)
        for finding in secrets_findings(live.settings.config)
        if finding.ok is False
    ]


def _provider(live: Live[Any], probe: Probe, lines: Lines) -> Diagnosis:
    if not probe.asked:
        says = f"The kind {live.kind} has nothing to ask at a provider."
        return Diagnosis(check="provider", level=Level.OK, says=says, about=live.label)
    finding = provider_finding(probe)
    if finding.ok:
        return diagnosed(finding, about=live.label)
    says = f"The provider did not answer the probe as it should: {probe.error}"
    place = lines.of(live.settings.position)
    return Diagnosis(check="provider", level=Level.WRONG, says=says, about=live.label, place=place)


async def _webhook(
    live: LiveChannel, lines: Lines, client: "httpx.AsyncClient", base: str, public_url: str
) -> Diagnosis:
    url = live.context.webhook_url()
    how = "letter by letter"
    if any(path[0] == "url_secret" for path, _ in secrets_in(live.settings.config)):
        how = "with its url_secret behind it, as the plugin's README says"
    says = f"Its provider is to call {url}, {how}."
    so_far = await _so_far(client, base + self_test_path(live, public_url))
    if so_far is None:
        return Diagnosis(check="webhooks", level=Level.OK, says=says, about=live.label)
    if so_far.ok is False:
        says = f"{so_far.says} Save one of them, and run: router doctor --request FILE"
        place = lines.single("router", "public_url")
        return Diagnosis(
            check="webhooks", level=Level.WRONG, says=says, about=live.label, place=place
        )
    says = f"{says} {so_far.says}"
    return Diagnosis(check="webhooks", level=Level.OK, says=says, about=live.label)


async def _so_far(client: "httpx.AsyncClient", url: str) -> Finding | None:
    """Ask the running router what webhooks came; ``None`` if none runs."""
    import httpx

    try:
        checks = (await client.get(url)).json()["checks"]
        found: Mapping[str, Any] = next(it for it in checks if it["check"] == "webhooks")
        return Finding("webhooks", ok=found["ok"], says=str(found["says"]))
    except (httpx.HTTPError, ValueError, LookupError, TypeError, StopIteration):
        return None


def _clock(probes: Sequence[Probe], outside: float | None, *, needed: bool) -> list[Diagnosis]:
    """Compare the clock with the providers', else with what came by way of the public URL."""
    told = [probe for probe in probes if probe.skew is not None]
    if told:
        worst = max(told, key=lambda probe: abs(probe.skew or 0.0))
        return [diagnosed(clock_finding(worst))]
    if outside is not None and abs(outside) > SKEW:
        return [diagnosed(clock_finding(Probe(asked=True, skew=outside)))]
    if not needed:
        return []
    return [diagnosed(clock_finding(Probe(asked=False)))]
