"""The channel ``waha`` keeps the contract."""

from router import plugin
from router.plugin.testing import conformance
from router_waha import router_register
from router_waha.conformance import ChosenConformance, WahaConformance


class TestWaha(WahaConformance):
    pass


class TestChosen(ChosenConformance):
    pass


def test_ships_what_router_plugins_check_runs() -> None:
    registry = plugin.Registry()
    router_register(registry)

    results = conformance(registry.channels["waha"])

    assert {result.outcome for result in results} == {"passed"}
