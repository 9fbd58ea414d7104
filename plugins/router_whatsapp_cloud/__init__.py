"""The channel ``whatsapp_cloud``: WhatsApp straight from Meta's Cloud API."""

from router_whatsapp_cloud.channel import WhatsAppCloud, router_register
from router_whatsapp_cloud.config import WhatsAppCloudConfig

router_api = (1, 1)

__all__ = ["WhatsAppCloud", "WhatsAppCloudConfig", "router_api", "router_register"]
