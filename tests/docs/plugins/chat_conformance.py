"""The chat backend keeps the contract."""

import httpx
from chat import ChatBackend, ChatConfig

from router import plugin
from router.plugin.testing import AIBackendSuite, Complete

QUESTION = plugin.Prompt(system="Be brief.", turns=(plugin.PromptTurn("user", "Are you open?"),))
YES = {"choices": [{"message": {"role": "assistant", "content": "Until six."}}]}


class TestChat(AIBackendSuite):
    backend = ChatBackend
    config = ChatConfig(url="https://ai.example/v1/chat/completions", model="small")

    completes = (
        Complete(
            "answer",
            QUESTION,
            httpx.Response(200, json=YES),
            expect=plugin.Completion("Until six."),
        ),
    )
