"""What the pipeline works by: the settings in force and the instances built from them."""

from dataclasses import dataclass

from router.pipeline.instances.instances import Instances
from router.plugin.channel import Capabilities
from router.rules.model import RuleSet
from router.rules.policy import Policy
from router.settings.model import Settings, TenantSettings


@dataclass(frozen=True, slots=True)
class Configuration:
    """One configuration, whole. A reload puts another in its place between two events."""

    settings: Settings
    instances: Instances

    def tenant(self, name: str) -> TenantSettings:
        """Give a tenant's settings.

        :raises KeyError: if the configuration no longer has it.
        """
        return self.settings.tenants[name]

    def rules(self, tenant: str) -> RuleSet:
        return self.settings.tenants[tenant].rules

    def policy(self, tenant: str) -> Policy:
        return self.settings.tenants[tenant].policy

    def capabilities(self, tenant: str, channel: str) -> Capabilities | None:
        """Give what a channel can do; ``None`` where it is not configured."""
        live = self.instances.channels.get((tenant, channel))
        return None if live is None else live.capabilities
