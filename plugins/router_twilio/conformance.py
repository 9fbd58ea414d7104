"""What ``router plugins check twilio_whatsapp`` runs."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr

from router.plugin import (
    Address,
    Attachment,
    DeliveryReported,
    MessageReceived,
    OutboundMessage,
    OutcomeUnknown,
    Refused,
    SendReceipt,
    SentMessage,
    Template,
    Unavailable,
    WebhookAnswer,
    WebhookRequest,
)
from router.plugin.testing import PUBLIC_URL, ChannelSuite, Expected, Find, Receive, Send
from router_twilio.channel import TwilioWhatsApp
from router_twilio.config import TwilioConfig
from router_twilio.errors import CODES
from router_twilio.signatures import sign

ACCOUNT = "AC00000000000000000000000000000001"
SID = "SM00000000000000000000000000000001"
TOKEN = "12345678901234567890123456789012"
URL = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
SENDER = "whatsapp:+14155550199"
ANA = Address("tel", "+5491155550100")
SINCE = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)

NOTHING = WebhookAnswer(body=b"<Response/>", content_type="text/xml")
EMPTY = WebhookAnswer(status=204)

FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}

_MESSAGE = {
    "MessageSid": SID,
    "SmsSid": SID,
    "SmsMessageSid": SID,
    "AccountSid": ACCOUNT,
    "From": "whatsapp:+5491155550100",
    "To": SENDER,
    "NumMedia": "0",
    "NumSegments": "1",
    "SmsStatus": "received",
    "ApiVersion": "2010-04-01",
}
_REPORT = {
    "MessageSid": SID,
    "SmsSid": SID,
    "AccountSid": ACCOUNT,
    "From": SENDER,
    "To": "whatsapp:+5491155550100",
    "ApiVersion": "2010-04-01",
}
_MEDIA = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages/MM1/Media/ME"


def _body(fields: Mapping[str, str], **more: str) -> bytes:
    return urlencode({**fields, **more}).encode()


def _received(label: str, expect: MessageReceived, **fields: str) -> Receive:
    return Receive(label, _body(_MESSAGE, **fields), [expect], headers=FORM, answer=NOTHING)


def _reported(label: str, status: str, expect: DeliveryReported, **fields: str) -> Receive:
    return Receive(
        label,
        _body(_REPORT, MessageStatus=status, SmsStatus=status, **fields),
        [expect],
        endpoint="status",
        headers=FORM,
        query={} if expect.item is None else {"item": expect.item},
        answer=EMPTY,
    )


def _refused(body: bytes, label: str, endpoint: str = "") -> Receive:
    return Receive(label, body, rejects=ValueError, endpoint=endpoint, headers=FORM)


def _without(name: str) -> bytes:
    return _body({key: value for key, value in _MESSAGE.items() if key != name})


RECEIVES = (
    _received(
        "text",
        MessageReceived(
            SID,
            ANA,
            "  Hola, ¿tienen stock? 👍\n",
            name="Ana Pérez",
            metadata={"message_type": "text", "wa_id": "5491155550100"},
        ),
        Body="  Hola, ¿tienen stock? 👍\n",
        MessageType="text",
        ProfileName="Ana Pérez",
        WaId="5491155550100",
    ),
    Receive(
        "no more than is promised",
        _body({"MessageSid": SID, "From": "whatsapp:+5491155550100", "To": SENDER}),
        [MessageReceived(SID, ANA)],
        answer=NOTHING,
    ),
    _received("fields that nobody knows", MessageReceived(SID, ANA, "x"), Body="x", New="1", A=""),
    _received(
        "business-scoped user id, with the number beside it",
        MessageReceived(
            SID,
            Address("bsuid", "US.13491208655302741918"),
            "hola",
            aliases=(Address("tel", "+5491155550100"),),
            metadata={"wa_id": "5491155550100"},
        ),
        From="whatsapp:US.13491208655302741918",
        WaId="5491155550100",
        Body="hola",
    ),
    _received(
        "business-scoped user id of the parent company, without a number",
        MessageReceived(
            SID,
            Address("bsuid", "US.ENT.11815799212886844830"),
            "hola",
            metadata={"external_user_identifier": "US.13491208655302741918"},
        ),
        From="whatsapp:US.ENT.11815799212886844830",
        ExternalUserIdentifier="US.13491208655302741918",
        Body="hola",
    ),
    _received(
        "number that WhatsApp writes in another way",
        MessageReceived(
            SID,
            Address("tel", "+525512345678"),
            "hola",
            aliases=(Address("tel", "+5215512345678"),),
            metadata={"wa_id": "5215512345678"},
        ),
        From="whatsapp:+525512345678",
        WaId="5215512345678",
        Body="hola",
    ),
    _received(
        "address of a sort still to come",
        MessageReceived(SID, Address("whatsapp", "@ana.perez"), "hola"),
        From="whatsapp:@ana.perez",
        Body="hola",
    ),
    _received(
        "picture with a caption, and a voice message",
        MessageReceived(
            SID,
            ANA,
            "así llegó",
            attachments=(
                Attachment(kind="image", url=f"{_MEDIA}0", content_type="image/jpeg"),
                Attachment(kind="audio", url=f"{_MEDIA}1", content_type="audio/ogg; codecs=opus"),
            ),
            metadata={"message_type": "image"},
        ),
        Body="así llegó",
        MessageType="image",
        NumMedia="2",
        MediaUrl0=f"{_MEDIA}0",
        MediaContentType0="image/jpeg",
        MediaUrl1=f"{_MEDIA}1",
        MediaContentType1="audio/ogg; codecs=opus",
    ),
    *(
        _received(
            f"attachment {content_type} of a {message_type}",
            MessageReceived(
                SID,
                ANA,
                attachments=(
                    Attachment(kind=kind, url=f"{_MEDIA}0", content_type=content_type or None),
                ),
                metadata={"message_type": message_type},
            ),
            Body="",
            MessageType=message_type,
            NumMedia="1",
            MediaUrl0=f"{_MEDIA}0",
            MediaContentType0=content_type,
        )
        for content_type, message_type, kind in (
            ("video/mp4", "video", "video"),
            ("application/pdf", "document", "document"),
            ("image/webp", "sticker", "sticker"),
            ("text/x-vcard", "contacts", "contact"),
            ("", "audio", "audio"),
            ("", "unheard_of", "document"),
        )
    ),
    _received(
        "location",
        MessageReceived(
            SID,
            ANA,
            attachments=(
                Attachment(
                    kind="location", name="Depósito", latitude=-34.603722, longitude=-58.381592
                ),
            ),
            metadata={
                "message_type": "location",
                "location_label": "Depósito",
                "location_address": "Av. Corrientes 1234",
            },
        ),
        MessageType="location",
        Latitude="-34.603722",
        Longitude="-58.381592",
        Label="Depósito",
        Address="Av. Corrientes 1234",
    ),
    _received(
        "location that is none",
        MessageReceived(SID, ANA, "aquí"),
        Body="aquí",
        Latitude="91",
        Longitude="cerca",
    ),
    _received(
        "button",
        MessageReceived(
            SID,
            ANA,
            "Sí, confirmo",
            metadata={
                "message_type": "button",
                "button_text": "Sí, confirmo",
                "button_payload": "confirm:17",
                "button_type": "QUICK_REPLY",
            },
        ),
        Body="Sí, confirmo",
        MessageType="button",
        ButtonText="Sí, confirmo",
        ButtonPayload="confirm:17",
        ButtonType="QUICK_REPLY",
    ),
    _received(
        "list",
        MessageReceived(
            SID,
            ANA,
            "Envíos",
            metadata={
                "message_type": "interactive",
                "list_id": "shipping",
                "list_title": "Envíos",
                "interactive_data": '{"a": 1}',
            },
        ),
        MessageType="interactive",
        ListId="shipping",
        ListTitle="Envíos",
        InteractiveData='{"a": 1}',
    ),
    _received(
        "reply to one of our messages",
        MessageReceived(
            SID,
            ANA,
            "este",
            in_reply_to="SM00000000000000000000000000000009",
            metadata={"replied_sender": SENDER},
        ),
        Body="este",
        OriginalRepliedMessageSid="SM00000000000000000000000000000009",
        OriginalRepliedMessageSender=SENDER,
    ),
    _received(
        "reply to a message that is too old to be named, forwarded",
        MessageReceived(
            SID, ANA, "este", metadata={"replied_sender": SENDER, "forwarded": "true"}
        ),
        Body="este",
        OriginalRepliedMessageSender=SENDER,
        Forwarded="true",
    ),
    _received(
        "from an advertisement",
        MessageReceived(
            SID,
            ANA,
            "¿precio?",
            metadata={
                "referral_headline": "Zapatillas",
                "referral_source_id": "23851",
                "referral_source_type": "ad",
                "referral_source_url": "https://fb.me/x",
                "referral_ctwa_clid": "ARAk",
            },
        ),
        Body="¿precio?",
        ReferralHeadline="Zapatillas",
        ReferralSourceId="23851",
        ReferralSourceType="ad",
        ReferralSourceUrl="https://fb.me/x",
        ReferralCtwaClid="ARAk",
    ),
    *(
        _reported(f"status {status}", status, DeliveryReported(SID, ANA, word, item="01k7a"))
        for status, word in (
            ("accepted", "queued"),
            ("scheduled", "queued"),
            ("queued", "queued"),
            ("sending", "queued"),
            ("sent", "sent"),
            ("delivered", "delivered"),
            ("read", "read"),
            ("undelivered", "failed"),
            ("canceled", "failed"),
            ("partially_delivered", "partially_delivered"),
            ("something new", "something new"),
        )
    ),
    _reported(
        "failure with a known code",
        "failed",
        DeliveryReported(
            SID, ANA, "failed", item="01k7a", code="63016", reason=CODES[63016].words
        ),
        ErrorCode="63016",
        ErrorMessage="Failed to send freeform message",
        ChannelPrefix="whatsapp",
    ),
    _reported(
        "failure with an unknown code, of a message sent elsewhere",
        "failed",
        DeliveryReported(
            SID,
            ANA,
            "failed",
            code="99999",
            reason="Something new. See https://www.twilio.com/docs/errors/99999",
        ),
        ErrorCode="99999",
        ChannelStatusMessage="Something new.",
    ),
    _reported(
        "read by somebody with a user id",
        "read",
        DeliveryReported(SID, Address("bsuid", "US.13"), "read", item="01k7a"),
        To="whatsapp:US.13",
        EventType="READ",
    ),
    Receive(
        "report at the address for messages",
        _body(_REPORT, MessageStatus="delivered"),
        [DeliveryReported(SID, ANA, "delivered")],
        headers=FORM,
        answer=NOTHING,
    ),
    _refused(_without("MessageSid"), "message without an id"),
    _refused(_without("From"), "message from nobody"),
    _refused(_without("To"), "message to nobody"),
    _refused(_body(_MESSAGE, From="+5491155550100"), "text message, no WhatsApp"),
    _refused(_body(_MESSAGE, From="whatsapp:"), "message from an empty address"),
    _refused(_body(_REPORT), "report without a status", endpoint="status"),
    _refused(_body(_REPORT, MessageStatus="sent", MessageSid=""), "report of nothing", "status"),
    _refused(_body(_MESSAGE), "endpoint that does not exist", endpoint="voice"),
    Receive("not signed", _body(_MESSAGE), headers=FORM, rejects=ValueError and __import__("builtins").ValueError),
)
