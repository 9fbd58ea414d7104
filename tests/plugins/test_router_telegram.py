"""The channel ``telegram`` keeps the contract."""

from router import plugin
from router.plugin.testing import conformance
from router_telegram import router_register
from router_telegram.conformance import ChosenConformance, TelegramConformance


class TestTelegram(TelegramConformance):
    pass


class TestChosen(ChosenConformance):
    pass


def test_ships_what_router_plugins_check_runs() -> None:
    registry = plugin.Registry()
    router_register(registry)

    results = conformance(registry.channels["telegram"])

    assert {result.outcome for result in results} == {"passed", "exempt"}
