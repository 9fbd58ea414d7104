"""The channel ``waha``: WhatsApp by way of a WAHA gateway of one's own."""

from router_waha.channel import Waha, router_register
from router_waha.config import WahaConfig

router_api = (1, 1)

__all__ = ["Waha", "WahaConfig", "router_api", "router_register"]
