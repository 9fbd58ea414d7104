"""Delivery reports as Twilio brings them, and what the channel makes of them."""

from router.plugin import Address, DeliveryReported, Refusal, WebhookAnswer
from router.plugin.testing import Receive
from router_twilio.codes import CODES
from router_twilio.conformance_messages import (
    ACCOUNT,
    ANA,
    FORM,
    NOTHING,
    SENDER,
    SID,
    body_of,
    refused,
)

EMPTY = WebhookAnswer(status=204)

_REPORT = {
    "MessageSid": SID,
    "SmsSid": SID,
    "AccountSid": ACCOUNT,
    "From": SENDER,
    "To": "whatsapp:+5491155550100",
    "ApiVersion": "2010-04-01",
}


def _reported(label: str, status: str, expect: DeliveryReported, **fields: str) -> Receive:
    return Receive(
        label,
        body_of(_REPORT, MessageStatus=status, SmsStatus=status, **fields),
        [expect],
        endpoint="status",
        headers=FORM,
        query={} if expect.item is None else {"item": expect.item},
        answer=EMPTY,
    )


REPORTS = (
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
            SID,
            ANA,
            "failed",
            item="01k7a",
            code="63016",
            reason=CODES[63016].words,
            why=Refusal.WINDOW_CLOSED,
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
        body_of(_REPORT, MessageStatus="delivered"),
        [DeliveryReported(SID, ANA, "delivered")],
        headers=FORM,
        answer=NOTHING,
    ),
    refused(body_of(_REPORT), "report without a status", endpoint="status"),
    refused(body_of(_REPORT, MessageStatus="sent", MessageSid=""), "report of nothing", "status"),
)
