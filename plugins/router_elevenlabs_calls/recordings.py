"""Fetching recordings, for whoever wants them kept."""

import re
from typing import TYPE_CHECKING

from router import plugin
from router_elevenlabs_calls import api
from router_elevenlabs_calls.config import ElevenLabsCallsConfig

if TYPE_CHECKING:
    import httpx

#: No dot first: ".." would be another question to the API.
_PATH = re.compile(r"[0-9A-Za-z_:-][0-9A-Za-z_.:-]{0,199}/audio")


async def download(
    http: "httpx.AsyncClient", config: ElevenLabsCallsConfig, url: str, limit: int
) -> plugin.File:
    """Give the recording of a call.

    :param url: as :func:`router_elevenlabs_calls.conversations.recording_of` made it.
    :param limit: the most bytes to take.
    :raises Unavailable: for what may pass: ElevenLabs may have it a little after the call.
    :raises Refused: for any other address, or a recording that is too large.
    """
    root = config.url("conversations/")
    if not (url.startswith(root) and _PATH.fullmatch(url.removeprefix(root))):
        raise plugin.Refused("the recording is not at ElevenLabs; the API key goes nowhere else")
    async with http.stream("GET", url, headers=config.headers) as response:
        try:
            plugin.raise_for_status(response)
        except plugin.Refused as error:
            if error.code != api.GONE:
                raise
            raise plugin.Unavailable("ElevenLabs has no recording as yet") from None
        return await plugin.read_file(response, limit)
