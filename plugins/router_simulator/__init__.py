"""The simulator: a telephone without a provider, for trying things out and for tests."""

from router_simulator.channel import Simulator, SimulatorConfig, router_register

router_api = (1, 0)

__all__ = ["Simulator", "SimulatorConfig", "router_api", "router_register"]
