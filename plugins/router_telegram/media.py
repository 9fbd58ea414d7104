"""Fetching what customers sent, in two steps: where is it, and then the file.

https://core.telegram.org/bots/api#getfile
"""

import re
from typing import TYPE_CHECKING

from router import plugin
from router_telegram.config import TelegramConfig
from router_telegram.inbound import FILE
from router_telegram.sending import result_of

if TYPE_CHECKING:
    import httpx

_FILE_ID = re.compile(r"[A-Za-z0-9_-]{1,300}")
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,300}")


async def download(
    http: "httpx.AsyncClient", config: TelegramConfig, url: str, limit: int
) -> plugin.File:
    """Give a file as its provider has it.

    Telegram says ``application/octet-stream`` of most files: what the attachment says is better.

    :param url: what the attachment has in place of an address: the file's id.
    :param limit: the most bytes to take.
    :raises Unavailable: for what may pass.
    :raises Refused: for what is no file of Telegram's, is too large, or is gone.
    """
    file_id = url.removeprefix(FILE)
    if not url.startswith(FILE) or not _FILE_ID.fullmatch(file_id):
        raise plugin.Refused("the file is not at Telegram")
    result = result_of(await http.post(config.method("getFile"), json={"file_id": file_id}), config)
    path = result.get("file_path") if isinstance(result, dict) else None
    if not isinstance(path, str) or not _PATH.fullmatch(path) or ".." in path:
        raise plugin.Refused("Telegram does not give the file")
    async with http.stream("GET", config.file(path)) as response:
        plugin.raise_for_status(response)
        return await plugin.read_file(response, limit)
