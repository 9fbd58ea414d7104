"""Fetching what customers sent, in two steps: where is it, and then the file.

https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media
"""

from typing import TYPE_CHECKING, Any

from router import plugin
from router_whatsapp_cloud.config import WhatsAppCloudConfig
from router_whatsapp_cloud.content import FILE_ID
from router_whatsapp_cloud.errors import failure

if TYPE_CHECKING:
    import httpx


async def download(
    http: "httpx.AsyncClient", config: WhatsAppCloudConfig, url: str, limit: int
) -> plugin.File:
    """Give a file as its provider has it.

    Meta is asked where the file is, and tells an address that is good for some minutes and needs
    the access token as well. That address has to be one of ``media_hosts``.

    :param url: the address that the attachment has: the API's, with the file's id.
    :param limit: the most bytes to take.
    :raises Unavailable: for what may pass.
    :raises Refused: for any other address, a file that is gone or too large, or a wrong token.
    """
    root = config.root + "/"
    if not (url.startswith(root) and FILE_ID.fullmatch(url.removeprefix(root))):
        raise plugin.Refused("the file is not at Meta; the access token goes nowhere else")
    told = await http.get(url, headers=config.authorization)
    error = failure(told, config.secrets)
    if error is not None:
        raise error
    try:
        place: Any = told.json()["url"]
    except (ValueError, TypeError, KeyError, RecursionError):
        place = None
    if not isinstance(place, str):
        raise plugin.OutcomeUnknown("Meta does not tell where the file is")
    _check(place, config)
    async with http.stream("GET", place, headers=config.authorization) as response:
        if not response.is_success:
            failed = await plugin.read_failure(response)
            raise failure(failed, config.secrets) or plugin.OutcomeUnknown()
        return await plugin.read_file(response, limit)


def _check(place: str, config: WhatsAppCloudConfig) -> None:
    """Make sure that the access token goes where files are, and nowhere else.

    :raises Refused: if it would not.
    """
    origin, own = plugin.origin_of(place), plugin.origin_of(config.base_url)
    if origin is None or not (
        origin == own or plugin.is_trusted(place, config.media_hosts, config.base_url)
    ):
        host = (origin[1] if origin else "nowhere")[:100]
        raise plugin.Refused(
            f"Meta keeps the file at {host!r}. If that is right, add it to media_hosts"
        )
