"""The channel ``builderbot`` keeps the contract."""

from router import plugin
from router.plugin.testing import conformance
from router_builderbot import router_register
from router_builderbot.conformance import BuilderbotConformance, UrlSecretConformance


class TestBuilderbot(BuilderbotConformance):
    pass


class TestUrlSecret(UrlSecretConformance):
    pass


def test_ships_what_router_plugins_check_runs() -> None:
    registry = plugin.Registry()
    router_register(registry)

    results = conformance(registry.channels["builderbot"])

    assert {result.outcome for result in results} == {"passed", "exempt"}
