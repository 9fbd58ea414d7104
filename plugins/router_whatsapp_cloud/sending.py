"""What leaves for Meta, and what its answer means.

https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
"""

import json
from typing import TYPE_CHECKING, Any

from router import plugin
from router_whatsapp_cloud.addresses import written
from router_whatsapp_cloud.config import WhatsAppCloudConfig
from router_whatsapp_cloud.errors import failure

if TYPE_CHECKING:
    import httpx

#: How many characters a caption may have.
_MAX_CAPTION = 1024

_CAPTIONED = frozenset({"image", "video", "document"})
_KINDS = frozenset({"image", "audio", "video", "document", "sticker"})


def body_of(message: plugin.OutboundMessage, config: WhatsAppCloudConfig) -> dict[str, Any]:
    """Give the JSON that sends a message.

    Our id of it comes back in each report, so that a report proves what became of a message whose
    answer was lost.

    :raises Refused: if WhatsApp has no such message.
    """
    body = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **written(message.recipient),
        "biz_opaque_callback_data": message.id,
        **_content(message, config),
    }
    if config.quote and message.in_reply_to and message.template is None:
        body["context"] = {"message_id": message.in_reply_to}
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise plugin.Refused("the message holds half a character, which is no text") from None
    return body


def receipt_of(response: "httpx.Response", config: WhatsAppCloudConfig) -> plugin.SendReceipt:
    """Read the answer to a message.

    :raises ProviderError: what it means, if it is not that the message was taken.
    """
    error = failure(response, config.secrets)
    if error is not None:
        raise error
    try:
        name = response.json()["messages"][0]["id"]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        name = None
    if not isinstance(name, str) or not name:
        raise plugin.OutcomeUnknown(f"Meta answered {response.status_code}, but no message's id")
    return plugin.SendReceipt(name)


def _content(message: plugin.OutboundMessage, config: WhatsAppCloudConfig) -> dict[str, Any]:
    if message.template is not None:
        if message.media:
            raise plugin.Refused("a template brings its own media. Leave the attachments out")
        return {"type": "template", "template": _template(message.template, config)}
    if len(message.media) > 1:
        raise plugin.Refused("WhatsApp takes one attachment a message. Send the others apart")
    if message.media:
        return _attached(message.media[0], message.text)
    if not message.text:
        raise plugin.Refused("there is nothing in the message")
    return {"type": "text", "text": {"body": message.text, "preview_url": False}}


def _template(template: plugin.Template, config: WhatsAppCloudConfig) -> dict[str, Any]:
    """Give a template: its name, its language behind a slash, and the values of its text."""
    name, _, language = template.ref.partition("/")
    made: dict[str, Any] = {
        "name": name,
        "language": {"code": language or config.template_language},
    }
    values = template.variables
    if not values:
        return made
    if all(key.isascii() and key.isdigit() for key in values):
        ordered = sorted(values, key=int)
        parameters = [{"type": "text", "text": values[key]} for key in ordered]
    else:
        parameters = [
            {"type": "text", "parameter_name": key, "text": value} for key, value in values.items()
        ]
    made["components"] = [{"type": "body", "parameters": parameters}]
    return made


def _attached(attachment: plugin.Attachment, text: str) -> dict[str, Any]:
    kind = attachment.kind
    if kind == "location":
        return _place(attachment, text)
    if kind not in _KINDS:
        raise plugin.Refused(f"WhatsApp cannot send a {kind}. Send it as a document")
    if not attachment.url:
        raise plugin.Refused(f"the {kind} has no address that Meta could fetch it from")
    file = {"link": attachment.url}
    if text and kind not in _CAPTIONED:
        raise plugin.Refused(f"WhatsApp shows no text beside a {kind}. Send the text apart")
    if len(text) > _MAX_CAPTION:
        raise plugin.Refused(f"WhatsApp takes {_MAX_CAPTION:,} characters beside a {kind}")
    if text:
        file["caption"] = text
    if kind == "document" and attachment.name:
        file["filename"] = attachment.name
    return {"type": kind, kind: file}


def _place(place: plugin.Attachment, text: str) -> dict[str, Any]:
    if place.latitude is None or place.longitude is None:
        raise plugin.Refused("the place has no latitude and longitude")
    if text:
        raise plugin.Refused("WhatsApp shows no text beside a place. Send the text apart")
    location: dict[str, Any] = {"latitude": place.latitude, "longitude": place.longitude}
    if place.name:
        location["name"] = place.name
    return {"type": "location", "location": location}
