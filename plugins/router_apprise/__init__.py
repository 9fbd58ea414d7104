"""The action ``apprise``: tell people through any of the services that apprise knows."""

from router_apprise.action import Apprise, router_register
from router_apprise.config import AppriseConfig

router_api = (1, 1)

__all__ = ["Apprise", "AppriseConfig", "router_api", "router_register"]
