"""Tell people: one notice, through every address that the table names."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from router import plugin
from router_apprise.config import AppriseConfig

if TYPE_CHECKING:
    import apprise

#: Seconds after the start. Reading apprise takes one, and is nothing that a first webhook, or
#: whoever waits for the router to be ready, should wait for.
_LATER = 1.0

_STATUS = re.compile(r"\berror=(\d{3})\b")


class Apprise(plugin.Action[AppriseConfig]):
    """Sends a notice to every address, all at once.

    Apprise answers only yes or no: a no may mean that nothing arrived, that something arrived and
    its answer was lost, or that one of several addresses failed. So a no is an unknown outcome,
    and the host repeats it at most twice, which is harmless: somebody reads a notice again.

    What apprise itself logs is kept back, because it quotes addresses, and they hold secrets; what
    went wrong is told by the service's name and its HTTP status.
    """

    repeat_is_harmless = True

    def __init__(self, config: AppriseConfig, context: plugin.PluginContext) -> None:
        super().__init__(config, context)
        self._loading = anyio.Lock()
        self._services: list[apprise.Apprise] | None = None
        self._wrong: str | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Read apprise in the background, and say in the log which address it cannot use."""
        # No task group: the host limits the time of entering, and a scope opened in there could
        # not outlive that limit.
        reading = asyncio.create_task(self._load_later())
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def check(self) -> None:
        """Have apprise read the addresses. Contacts nobody.

        :raises Refused: naming the address that it cannot use by its place in the list.
        """
        await self._load()

    async def run(self, call: plugin.ActionCall) -> plugin.ActionResult:
        """Make one attempt; every address has to take the notice.

        :raises Unavailable: if earlier notices hold all threads of this action; nobody was told.
        """
        services = await self._load()
        title, body = _notice(call, self.context.name)
        # Apprise's own threads are shared by all actions, and a service that answers a byte now
        # and then holds one for ever. So each address is told in a thread of this action.
        calls = (
            partial(service.notify, title=title, body=body, notify_type="warning")
            for service in services
        )
        telling = map(self.context.in_thread, calls)
        results = await asyncio.gather(*telling, return_exceptions=True)
        not_begun = [result for result in results if isinstance(result, plugin.Unavailable)]
        if len(not_begun) == len(results):
            raise not_begun[0]
        told: list[str] = []
        failed: list[str] = []
        for service, result in zip(services, results, strict=True):
            if isinstance(result, plugin.Unavailable):
                failed.append(f"{service[0].service_name} (not begun)")
            elif isinstance(result, BaseException):
                raise result
            else:
                told += [one.name for one in result if one]
                failed += [f"{one.name}{_status(one)}" for one in result if not one]
        if failed or not told:
            message = f"not told through {', '.join(failed) or 'anything'}"
            if told:
                message += f", but through {', '.join(told)}"
            raise plugin.OutcomeUnknown(message)
        return plugin.ActionResult(f"told through {', '.join(told)}", {"services": told})

    async def _load_later(self) -> None:
        await anyio.sleep(_LATER)
        try:
            await self._load()
        except plugin.Refused as error:
            self.context.log.error("an address cannot be used", reason=error.reason)

    async def _load(self) -> "list[apprise.Apprise]":
        async with self._loading:
            if self._services is None and self._wrong is None:
                self._services, self._wrong = await self.context.in_thread(
                    partial(_services, self.config)
                )
        if self._services is None:
            raise plugin.Refused(self._wrong or "")
        return self._services


def _services(config: AppriseConfig) -> "tuple[list[apprise.Apprise] | None, str | None]":
    """Have apprise read the addresses; give what sends to each, or what is wrong with one."""
    import logging

    import apprise  # here, and in a thread: it takes a second, with all its services

    # Before anything is read: its words quote addresses.
    own = logging.getLogger("apprise")
    own.propagate = False
    if not own.handlers:
        own.addHandler(logging.NullHandler())
    # Below warnings it writes the path of each request.
    logging.getLogger("urllib3").setLevel(logging.WARNING)

    asset = apprise.AppriseAsset(
        allow_templates=False,
        app_id="Channel Router",
        body_format=apprise.NotifyFormat.TEXT,
        # Where it has a limit of its own, apprise uses threads that all actions share.
        service_timeout=0,
    )
    asset.http_redirects = False
    services = []
    for address in config.chosen():
        service = apprise.Apprise.instantiate(address.url.get_secret_value(), asset=asset)
        alone = apprise.Apprise(asset=asset)
        if service is None or not alone.add(service):
            return None, (
                f"apprise cannot use {address.place} in urls ({address.scheme}://): the service "
                "is not known, a part of the address is missing, or a library that the "
                "service needs is not installed. Correct it, and start again"
            )
        services.append(alone)
    return services, None


def _notice(call: plugin.ActionCall, name: str) -> tuple[str, str]:
    """Give title and body: what happened, who the customer is, where to look."""
    params = call.params
    given = params if isinstance(params, plugin.NoticeParams) else plugin.NoticeParams()
    # One line: what customers wrote may be in it, and some services put it into a header.
    title = " ".join((given.title or call.because or name).split())
    who = [call.contact.get(key, "") for key in ("name", "address", "channel")]
    about = " · ".join(part for part in dict.fromkeys(who) if part)
    where = f"conversation {call.conversation}" if call.conversation else ""
    why = call.because if call.because and call.because not in title else ""
    blocks = (given.text, _lines([why, about, where, given.url or ""]))
    return title, "\n\n".join(block for block in blocks if block) or title


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(line for line in lines if line)


def _status(result: Any) -> str:
    """Give the HTTP status that a service failed with, which it says only in its log."""
    found = [match for entry in result.logs() if (match := _STATUS.search(entry.message))]
    return f" ({found[-1][1]})" if found else ""


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kind ``apprise``."""
    registry.action("apprise", Apprise, config=AppriseConfig)
