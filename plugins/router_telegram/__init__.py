"""The channel ``telegram``: a bot of Telegram's."""

from router_telegram.channel import Telegram, router_register
from router_telegram.config import TelegramConfig

router_api = (1, 1)

__all__ = ["Telegram", "TelegramConfig", "router_api", "router_register"]
