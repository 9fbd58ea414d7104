"""Fetching what customers sent: pictures, voice messages, documents.

https://www.twilio.com/docs/messaging/api/media-resource
"""

from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from router import plugin
from router_twilio.config import API, TwilioConfig
from router_twilio.errors import failure

if TYPE_CHECKING:
    from datetime import datetime

    import httpx

_MOST_HOPS = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NOT_YET = 404
_NOT_YET_WAIT = 2.0


async def download(
    http: "httpx.AsyncClient",
    config: TwilioConfig,
    url: str,
    now: "datetime",
    limit: int,
) -> plugin.File:
    """Give a file as its provider has it.

    The first address has to be Twilio's own, and only that gets the credentials. Twilio sends on to
    where it keeps the file: to a host of ``media_hosts``, without credentials, and nowhere else.

    :param limit: the most bytes to take.
    :raises Unavailable: what was just sent may not be there yet; and what else may pass.
    :raises Refused: for any other address, a file that is too large, or credentials that are wrong.
    """
    if not _is_api(url, config):
        raise plugin.Refused("the media is not at Twilio; its credentials go nowhere else")
    for _ in range(_MOST_HOPS):
        auth = config.credentials if _is_api(url, config) else None
        async with http.stream("GET", url, auth=auth, headers={"Accept": "*/*"}) as response:
            if response.status_code in _REDIRECTS:
                url = urljoin(url, response.headers.get("Location", ""))
                trusted = plugin.is_trusted(url, config.media_hosts, config.base_url)
                if not (_is_api(url, config) or trusted):
                    host = (urlsplit(url).hostname or "nowhere")[:100]
                    raise plugin.Refused(
                        f"Twilio sends on to {host!r} for the media. If that is right, add it to "
                        "media_hosts"
                    )
                continue
            if response.status_code == _NOT_YET:
                raise plugin.Unavailable(
                    "Twilio does not have the media, or not yet",
                    code=str(_NOT_YET),
                    retry_after=_NOT_YET_WAIT,
                )
            if not response.is_success:
                failed = await plugin.read_failure(response)
                raise failure(failed, now, config.secrets) or plugin.OutcomeUnknown()
            return await plugin.read_file(response, limit)
    raise plugin.Refused("Twilio sends on and on for the media")


def _is_api(url: str, config: TwilioConfig) -> bool:
    origin = plugin.origin_of(url)
    return origin is not None and origin in {
        plugin.origin_of(API),
        plugin.origin_of(config.base_url),
    }
