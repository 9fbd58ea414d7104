"""Errors of the JSON API, as ``application/problem+json`` (RFC 9457)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from router.web import asgi

PROBLEM: Final = "application/problem+json"


async def problem(
    send: asgi.Send,
    status: int,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Iterable[asgi.RawHeader] = (),
    without_body: bool = False,
) -> None:
    """Answer with what is wrong and what to do about it.

    :param detail: sentences for whoever made the request.
    :param errors: each mistake with its place.
    :param without_body: the request was a HEAD.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    await asgi.answer(
        send,
        status,
        json.dumps(body, ensure_ascii=False).encode(),
        content_type=PROBLEM,
        headers=headers,
        without_body=without_body,
    )
