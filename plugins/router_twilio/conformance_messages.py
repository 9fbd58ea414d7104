"""Messages as Twilio brings them, each sort, and what the channel makes of them."""

from collections.abc import Mapping
from urllib.parse import urlencode

from router.plugin import (
    Address,
    Attachment,
    ContactOptedOut,
    InvalidSignature,
    MessageReceived,
    WebhookAnswer,
)
from router.plugin.testing import Receive

ACCOUNT = "AC00000000000000000000000000000001"
SID = "SM00000000000000000000000000000001"
SENDER = "whatsapp:+14155550199"
ANA = Address("tel", "+5491155550100")

NOTHING = WebhookAnswer(body=b"<Response/>", content_type="text/xml")

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
_MEDIA = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages/MM1/Media/ME"


def body_of(fields: Mapping[str, str], **more: str) -> bytes:
    """Give a form as the body of a request."""
    return urlencode({**fields, **more}).encode()


def _received(label: str, expect: MessageReceived, **fields: str) -> Receive:
    return Receive(label, body_of(_MESSAGE, **fields), [expect], headers=FORM, answer=NOTHING)


def refused(body: bytes, label: str, endpoint: str = "") -> Receive:
    """Give a row of what is signed and yet says nothing."""
    return Receive(label, body, rejects=ValueError, endpoint=endpoint, headers=FORM)


def _without(name: str) -> bytes:
    return body_of({key: value for key, value in _MESSAGE.items() if key != name})


MESSAGES = (
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
        "field that comes twice, of which the first counts",
        body_of(_MESSAGE, Body="hola") + b"&Body=adi%C3%B3s",
        [MessageReceived(SID, ANA, "hola")],
        headers=FORM,
    ),
    Receive(
        "message at the address for reports",
        body_of(_MESSAGE, Body="hola"),
        [MessageReceived(SID, ANA, "hola")],
        endpoint="status",
        headers=FORM,
    ),
    Receive(
        "no more than is promised",
        body_of({"MessageSid": SID, "From": "whatsapp:+5491155550100", "To": SENDER}),
        [MessageReceived(SID, ANA)],
        answer=NOTHING,
    ),
    Receive(
        "word by which Twilio's opt-out takes a customer off",
        body_of(_MESSAGE, Body="Baja", OptOutType="STOP"),
        [
            MessageReceived(SID, ANA, "Baja", metadata={"opt_out_type": "STOP"}),
            ContactOptedOut(SID, ANA, "said so to Twilio's opt-out"),
        ],
        headers=FORM,
        answer=NOTHING,
    ),
    *(
        _received(
            f"word for {word} of Twilio's opt-out",
            MessageReceived(SID, ANA, "hola", metadata={"opt_out_type": word}),
            Body="hola",
            OptOutType=word,
        )
        for word in ("START", "HELP")
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
        "location that is in words",
        MessageReceived(SID, ANA, "aquí"),
        Body="aquí",
        Latitude="1",
        Longitude="cerca",
    ),
    *(
        _received(
            f"location that is nowhere, {latitude} {longitude}",
            MessageReceived(SID, ANA, "aquí"),
            Body="aquí",
            Latitude=latitude,
            Longitude=longitude,
        )
        for latitude, longitude in (("90.1", "0"), ("0", "-180.1"), ("1e9", "0"), ("nan", "0"))
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
        MessageReceived(SID, ANA, "este", metadata={"replied_sender": SENDER, "forwarded": "true"}),
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
    refused(_without("MessageSid"), "message without an id"),
    refused(_without("From"), "message from nobody"),
    refused(_without("To"), "message to nobody"),
    refused(body_of(_MESSAGE, From="+5491155550100"), "text message, no WhatsApp"),
    refused(body_of(_MESSAGE, From="whatsapp:"), "message from an empty address"),
    refused(body_of(_MESSAGE), "endpoint that does not exist", endpoint="voice"),
    Receive("not signed", body_of(_MESSAGE), headers=FORM, rejects=InvalidSignature),
)
