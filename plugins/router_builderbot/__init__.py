"""The channel ``builderbot``: WhatsApp by way of BuilderBot Cloud."""

from router_builderbot.channel import Builderbot, router_register
from router_builderbot.config import BuilderbotConfig

router_api = (1, 1)

__all__ = ["Builderbot", "BuilderbotConfig", "router_api", "router_register"]
