"""Fetching what customers sent: pictures, voice messages, documents."""

from typing import TYPE_CHECKING

from router import plugin
from router_builderbot.config import BuilderbotConfig

if TYPE_CHECKING:
    import httpx


async def download(
    http: "httpx.AsyncClient", config: BuilderbotConfig, url: str, limit: int
) -> plugin.File:
    """Give a file as its provider has it.

    Files are kept for a short time only, at an address that nobody has promised: so its host has
    to be that of ``base_url``, which alone gets our key, or one of ``media_hosts``.

    :param limit: the most bytes to take.
    :raises Unavailable: for what may pass.
    :raises Refused: for any other address, a file that is gone, or one that is too large.
    """
    origin, own = plugin.origin_of(url), plugin.origin_of(config.base_url)
    trusted = plugin.is_trusted(url, config.media_hosts, config.base_url)
    if origin is None or not (origin == own or trusted):
        host = (origin[1] if origin else "nowhere")[:100]
        raise plugin.Refused(
            f"BuilderBot keeps the file at {host!r}. If that is right, add it to media_hosts"
        )
    key = {config.api_key_header: config.api_key.get_secret_value()} if origin == own else {}
    async with http.stream("GET", url, headers={"Accept": "*/*", **key}) as response:
        plugin.raise_for_status(response)
        return await plugin.read_file(response, limit)
