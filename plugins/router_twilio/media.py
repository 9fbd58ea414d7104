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

#: WhatsApp carries 16 MB, and 100 MB in a document; more than this is not taken into memory.
LIMIT = 20 * 1024 * 1024

_MOST_HOPS = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NOT_YET = 404
_NOT_YET_WAIT = 2.0


async def download(
    http: "httpx.AsyncClient",
    config: TwilioConfig,
    url: str,
    now: "datetime",
    limit: int = LIMIT,
) -> tuple[str, bytes]:
    """Give a file's content type and its bytes.

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
                if not (_is_api(url, config) or _is_store(url, config)):
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
                await response.aread()
                raise failure(response, now, config.secrets) or plugin.OutcomeUnknown()
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > limit:
                    raise plugin.Refused(f"the media has more than {limit:,} bytes")
            declared = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return declared or "application/octet-stream", bytes(body)
    raise plugin.Refused("Twilio sends on and on for the media")


def _is_api(url: str, config: TwilioConfig) -> bool:
    origin = _origin(url)
    return origin is not None and origin in {_origin(API), _origin(config.base_url)}


def _is_store(url: str, config: TwilioConfig) -> bool:
    origin = _origin(url)
    # Plain HTTP only where Twilio itself is spoken to that way, as in a test.
    if origin is None or origin[0] not in {"https", urlsplit(config.base_url).scheme}:
        return False
    host = origin[1]
    return any(
        host.endswith(allowed[1:]) if allowed.startswith("*.") else host == allowed
        for allowed in config.media_hosts
    )


def _origin(url: str) -> tuple[str, str, int] | None:
    """Give scheme, host and port; ``None`` for what is no plain web address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)
