"""The AI kind ``elevenlabs_agent``: an ElevenLabs agent, spoken with in text over a WebSocket."""

from router_elevenlabs_agent.backend import ElevenLabsAgent, router_register
from router_elevenlabs_agent.config import ElevenLabsAgentConfig

router_api = (1, 1)

__all__ = ["ElevenLabsAgent", "ElevenLabsAgentConfig", "router_api", "router_register"]
