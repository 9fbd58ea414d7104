"""The simulator keeps the contract."""

import json
from time import monotonic

import pytest

from router import plugin
from router.plugin.testing import FakeContext, conformance
from router_simulator import Simulator, SimulatorConfig, router_register
from router_simulator.conformance import SimulatorConformance


class TestSimulator(SimulatorConformance):
    pass


def test_registers_one_channel_kind_that_needs_no_configuration() -> None:
    registry = plugin.Registry()

    router_register(registry)

    registration = registry.channels["simulator"]
    assert registration.config() == SimulatorConfig()
    assert not registry.ai_backends
    assert not registry.actions


def test_ships_what_router_plugins_check_runs() -> None:
    registry = plugin.Registry()
    router_register(registry)

    results = conformance(registry.channels["simulator"])

    assert {result.outcome for result in results} == {"passed", "exempt"}
    exempt = [result.check for result in results if result.outcome == "exempt"]
    assert exempt == [
        "unsigned_request",
        "tampered_body",
        "malformed_signature",
        "provider_errors",
    ]


async def test_sending_takes_as_long_as_the_delay_says() -> None:
    config = SimulatorConfig.model_validate({"delay": "20ms"})
    message = plugin.OutboundMessage(id="o1", recipient=plugin.Address("tel", "+1"), text="hi")
    started = monotonic()

    receipt = await Simulator(config, FakeContext()).send(message)

    assert receipt == plugin.SendReceipt("sim-o1")
    assert monotonic() - started >= 0.02


def test_a_get_has_no_answer() -> None:
    context = FakeContext()
    request = plugin.WebhookRequest(
        method="GET", url=context.webhook_url(), received_at=context.clock.now()
    )

    assert Simulator(SimulatorConfig(), context).acknowledge(request) is None


@pytest.mark.parametrize(
    "sender, address",
    [
        ("+573001234567", "tel:+573001234567"),
        ("573001234567", "tel:+573001234567"),
        ("(300) 123-4567", "tel:+3001234567"),
        ("telegram:42", "telegram:42"),
        ("Telegram:Ana Z", "telegram:Ana Z"),
    ],
)
def test_a_sender_is_a_number_or_an_address(sender: str, address: str) -> None:
    context = FakeContext()
    body = json.dumps({"id": "m", "from": sender}).encode()
    request = plugin.WebhookRequest(
        url=context.webhook_url(), body=body, received_at=context.clock.now()
    )

    (event,) = Simulator(SimulatorConfig(), context).parse(request)

    assert str(event.address) == address
