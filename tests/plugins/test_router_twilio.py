"""The channel ``twilio_whatsapp`` keeps the contract."""

from router import plugin
from router.plugin.testing import conformance
from router_twilio import router_register
from router_twilio.conformance import SharedKeyConformance, TwilioWhatsAppConformance


class TestTwilioWhatsApp(TwilioWhatsAppConformance):
    pass


class TestSharedKey(SharedKeyConformance):
    pass


def test_ships_what_router_plugins_check_runs() -> None:
    registry = plugin.Registry()
    router_register(registry)

    results = conformance(registry.channels["twilio_whatsapp"])

    assert {result.outcome for result in results} == {"passed"}
