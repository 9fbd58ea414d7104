"""The channel ``whatsapp_cloud`` keeps the contract."""

from router import plugin
from router.plugin.testing import conformance
from router_whatsapp_cloud import router_register
from router_whatsapp_cloud.conformance import ChosenConformance, WhatsAppCloudConformance


class TestWhatsAppCloud(WhatsAppCloudConformance):
    pass


class TestChosen(ChosenConformance):
    pass


def test_ships_what_router_plugins_check_runs() -> None:
    registry = plugin.Registry()
    router_register(registry)

    results = conformance(registry.channels["whatsapp_cloud"])

    assert {result.outcome for result in results} == {"passed"}
