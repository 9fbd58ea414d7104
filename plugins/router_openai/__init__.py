"""The AI kind ``openai``: any server that speaks the chat-completions protocol."""

from router_openai.backend import OpenAI, router_register
from router_openai.config import OpenAIConfig

router_api = (1, 1)

__all__ = ["OpenAI", "OpenAIConfig", "router_api", "router_register"]
