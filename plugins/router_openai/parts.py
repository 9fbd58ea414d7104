"""Pictures and documents as parts of the customer's turn.

https://platform.openai.com/docs/api-reference/chat/create (content parts of a user message)
"""

import base64
from collections.abc import Iterator
from typing import Any, Final

from router import plugin
from router_openai.config import OpenAIConfig

#: The one kind of document that chat completions take.
PDF: Final = "application/pdf"


def shown(
    turns: list[dict[str, Any]], files: tuple[plugin.File, ...], config: OpenAIConfig
) -> list[dict[str, Any]]:
    """Give the turns with what came with the last one, as far as the table says it is taken."""
    if not turns or turns[-1]["role"] != "user":
        return turns
    parts = list(_parts(files, config))
    if not parts:
        return turns
    if (said := turns[-1]["content"]).strip():  # several servers refuse a text without words
        parts.insert(0, {"type": "text", "text": said})
    return [*turns[:-1], {**turns[-1], "content": parts}]


def _parts(files: tuple[plugin.File, ...], config: OpenAIConfig) -> Iterator[dict[str, Any]]:
    documents = 0
    for each in files:
        if config.vision and each.content_type.startswith("image/"):
            yield {"type": "image_url", "image_url": {"url": _address(each)}}
        elif config.documents and each.content_type == PDF:
            # Servers want a name. The customer's own may say more than the model needs.
            documents += 1
            name = f"document-{documents}.pdf"
            yield {"type": "file", "file": {"filename": name, "file_data": _address(each)}}


def _address(file: plugin.File) -> str:
    return f"data:{file.content_type};base64,{base64.b64encode(file.data).decode('ascii')}"
