"""Fetching what customers sent, from where WAHA keeps it."""

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from router import plugin
from router_waha.config import WahaConfig

if TYPE_CHECKING:
    import httpx

#: Where WAHA serves files that it keeps itself.
_FILES = "/api/files/"
#: One part of such a file's path, decoded: nothing that could be a step or be decoded once more.
_PART: Final = re.compile(r"(?!\.{1,2}$)[^/\\%\x00-\x1f\x7f]+")


async def download(
    http: "httpx.AsyncClient", config: WahaConfig, url: str, limit: int
) -> plugin.File:
    """Give a file as its provider has it.

    WAHA names its files by the address under which it knows itself, which inside a container is
    seldom the one under which it is reached: so they are asked for at ``base_url``. Anything else
    has to be at one of ``media_hosts``, and does not get our key.

    :param limit: the most bytes to take.
    :raises Unavailable: for what may pass.
    :raises Refused: for any other address, a file that is gone, or one that is too large.
    """
    place, headers = _place(url, config)
    async with http.stream("GET", place, headers=headers) as response:
        plugin.raise_for_status(response)
        return await plugin.read_file(response, limit)


def _is_file(path: str) -> bool:
    """Say whether a path is one of WAHA's files, and leads nowhere else once it is decoded."""
    if not path.startswith(_FILES):
        return False
    return all(_PART.fullmatch(unquote(it)) for it in path.removeprefix(_FILES).split("/"))


def _place(url: str, config: WahaConfig) -> tuple[str, dict[str, str]]:
    """Give the address to ask, and the headers.

    :raises Refused: if it is nobody's whom we ask.
    """
    origin = plugin.origin_of(url)
    if origin is not None:
        parts = urlsplit(url)
        if _is_file(parts.path):
            query = f"?{parts.query}" if parts.query else ""
            return config.base_url + parts.path + query, config.headers
        if plugin.is_trusted(url, config.media_hosts, config.base_url):
            return url, {}
    host = (origin[1] if origin else "nowhere")[:100]
    raise plugin.Refused(
        f"WAHA keeps the file at {host!r}. If that is right, add it to media_hosts"
    )
