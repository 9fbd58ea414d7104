"""What the phone page asks and does. What it does goes through the channel's own webhook."""

import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from router.domain.identity import MAIN_TENANT
from router.domain.message import DeliveryStatus
from router.ids import new_id
from router.pipeline.notices.because import in_words
from router.plugin.channel import WebhookRequest
from router.storage.decisions import load_trace
from router.storage.store import EventRef
from router.web import asgi
from router.web.live import LiveResponse
from router.web.simulator.view import (
    Customer,
    PhoneView,
    as_json,
    clock_time,
    phone_view,
    read_address,
)
from router.web.templates import render
from router.web.texts import TEXTS, language_of

if TYPE_CHECKING:
    from router.storage.store import Change
    from router.web.host import LiveChannel, WebHost

#: The kind of channel that has this page.
KIND: Final = "simulator"

#: Whose phone it is until somebody types another number.
_FIRST_NUMBER: Final = "+573001234567"

#: What the page can pretend that a provider reported.
_REPORTS: Final = (DeliveryStatus.DELIVERED.value, DeliveryStatus.READ.value, "failed")


class Simulator:
    """The page's routes."""

    def __init__(self, host: "WebHost") -> None:
        self._host = host

    def routes(self) -> list[Route]:
        """Give the routes, all of them below ``/simulator``."""
        return [
            Route("/simulator", self.page),
            Route("/simulator/messages", self.messages),
            Route("/simulator/live", self.live),
            Route("/simulator/trace", self.trace),
            Route("/simulator/send", self.send, methods=["POST"]),
            Route("/simulator/echo", self.echo, methods=["POST"]),
            Route("/simulator/status", self.status, methods=["POST"]),
        ]

    def channels(self) -> "dict[str, LiveChannel]":
        """Give the simulator channels that run, by the name that the page gives them."""
        found: dict[str, LiveChannel] = {}
        tenants = self._host.settings.tenants.values()
        for tenant in sorted(tenants, key=lambda it: (it.name != MAIN_TENANT, it.name)):
            for name, settings in tenant.channels.items():
                if settings.kind != KIND or not settings.enabled:
                    continue
                channel = self._host.channel(tenant.name, name)
                if channel is not None:
                    found[channel_name(channel)] = channel
        return found

    # What is shown ────────────────────────────────────────────────────────────────────────────

    async def page(self, request: Request) -> Response:
        """Give the whole page."""
        values = request.query_params
        customer = self._customer(values)
        view = await phone_view(self._host.store, customer)
        return HTMLResponse(render("simulator.html", **self._context(values, customer, view)))

    async def live(self, request: Request) -> Response:
        """Give what changes on the page, whenever it does."""
        values = request.query_params
        customer = self._customer(values)
        interest = _Interest(customer.channel.tenant)

        async def draw() -> str:
            view = await phone_view(self._host.store, customer)
            interest.drawn(view)
            return render("simulator_live.html", **self._context(values, customer, view))

        return LiveResponse(self._host, draw=draw, concerns=interest.concerns)

    async def messages(self, request: Request) -> Response:
        """Give a customer's messages to a script."""
        customer = self._customer(request.query_params)
        view = await phone_view(self._host.store, customer)
        return JSONResponse({"messages": [as_json(message) for message in view.messages]})

    async def trace(self, request: Request) -> Response:
        """Give the whole trace of one decision: a fragment for the page, or a page of its own."""
        values = request.query_params
        texts = TEXTS[self._language(values, None)]
        customer = self._customer(values)
        try:
            event = EventRef.from_text(values.get("event", ""))
        except ValueError:
            raise HTTPException(404, texts["error_trace"]) from None
        tenant = customer.channel.tenant
        found = await self._host.store.read(lambda it: load_trace(it, tenant, event))
        if found is None:
            raise HTTPException(404, texts["error_trace"])
        from router.rules.explain import render as explain

        text = explain(found)
        if "hx-request" in request.headers:
            return HTMLResponse(render("trace_fragment.html", trace=text))
        context = self._context(values, customer, None)
        return HTMLResponse(render("trace.html", trace=text, event=event, **context))

    # What is done ─────────────────────────────────────────────────────────────────────────────

    async def send(self, request: Request) -> Response:
        """Write as the customer."""
        form = await self._form(request)
        customer = self._customer(form)
        text = self._text_in(form, customer)
        body = {"id": f"page-{new_id()}", "from": str(customer.address), "text": text}
        return await self._post(request, form, customer, body)

    async def echo(self, request: Request) -> Response:
        """Write as somebody of the business, on their own phone."""
        form = await self._form(request)
        customer = self._customer(form)
        text = self._text_in(form, customer)
        body = {
            "id": f"page-{new_id()}",
            "echo": True,
            "to": str(customer.address),
            "text": text,
        }
        return await self._post(request, form, customer, body)

    async def status(self, request: Request) -> Response:
        """Report, as a provider would, how far a message got."""
        form = await self._form(request)
        customer = self._customer(form)
        texts = TEXTS[self._language(form, customer)]
        report = form.get("status", "")
        if report not in _REPORTS:
            raise HTTPException(422, texts["error_status"])
        view = await phone_view(self._host.store, customer)
        wanted = form.get("message", "")
        known = [message.provider_id for message in view.messages if message.ours]
        if wanted not in known:
            raise HTTPException(422, texts["error_message"])
        body = {"status": report, "message": wanted, "to": str(customer.address)}
        return await self._post(request, form, customer, body)

    # ──────────────────────────────────────────────────────────────────────────────────────────

    async def _form(self, request: Request) -> Mapping[str, str]:
        try:
            body = await asgi.read_body(
                request.receive,
                announced=request.headers.get("content-length"),
                limit=self._host.settings.server.max_body,
            )
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
        except asgi.BodyTooLarge:
            raise HTTPException(413, "The request is too large.") from None
        except (asgi.BodyTooSlow, asgi.ClientGone):
            raise HTTPException(408, "The request came too slowly.") from None
        except ValueError:
            raise HTTPException(400, "The request is not a form.") from None

    def _customer(self, values: Mapping[str, str]) -> Customer:
        """Read whose phone it is from ``channel`` and ``address``."""
        channels = self.channels()
        name = values.get("channel") or next(iter(channels))
        texts = TEXTS[self._language(values, None)]
        if name not in channels:
            raise HTTPException(404, texts["error_channel"])
        try:
            address = read_address(values.get("address") or _FIRST_NUMBER)
        except ValueError:
            raise HTTPException(422, texts["error_address"]) from None
        return Customer(channels[name], address)

    def _text_in(self, form: Mapping[str, str], customer: Customer) -> str:
        # A browser sends the line breaks of a text field as CR LF; no telephone does.
        text = form.get("text", "").replace("\r\n", "\n")
        if not text.strip():
            raise HTTPException(422, TEXTS[self._language(form, customer)]["error_empty"])
        return text

    async def _post(
        self, request: Request, form: Mapping[str, str], customer: Customer, body: dict[str, Any]
    ) -> Response:
        """Take a body in as if it had been posted to the channel's webhook."""
        channel = customer.channel
        result = await self._host.intake.receive(
            channel,
            WebhookRequest(
                url=f"{self._host.settings.router.public_url}/hooks/{channel_name(channel)}",
                headers={"content-type": asgi.JSON},
                body=json.dumps(body).encode(),
                received_at=self._host.clock.now(),
            ),
        )
        if not 200 <= result.status < 300:
            texts = TEXTS[self._language(form, customer)]
            raise HTTPException(result.status, texts["error_intake"])
        if "hx-request" in request.headers:
            return HTMLResponse("")  # empties the notice; the news comes by the live stream
        return RedirectResponse(f"/simulator?{self._query(form, customer)}", status_code=303)

    def _language(self, values: Mapping[str, str], customer: Customer | None) -> str:
        settings = self._host.settings
        tenant = customer.channel.tenant if customer else MAIN_TENANT
        known = settings.tenants.get(tenant)
        return language_of(
            values.get("lang"), known.language if known else None, settings.router.language
        )

    def _query(self, values: Mapping[str, str], customer: Customer, **more: str) -> str:
        """Give the query that leads back to the same phone in the same language."""
        query = {"channel": channel_name(customer.channel), "address": customer.shown}
        if values.get("lang"):
            query["lang"] = self._language(values, customer)
        return urlencode({**query, **more})

    def _context(
        self, values: Mapping[str, str], customer: Customer, view: PhoneView | None
    ) -> dict[str, Any]:
        language = self._language(values, customer)
        timezone = self._host.settings.tenants[customer.channel.tenant].timezone
        return {
            "view": view,
            "customer": customer,
            "channel": channel_name(customer.channel),
            "channels": list(self.channels()),
            "language": language,
            "languages": {code: texts["language_name"] for code, texts in TEXTS.items()},
            "chosen_language": values.get("lang", ""),
            "reports": _REPORTS,
            "t": TEXTS[language],
            "reason": partial(in_words, language=language),
            "query": lambda **more: self._query(values, customer, **more),
            "time": lambda moment: clock_time(moment, timezone),
        }


class _Interest:
    """Which changes may concern a page: its own conversations, and those it has not met."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._met: set[str] = set()
        self._others: set[str] = set()

    def concerns(self, change: "Change") -> bool:
        if change.tenant != self._tenant or change.conversation in self._others:
            return False
        self._met.add(change.conversation)
        return True

    def drawn(self, view: PhoneView) -> None:
        """Note that everything met so far and not shown is somebody else's."""
        self._others |= self._met - view.conversations
        self._met.clear()


def channel_name(channel: "LiveChannel") -> str:
    """Give a channel's name below ``/hooks/``: with its tenant, unless that is ``main``."""
    if channel.tenant == MAIN_TENANT:
        return channel.name
    return f"{channel.tenant}/{channel.name}"
