"""The pages for people: Starlette behind strict headers, loaded with the first page."""

from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from router.errors import StorageUnavailable
from router.pipeline.notices.notices import PATH as CONVERSATION
from router.web import asgi
from router.web.access import LocalOnly
from router.web.conversation import HEADERS as CONVERSATION_HEADERS
from router.web.conversation import LinkedConversation
from router.web.host import WebHost
from router.web.simulator.routes import Simulator

STATIC: Final = Path(__file__).parent / "static"

#: Nothing inline, nothing from elsewhere, in no other site's frame.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_HEADERS: Final[tuple[asgi.RawHeader, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_PAGE_HEADERS: Final[tuple[asgi.RawHeader, ...]] = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    # Not "no-referrer": a form's Origin would become null, and be refused.
    (b"referrer-policy", b"same-origin"),
)


def build_pages(host: WebHost, local_only: LocalOnly) -> asgi.ASGIApp:
    """Give the app for every path that is no webhook and no health probe."""
    simulator = Simulator(host)

    async def start(request: Request) -> Response:
        if simulator.channels():
            return RedirectResponse("/simulator", status_code=303)
        raise HTTPException(404)

    pages = Starlette(
        routes=[
            Route("/", start),
            Mount("/static", StaticFiles(directory=STATIC)),
            LinkedConversation(host).route(),
            *simulator.routes(),
        ],
        exception_handlers={
            HTTPException: _say,
            StorageUnavailable: _database_is_away,
        },
    )

    # It would send a link that lacks nothing but a slash over the wire once more, without TLS.
    pages.router.redirect_slashes = False

    async def guarded(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        path: str = scope["path"]
        # Whatever begins so: a route may answer more spellings of its path than the one it names.
        if path.startswith("/simulator"):
            refusal = local_only.refusal(scope)
            if refusal is not None:
                await asgi.sentence(send, 403, refusal)
                return
            if not simulator.channels():
                await asgi.sentence(send, 404, "No simulator channel is configured.")
                return

        own = CONVERSATION_HEADERS if path.startswith(CONVERSATION) else _PAGE_HEADERS

        async def send_with_headers(message: asgi.Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS, *own]}
            await send(message)

        await pages(scope, receive, send_with_headers)

    return guarded


async def _say(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else ""
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return PlainTextResponse(f"{detail}\n", status_code=status, headers=headers)


async def _database_is_away(request: Request, error: Exception) -> Response:
    return PlainTextResponse(
        "The database is away. Nothing was kept; try again in a moment.\n",
        status_code=503,
        headers={"Retry-After": "5"},
    )
