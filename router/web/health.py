"""``/health/live`` and ``/health/ready``, for whoever restarts or balances the daemon."""

import json
from typing import Final

from router.web import asgi
from router.web.access import LocalOnly
from router.web.arrivals import Arrivals
from router.web.host import WebHost

PREFIX: Final = "/health/"


class Health:
    """The ASGI app under ``/health/``.

    :param local_only: decides who is told how a request of ``router doctor`` arrived.
    """

    def __init__(self, host: WebHost, local_only: LocalOnly, arrivals: Arrivals) -> None:
        self._host = host
        self._local_only = local_only
        self._arrivals = arrivals

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        path, method = scope["path"], scope["method"]
        if path not in ("/health/live", "/health/ready"):
            await asgi.sentence(send, 404, "Ask for /health/live or /health/ready.")
            return
        if method not in ("GET", "HEAD"):
            headers = ((b"allow", b"GET, HEAD"),)
            await asgi.sentence(send, 405, "Health is asked for by GET.", headers=headers)
            return
        # Whoever gets the answer to /health/live knows that the event loop runs.
        status, body = (200, self._live(scope)) if path == "/health/live" else self._ready()
        await asgi.answer(
            send,
            status,
            json.dumps(body).encode(),
            content_type=asgi.JSON,
            without_body=method == "HEAD",
        )

    def _live(self, scope: asgi.Scope) -> dict[str, object]:
        body: dict[str, object] = {"status": "live", "instance": self._arrivals.instance}
        self._arrivals.note(scope)
        arrived = self._arrivals.asked(scope)
        if arrived is not None and self._local_only.refusal(scope) is None:
            body["arrived"] = arrived
        return body

    def _ready(self) -> tuple[int, dict[str, object]]:
        missing = [*(["draining"] if self._host.draining else []), *self._host.readiness()]
        held_back = self._host.held_back()
        more: dict[str, object] = {"breakers_open": held_back} if held_back else {}
        if missing:
            return 503, {"status": "not ready", "because": missing, **more}
        return 200, {"status": "ready", "because": [], **more}
