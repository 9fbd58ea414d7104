"""The one ASGI app: webhooks and health first and bare, the pages behind them when asked for."""

from typing import TYPE_CHECKING

from router.web import asgi
from router.web.access import LocalOnly
from router.web.arrivals import Arrivals
from router.web.health import PREFIX as HEALTH
from router.web.health import Health
from router.web.host import WebHost
from router.web.stats import PATH as STATS
from router.web.stats import StatsView
from router.web.webhooks import PREFIX as HOOKS
from router.web.webhooks import Webhooks

if TYPE_CHECKING:
    from router.web.asgi import ASGIApp

#: Answered by what is loaded when it is first asked for.
METRICS = "/metrics"
API = "/api/"
SELF_TEST = ("/test", "/test/")


def build_app(host: WebHost, *, patience: float = asgi.PATIENCE) -> "ASGIApp":
    """Give the ASGI app of a daemon.

    What a webhook needs is made now; Starlette and the templates are loaded when the first page
    is asked for, so that a start is not slower for them.

    :param patience: how long a client may take to send a webhook, in seconds.
    """
    return App(host, patience)


class App:
    """Hands each request to the part that answers it."""

    def __init__(self, host: WebHost, patience: float) -> None:
        self._host = host
        self._local_only = LocalOnly(lambda: host.settings.router.trusted_proxies)
        self._webhooks = Webhooks(host, self._local_only, patience)
        self._arrivals = Arrivals()
        self._health = Health(host, self._local_only, self._arrivals)
        self._stats = StatsView(host, self._local_only)
        self._patience = patience
        self._pages: ASGIApp | None = None
        self._api: ASGIApp | None = None
        self._metrics: ASGIApp | None = None
        self._self_test: ASGIApp | None = None

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith(HOOKS):
                if path.endswith(SELF_TEST):
                    await self._test(scope, receive, send)
                else:
                    await self._webhooks(scope, receive, send)
            elif path.startswith(HEALTH):
                await self._health(scope, receive, send)
            elif path == METRICS:
                await self._numbers(scope, receive, send)
            elif path == STATS and not _has_token(scope):
                await self._stats(scope, receive, send)
            elif path.startswith(API):
                await self._answer(scope, receive, send)
            else:
                await self._page(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:  # no page speaks over a websocket
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _page(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if self._pages is None:
            from router.web.pages import build_pages

            self._pages = build_pages(self._host, self._local_only)
        await self._pages(scope, receive, send)

    async def _answer(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if self._api is None:
            from router.web.api.app import Api

            self._api = Api(self._host, self._patience)
        await self._api(scope, receive, send)

    async def _test(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if self._self_test is None:
            from router.web.self_test import SelfTest

            self._self_test = SelfTest(self._host, self._webhooks, self._local_only, self._arrivals)
        await self._self_test(scope, receive, send)

    async def _numbers(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if self._metrics is None:
            from router.web.metrics import MetricsView  # here: prometheus-client takes 60 ms

            self._metrics = MetricsView(self._host, self._local_only)
        await self._metrics(scope, receive, send)


async def _lifespan(receive: asgi.Receive, send: asgi.Send) -> None:
    """Tell the server that there is nothing to wait for: the daemon opens and closes things."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _has_token(scope: asgi.Scope) -> bool:
    """Say whether a request may be asked who it is, else only where it comes from counts."""
    return any(name.lower() == b"authorization" for name, _ in scope["headers"])
