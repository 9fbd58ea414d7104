"""What the self-test of a channel and ``router doctor`` both look at, and how they say it.

What is found is said in fixed sentences with the names of settings, fit for strangers; what a
provider or a plugin said is kept apart, for this machine only.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from router.clock import Clock
from router.plugin.instance import Instance
from router.web.access import is_loopback_host

if TYPE_CHECKING:
    import httpx

    from router.pipeline.instances.instances import Live

#: How long a provider may take to answer the probe, in seconds.
PATIENCE: Final = 5.0
#: How far two clocks may be apart, in seconds. A Date header has whole seconds, and some age.
SKEW: Final = 30.0


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
class Probe:
    """What a provider answered.

    :param asked: the kind has a probe, and it was made.
    :param skew: how many seconds our clock is ahead of its, where it told the time.
    """

    asked: bool
    error: str | None = None
    skew: float | None = None


async def probed(live: "Live[Any]", clock: Clock) -> Probe:
    """Let the plugin probe its provider, and look at the time in what it is answered."""
    if type(live.plugin).check is Instance.check:
        return Probe(asked=False)
    skews: list[float] = []

    async def look(response: "httpx.Response") -> None:
        skew = ahead(clock, response.headers.get("Date", ""))
        if skew is not None:
            skews.append(skew)

    hooks = live.context.http.event_hooks["response"]
    hooks.append(look)
    error: str | None = None
    patience = min(live.settings.timeout, PATIENCE)
    try:
        async with asyncio.timeout(patience):
            await live.plugin.check()
    except TimeoutError:
        error = f"no answer within {patience:g} s"
    except Exception as broken:  # noqa: BLE001 - a plugin's call
        error = live.meaning(broken).reason
    finally:
        hooks.remove(look)
    return Probe(asked=True, error=error, skew=skews[-1] if skews else None)


def ahead(clock: Clock, date: str) -> float | None:
    """Give how many seconds our clock is ahead of a ``Date`` header; ``None`` if it is none."""
    try:
        told = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    if told.tzinfo is None:
        return None
    return (clock.now() - told).total_seconds()


def public_url_finding(url: str, *, local_only: bool) -> Finding:
    """Judge ``[router] public_url`` by itself."""
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


def secrets_findings(config: BaseModel) -> Iterator[Finding]:
    """Say whether the secrets of a table have values."""
    names: dict[str, None] = {}
    for path, value in secrets_in(config):
        if not value:
            yield Finding("secrets", ok=False, says=f"{path[0]} is empty.")
            return
        names[path[0]] = None
    if names:
        verb = "is" if len(names) == 1 else "are"
        yield Finding("secrets", ok=True, says=f"{', '.join(names)} {verb} set.")
    else:
        yield Finding("secrets", ok=None, says="This channel has no secret.")


def secrets_in(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give each secret of a table: the path of its key, and its value."""
    if isinstance(value, SecretStr):
        yield path, value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name), (*path, name))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from secrets_in(inner, (*path, str(key)))
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from secrets_in(inner, path)


def provider_finding(probe: Probe) -> Finding:
    """Say whether the provider answered as it should."""
    if not probe.asked:
        return Finding("provider", ok=None, says="The provider was not asked.")
    if probe.error is None:
        return Finding("provider", ok=True, says="The provider answers, and knows this account.")
    says = (
        "The provider did not answer the probe as it should. Ask for this test on the router's own "
        "machine to see what it said."
    )
    return Finding("provider", ok=False, says=says, details=probe.error)


def clock_finding(probe: Probe) -> Finding:
    """Compare our clock with the provider's."""
    if probe.skew is None:
        says = "No provider told the time, so the clock was not compared."
        return Finding("clock", ok=None, says=says)
    if abs(probe.skew) <= SKEW:
        return Finding("clock", ok=True, says="The clock agrees with the provider's.")
    says = (
        "The clock is off: signatures with an age limit will be refused. Let the machine keep its "
        "time by NTP (timedatectl set-ntp true)."
    )
    behind = "behind" if probe.skew < 0 else "ahead of"
    details = f"{abs(probe.skew):.0f} s {behind} the provider's"
    return Finding("clock", ok=False, says=says, details=details)
