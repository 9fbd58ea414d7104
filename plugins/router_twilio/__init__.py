"""The channel ``twilio_whatsapp``: WhatsApp by way of Twilio's Programmable Messaging."""

from router_twilio.channel import TwilioWhatsApp, router_register
from router_twilio.config import TwilioConfig

router_api = (1, 0)

__all__ = ["TwilioConfig", "TwilioWhatsApp", "router_api", "router_register"]
