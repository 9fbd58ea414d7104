"""Tools as chat completions know them: what is offered, and what came of what was called.

https://platform.openai.com/docs/api-reference/chat/create (tools, tool_choice, tool messages)
"""

import json
from collections.abc import Iterator
from typing import Any

from router import plugin


def offered(prompt: plugin.Prompt) -> dict[str, Any]:
    """Give the fields of the request that offer the prompt's tools.

    They stay in the last request, where none may be called: several servers refuse messages about
    tools that the request does not name.
    """
    if not prompt.tools or prompt.task != "answer":
        return {}
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
            },
        }
        for tool in prompt.tools
    ]
    return {"tools": tools, "tool_choice": "none"} if prompt.last else {"tools": tools}


def called(prompt: plugin.Prompt) -> Iterator[dict[str, Any]]:
    """Give the messages that say what was called for this answer, and what came of it."""
    if not prompt.results:
        return
    # The ids are ours: a call and its result stand in one request, and nowhere else. Mistral's
    # models take no other form than nine letters and digits.
    numbered = [(f"call{number:05}", it) for number, it in enumerate(prompt.results, 1)]
    yield {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": call,
                "type": "function",
                "function": {
                    "name": it.name,
                    "arguments": json.dumps(dict(it.params), ensure_ascii=False),
                },
            }
            for call, it in numbered
        ],
    }
    for call, it in numbered:
        text = f"Failed: {it.text}" if it.failed else it.text
        yield {"role": "tool", "tool_call_id": call, "content": text}
