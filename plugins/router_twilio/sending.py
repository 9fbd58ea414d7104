"""What leaves for Twilio, and what its answer means.

https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
"""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from router import plugin
from router_twilio.addresses import written
from router_twilio.codes import row_for
from router_twilio.config import TwilioConfig
from router_twilio.errors import failure, refusal, words_for

if TYPE_CHECKING:
    import httpx

#: In bytes. Twilio takes "1,600 characters" of one text, of which what GSM-7 does not have uses
#: more than one; bytes of UTF-8 are no fewer. The rest is for brackets and the like, which count
#: twice in GSM-7.
MAX_TEXT = 1500

_OFFICE = "application/vnd.openxmlformats-officedocument."
#: What Twilio sends to WhatsApp. A picture as webp would have to be a sticker.
#: https://www.twilio.com/docs/whatsapp/guidance-whatsapp-media-messages
MEDIA_TYPES = frozenset(
    (
        "image/jpeg",
        "image/png",
        "audio/aac",
        "audio/amr",
        "audio/mpeg",
        "audio/ogg",
        "video/mp4",
        "application/pdf",
        "application/msword",
        f"{_OFFICE}wordprocessingml.document",
        f"{_OFFICE}spreadsheetml.sheet",
        f"{_OFFICE}presentationml.presentation",
    )
)

_LOST = frozenset({"failed", "undelivered", "canceled"})


def form_of(message: plugin.OutboundMessage, config: TwilioConfig, callback: str) -> dict[str, str]:
    """Give the form that sends a message.

    :param callback: where delivery reports shall go.
    :raises Refused: if WhatsApp has no such message.
    """
    form = {"To": written(message.recipient)}
    if config.sender is not None:
        form["From"] = config.sender
    if config.messaging_service_sid is not None:
        form["MessagingServiceSid"] = config.messaging_service_sid
    form["StatusCallback"] = callback
    if message.template is not None:
        if message.media:
            raise plugin.Refused("a template brings its own media. Leave the attachments out")
        form["ContentSid"] = message.template.ref
        if message.template.variables:
            variables = dict(message.template.variables)
            form["ContentVariables"] = json.dumps(variables, ensure_ascii=False)
    else:
        if len(message.media) > 1:
            raise plugin.Refused("WhatsApp takes one attachment a message. Send the others apart")
        for attachment in message.media:
            form |= _attached(attachment)
        body = body_of(message)
        if body:
            form["Body"] = body
        elif not message.media:
            raise plugin.Refused("there is nothing in the message")
    try:
        "".join(form.values()).encode()
    except UnicodeEncodeError:
        raise plugin.Refused("the message holds half a character, which is no text") from None
    return form


def body_of(message: plugin.OutboundMessage) -> str:
    """Give the text that a message has at Twilio. A place has to have one."""
    places = [one for one in message.media if one.kind == "location"]
    if message.text or not places:
        return message.text
    place = places[0]
    return place.name or f"{place.latitude}, {place.longitude}"


def receipt_of(
    response: "httpx.Response", config: TwilioConfig, now: datetime
) -> plugin.SendReceipt:
    """Read the answer to a message.

    :raises ProviderError: what it means, if it is not that the message was taken.
    """
    error = failure(response, now, config.secrets)
    if error is not None:
        raise error
    try:
        body: Any = response.json()
        sid = body["sid"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise plugin.OutcomeUnknown(
            f"Twilio answered {response.status_code}, but no message's SID"
        ) from None
    if not isinstance(sid, str) or not sid:
        raise plugin.OutcomeUnknown(f"Twilio answered {response.status_code} with an empty SID")
    if body.get("status") in _LOST:
        # Taken, and lost at once: it certainly reaches nobody.
        code, row = body.get("error_code"), row_for(body.get("error_code"))
        if row is not None:
            raise refusal(row, now)
        words = words_for(code, str(body.get("error_message") or ""), config.secrets)
        raise plugin.Refused(words, code=None if code is None else str(code))
    return plugin.SendReceipt(sid)


def _attached(attachment: plugin.Attachment) -> dict[str, str]:
    if attachment.kind == "location":
        if attachment.latitude is None or attachment.longitude is None:
            raise plugin.Refused("the place has no latitude and longitude")
        place = f"geo:{_degrees(attachment.latitude)},{_degrees(attachment.longitude)}"
        label = (attachment.name or "").replace("|", " ")
        return {"PersistentAction": f"{place}|{label}" if label else place}
    if not attachment.url:
        raise plugin.Refused(
            f"the {attachment.kind} has no address that Twilio could fetch it from"
        )
    return {"MediaUrl": attachment.url}


def _degrees(value: float) -> str:
    return f"{value:.7f}".rstrip("0").rstrip(".")
