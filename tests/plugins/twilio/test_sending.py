"""What we send has the names and types of Twilio's published description of its API.

The tables state what it requires, so that nothing but this repository is needed to run them.
"""

import json
import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from router.pipeline.outbound.splitting import split_text
from router.plugin import Address, OutboundMessage, Template
from router.plugin.testing import Expected
from router_twilio import TwilioWhatsApp
from router_twilio.conformance_outbound import FINDS, HELLO, PHOTO, PLACE, SENDS, SERVICE_SENDS
from router_twilio.sending import body_of

#: The parameters of POST /2010-04-01/Accounts/{AccountSid}/Messages.json that we use, of type
#: string unless said otherwise. ``To`` is the only one that is required by itself.
PARAMETERS = {
    "To": "string",
    "From": "string",
    "MessagingServiceSid": "string",
    "Body": "string",
    "MediaUrl": "array of string",
    "ContentSid": "string",
    "ContentVariables": "string",
    "StatusCallback": "string",
    "PersistentAction": "array of string",
}
REQUIRED = {"To"}

#: The parameters of GET Messages.json that we use.
FILTERS = {"To": "string", "From": "string", "PageSize": "integer"}
LARGEST_PAGE = 1000

#: The fields that we read from a message, and from a page of a listing.
MESSAGE_FIELDS = {
    "sid": "string",
    "status": "string",
    "to": "string",
    "body": "string",
    "direction": "string",
    "num_media": "string",
    "date_created": "string",
    "date_sent": "string",
    "error_code": "integer",
    "error_message": "string",
}
PAGE_FIELDS = {"messages": "array of object", "next_page_uri": "string"}

_CALLBACK_HOST = re.compile(r"[A-Za-z0-9.-]+")

POSTS = [
    (row.label, expected)
    for row in (*SENDS, *SERVICE_SENDS)
    if row.raises is None
    for expected in row.requests or ()
]


@pytest.mark.parametrize("expected", [post for _, post in POSTS], ids=[label for label, _ in POSTS])
def test_a_message_has_the_names_and_types_of_the_description(expected: Expected) -> None:
    form = expected.form or {}

    assert set(form) <= set(PARAMETERS)
    assert set(form) >= REQUIRED
    # An array of one is its name once, a string is its name once: no name comes twice.
    assert all(isinstance(value, str) and value for value in form.values())
    assert ("From" in form) or ("MessagingServiceSid" in form)
    assert re.fullmatch(r"whatsapp:.+", form["To"])
    assert len(form.get("Body", "")) <= 1600
    assert not {"Body", "MediaUrl"} & set(form) or "ContentSid" not in form
    if "ContentVariables" in form:
        variables = json.loads(form["ContentVariables"])
        assert all(isinstance(value, str) for value in variables.values())
    callback = urlsplit(form["StatusCallback"])
    assert _CALLBACK_HOST.fullmatch(callback.netloc)
    assert callback.path.endswith("/status")
    assert parse_qsl(callback.query) == [("item", HELLO.id)]


def test_a_listing_is_asked_with_the_names_and_types_of_the_description() -> None:
    asked = [
        parse_qsl(urlsplit(request.url).query)
        for row in FINDS
        for request in (row.requests or ())[:1]
    ]

    assert asked
    for query in asked:
        assert {name for name, _ in query} <= set(FILTERS)
        assert 1 <= int(dict(query)["PageSize"]) <= LARGEST_PAGE


@pytest.mark.parametrize(
    "message, text",
    [
        (HELLO, "¡Hola! 👍"),
        (OutboundMessage(id="m", recipient=HELLO.recipient, media=(PHOTO,)), ""),
        (OutboundMessage(id="m", recipient=HELLO.recipient, media=(PLACE,)), "Depósito | sur"),
        (OutboundMessage(id="m", recipient=HELLO.recipient, text="x", media=(PLACE,)), "x"),
        (
            OutboundMessage(
                id="m", recipient=Address("bsuid", "US.1"), text="read", template=Template("HX1")
            ),
            "read",
        ),
    ],
)
def test_the_text_that_is_sent_is_the_text_that_is_looked_for(
    message: OutboundMessage, text: str
) -> None:
    assert body_of(message) == text


def test_no_part_of_an_ordinary_answer_is_longer_than_twilio_takes() -> None:
    line = "• Manutenção e instalação: às terças, às 9h, é só avisar 👍\n"
    can = TwilioWhatsApp.capabilities

    parts = split_text(line * 40, can.max_text, can.text_unit)

    assert len(parts) > 1
    # However Twilio counts: no reading of its limit counts more than the bytes.
    assert all(len(part.encode()) <= 1600 for part in parts)
