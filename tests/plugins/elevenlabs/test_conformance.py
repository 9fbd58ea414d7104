"""The channel ``elevenlabs_calls`` and the action ``elevenlabs_batch`` keep the contract."""

from router import plugin
from router.plugin.testing import conformance
from router_elevenlabs_calls import router_register
from router_elevenlabs_calls.conformance import (
    ElevenLabsBatchConformance,
    ElevenLabsCallsConformance,
)


class TestElevenLabsCalls(ElevenLabsCallsConformance):
    pass


class TestElevenLabsBatch(ElevenLabsBatchConformance):
    pass


def test_ships_what_router_plugins_check_runs() -> None:
    registry = plugin.Registry()
    router_register(registry)

    results = [
        *conformance(registry.channels["elevenlabs_calls"]),
        *conformance(registry.actions["elevenlabs_batch"]),
    ]

    assert {result.outcome for result in results} == {"passed", "exempt"}
