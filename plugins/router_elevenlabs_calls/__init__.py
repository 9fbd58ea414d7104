"""The channel ``elevenlabs_calls`` and the action ``elevenlabs_batch``: ElevenLabs's calls."""

from router_elevenlabs_calls.channel import ElevenLabsCalls, router_register
from router_elevenlabs_calls.config import ElevenLabsBatchConfig, ElevenLabsCallsConfig
from router_elevenlabs_calls.dialling import ElevenLabsBatch

router_api = (1, 1)

__all__ = [
    "ElevenLabsBatch",
    "ElevenLabsBatchConfig",
    "ElevenLabsCalls",
    "ElevenLabsCallsConfig",
    "router_api",
    "router_register",
]
