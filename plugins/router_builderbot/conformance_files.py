"""Rows: what customers sent, from wherever BuilderBot keeps it."""

import httpx

from router.plugin import Attachment, File, Refused
from router.plugin.testing import Expected, Fetch

STORE = "https://files.builderbot.cloud/tmp/a.jpg?signature=x"
OWN = "https://app.builderbot.cloud/tmp/a.jpg"
PICTURE = httpx.Response(200, headers={"Content-Type": "image/jpeg"}, content=b"\xff\xd8\xff")
FILE = File("image/jpeg", b"\xff\xd8\xff")


def _at(url: str) -> Attachment:
    return Attachment(kind="image", url=url)


def fetches(key: str) -> tuple[Fetch, ...]:
    """Give the rows of a channel with this key."""
    return (
        Fetch("in a store", _at(STORE), PICTURE, expect=FILE, requests=[Expected("GET", STORE)]),
        Fetch(
            "at BuilderBot",
            _at(OWN),
            PICTURE,
            expect=FILE,
            requests=[Expected("GET", OWN, headers={"x-api-builderbot": key})],
        ),
        Fetch("gone", _at(STORE), httpx.Response(404), raises=Refused(code="404")),
        Fetch("elsewhere", _at("https://evilbuilderbot.cloud/a.jpg"), raises=Refused, requests=[]),
    )
