"""What Twilio's webhooks say, in the router's words."""

import re
from collections.abc import Collection, Iterator, Mapping

from router import plugin
from router_twilio.addresses import PREFIX, address_of
from router_twilio.codes import row_for
from router_twilio.errors import words_for

STATUS_ENDPOINT = "status"

#: Fields that a rule or a person may want to see, and what they are called in ``metadata``.
METADATA = {
    "MessageType": "message_type",
    "WaId": "wa_id",
    "ExternalUserIdentifier": "external_user_identifier",
    "ButtonText": "button_text",
    "ButtonPayload": "button_payload",
    "ButtonType": "button_type",
    "ListId": "list_id",
    "ListTitle": "list_title",
    "InteractiveData": "interactive_data",
    "Label": "location_label",
    "Address": "location_address",
    "OriginalRepliedMessageSender": "replied_sender",
    "Forwarded": "forwarded",
    "FrequentlyForwarded": "frequently_forwarded",
    "ReferralBody": "referral_body",
    "ReferralHeadline": "referral_headline",
    "ReferralSourceId": "referral_source_id",
    "ReferralSourceType": "referral_source_type",
    "ReferralSourceUrl": "referral_source_url",
    "ReferralMediaId": "referral_media_id",
    "ReferralMediaContentType": "referral_media_content_type",
    "ReferralMediaUrl": "referral_media_url",
    "ReferralNumMedia": "referral_num_media",
    "ReferralCtwaClid": "referral_ctwa_clid",
    "ChannelMetadata": "channel_metadata",
    "OptOutType": "opt_out_type",
}

#: Twilio's words for how far a message got, and the router's. Any other word passes as it is.
STATUSES = {
    "accepted": "queued",
    "scheduled": "queued",
    "queued": "queued",
    "sending": "queued",
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "failed": "failed",
    "undelivered": "failed",
    "canceled": "failed",
}

_INCOMING = frozenset({"receiving", "received"})
_MESSAGE_TYPES = frozenset({"image", "audio", "video", "document", "sticker"})
_CARDS = frozenset({"text/vcard", "text/x-vcard", "text/directory"})
_DIGITS = re.compile(r"[0-9]{4,15}")
_DEGREES = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{1,30})?")


def events_in(
    request: plugin.WebhookRequest, alias_fields: Collection[str]
) -> tuple[plugin.InboundEvent, ...]:
    """Read the event of a webhook; a word that opts out is two.

    What it is about is told by its fields, not by its endpoint, so that a callback whose address
    somebody set at Twilio by hand is understood, too.

    :raises ValueError: if it is neither a message nor a report.
    """
    if request.endpoint not in {"", STATUS_ENDPOINT}:
        raise ValueError(f"the channel has no endpoint {request.endpoint[:80]!r}")
    fields: dict[str, str] = {}
    for name, value in request.form:
        fields.setdefault(name, value)
    status = fields.get("MessageStatus") or fields.get("SmsStatus") or ""
    reported = request.endpoint == STATUS_ENDPOINT or "MessageStatus" in fields
    if status not in _INCOMING and reported:
        return (_report(request, fields, status),)
    message = _message(fields, alias_fields)
    if fields.get("OptOutType") != "STOP":
        return (message,)
    # Twilio has told the customer so by itself, and sends them nothing of ours any more.
    reason = "said so to Twilio's opt-out"
    return message, plugin.ContactOptedOut(message.id, message.sender, reason)


def _message(fields: Mapping[str, str], alias_fields: Collection[str]) -> plugin.MessageReceived:
    sender = address_of(_required(fields, "From"))
    _required(fields, "To")
    text = fields.get("Body") or fields.get("ButtonText") or fields.get("ListTitle") or ""
    return plugin.MessageReceived(
        _required(fields, "MessageSid"),
        sender,
        text,
        attachments=(*_media(fields), *_location(fields)),
        name=fields.get("ProfileName") or None,
        aliases=tuple(_aliases(fields, alias_fields, sender)),
        in_reply_to=fields.get("OriginalRepliedMessageSid") or None,
        metadata={key: fields[name] for name, key in METADATA.items() if fields.get(name)},
    )


def _report(
    request: plugin.WebhookRequest, fields: Mapping[str, str], status: str
) -> plugin.DeliveryReported:
    if not status:
        raise ValueError("the field MessageStatus is missing")
    code = fields.get("ErrorCode") or None
    reason = None
    if code is not None:
        said = fields.get("ErrorMessage") or fields.get("ChannelStatusMessage") or ""
        reason = words_for(code, said)
    row = row_for(code)
    failed = STATUSES.get(status) == "failed"
    return plugin.DeliveryReported(
        _required(fields, "MessageSid"),
        address_of(_required(fields, "To")),
        STATUSES.get(status, status),
        item=next((value for name, value in request.query if name == "item" and value), None),
        code=code,
        reason=reason,
        why=row.why if failed and row is not None else None,
    )


def _required(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name)
    if not value:
        raise ValueError(f"the field {name} is missing")
    return value


def _aliases(
    fields: Mapping[str, str], names: Collection[str], sender: plugin.Address
) -> Iterator[plugin.Address]:
    """Give the other addresses of the sender. What is in doubt is none: it would join people."""
    found: list[plugin.Address] = []
    if "WaId" in names and _DIGITS.fullmatch(fields.get("WaId", "")):
        found.append(plugin.Address("tel", "+" + fields["WaId"]))
    other = fields.get("ExternalUserIdentifier", "").removeprefix(PREFIX)
    if "ExternalUserIdentifier" in names and other:
        address = address_of(PREFIX + other)
        if address.scheme != "whatsapp":
            found.append(address)
    for address in dict.fromkeys(found):
        if address != sender:
            yield address


def _media(fields: Mapping[str, str]) -> Iterator[plugin.Attachment]:
    number = 0
    while url := fields.get(f"MediaUrl{number}"):
        content_type = fields.get(f"MediaContentType{number}") or None
        yield plugin.Attachment(
            kind=_kind(content_type, fields.get("MessageType", "")),
            url=url,
            content_type=content_type,
        )
        number += 1


def _kind(content_type: str | None, message_type: str) -> str:
    declared = (content_type or "").partition(";")[0].strip().lower()
    if declared in _CARDS:
        return "contact"
    group = declared.partition("/")[0]
    if message_type == "sticker" and group in {"", "image"}:
        return "sticker"
    if group in {"image", "audio", "video"}:
        return group
    return message_type if not declared and message_type in _MESSAGE_TYPES else "document"


def _location(fields: Mapping[str, str]) -> Iterator[plugin.Attachment]:
    latitude, longitude = fields.get("Latitude", ""), fields.get("Longitude", "")
    if not (_DEGREES.fullmatch(latitude) and _DEGREES.fullmatch(longitude)):
        return
    if abs(float(latitude)) <= 90 and abs(float(longitude)) <= 180:
        yield plugin.Attachment(
            kind="location",
            name=fields.get("Label") or fields.get("Address") or None,
            latitude=float(latitude),
            longitude=float(longitude),
        )
