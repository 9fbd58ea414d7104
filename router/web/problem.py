"""Errors of the JSON API, as ``application/problem+json`` (RFC 9457)."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from router.web import asgi

PROBLEM: Final = "application/problem+json"


async def problem(
    send: asgi.Send, status: int, detail: str, *, headers: Iterable[asgi.RawHeader] = ()
) -> None:
    """Answer with what is wrong and what to do about it.

    :param detail: sentences for whoever made the request.
    """
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    await asgi.answer(
        send,
        status,
        json.dumps(body, ensure_ascii=False).encode(),
        content_type=PROBLEM,
        headers=headers,
    )
