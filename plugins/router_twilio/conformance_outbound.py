"""What leaves for Twilio, what its answers mean, and what its listing tells."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx

from router.plugin import (
    Address,
    Attachment,
    OutboundMessage,
    OutcomeUnknown,
    Refused,
    SendReceipt,
    SentMessage,
    Template,
    Unavailable,
)
from router.plugin.testing import PUBLIC_URL, Expected, Find, Send
from router_twilio.conformance_messages import ACCOUNT, ANA, SENDER, SID

API = "https://api.twilio.com"
URL = f"{API}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
CALLBACK = f"{PUBLIC_URL}/hooks/test/status?item=01k7a"
BASICS = {"To": "whatsapp:+5491155550100", "From": SENDER, "StatusCallback": CALLBACK}
SINCE = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)

HELLO = OutboundMessage(id="01k7a", recipient=ANA, text="¡Hola! 👍")
PHOTO = Attachment(kind="image", url="https://shop.example/a.jpg", content_type="image/jpeg")
PLACE = Attachment(kind="location", name="Depósito | sur", latitude=-34.6, longitude=-58.38)
CONFIRM = Template("HX00000000000000000000000000000001", {"1": "Ana", "2": "A-17"})

CREATED = httpx.Response(201, json={"sid": SID, "status": "queued", "error_code": None})


def _sent(label: str, message: OutboundMessage, **fields: str) -> Send:
    form = {**BASICS, **fields}
    request = Expected("POST", URL, form=form)
    return Send(label, message, CREATED, expect=SendReceipt(SID), requests=[request])


def _to(address: Address) -> OutboundMessage:
    return replace(HELLO, recipient=address)


def _impossible(label: str, message: OutboundMessage) -> Send:
    return Send(label, message, raises=Refused(), requests=[])


def _classic(status: int, code: int, **headers: str) -> httpx.Response:
    body = {
        "code": code,
        "message": "Something in English",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return httpx.Response(
        status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def _problem(status: int, code: int) -> httpx.Response:
    body = {
        "type": "about:blank",
        "title": "Bad",
        "status": status,
        "code": code,
        "detail": "So bad",
    }
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"})


SENDS = (
    _sent("text", HELLO, Body="¡Hola! 👍"),
    _sent(
        "to a user id",
        _to(Address("bsuid", "US.13491208655302741918")),
        To="whatsapp:US.13491208655302741918",
        Body="¡Hola! 👍",
    ),
    _sent(
        "to an address of a sort still to come",
        _to(Address("whatsapp", "@ana.perez")),
        To="whatsapp:@ana.perez",
        Body="¡Hola! 👍",
    ),
    _sent(
        "picture",
        OutboundMessage(id="01k7a", recipient=ANA, media=(PHOTO,)),
        MediaUrl="https://shop.example/a.jpg",
    ),
    _sent(
        "picture with a caption",
        replace(HELLO, media=(PHOTO,)),
        MediaUrl="https://shop.example/a.jpg",
        Body="¡Hola! 👍",
    ),
    _sent(
        "place",
        OutboundMessage(id="01k7a", recipient=ANA, media=(PLACE,)),
        PersistentAction="geo:-34.6,-58.38|Depósito   sur",
        Body="Depósito | sur",
    ),
    _sent(
        "place without a name",
        OutboundMessage(id="01k7a", recipient=ANA, media=(replace(PLACE, name=None),)),
        PersistentAction="geo:-34.6,-58.38",
        Body="-34.6, -58.38",
    ),
    _sent(
        "template, whose text only says what it reads like",
        replace(HELLO, template=CONFIRM),
        ContentSid="HX00000000000000000000000000000001",
        ContentVariables='{"1": "Ana", "2": "A-17"}',
    ),
    _sent(
        "template without variables",
        replace(HELLO, template=Template(CONFIRM.ref)),
        ContentSid="HX00000000000000000000000000000001",
    ),
    _impossible("two pictures", replace(HELLO, media=(PHOTO, PHOTO))),
    _impossible("picture beside a template", replace(HELLO, template=CONFIRM, media=(PHOTO,))),
    _impossible("picture that is nowhere", replace(HELLO, media=(replace(PHOTO, url=None),))),
    _impossible("place that is nowhere", replace(HELLO, media=(replace(PLACE, latitude=None),))),
    _impossible("nothing", replace(HELLO, text="")),
    _impossible("half a character", replace(HELLO, text="\ud83d")),
    _impossible("address of another channel", _to(Address("telegram", "77"))),
    Send(
        "window closed",
        HELLO,
        _classic(400, 63016),
        raises=Refused(code="63016"),
    ),
    Send("unknown code", HELLO, _classic(400, 99999), raises=Refused(code="99999")),
    Send("newer shape of error", HELLO, _problem(400, 21211), raises=Refused(code="21211")),
    Send("too many calls", HELLO, _classic(429, 20429), raises=Unavailable(code="20429")),
    Send(
        "too many calls, with a time",
        HELLO,
        _classic(429, 20429, Retry_After="7"),
        raises=Unavailable(code="20429", retry_after=7.0),
    ),
    Send(
        "Meta's limit",
        HELLO,
        _classic(429, 63018, Retry_After="7"),
        raises=Unavailable(code="63018", retry_after=7200.0),
    ),
    Send("broke after taking it", HELLO, _classic(500, 20500), raises=OutcomeUnknown(code="20500")),
    Send("broke, naming a code", HELLO, _classic(500, 63016), raises=OutcomeUnknown(code="63016")),
    Send(
        "taken and failed at once",
        HELLO,
        httpx.Response(201, json={"sid": SID, "status": "failed", "error_code": 63016}),
        raises=Refused(code="63016"),
    ),
    Send(
        "taken and failed at once, nobody knows why",
        HELLO,
        httpx.Response(201, json={"sid": SID, "status": "undelivered", "error_code": None}),
        raises=Refused(),
    ),
    Send("no SID", HELLO, httpx.Response(201, json={"sid": ""}), raises=OutcomeUnknown),
    Send("no object", HELLO, httpx.Response(201, json=[]), raises=OutcomeUnknown),
)


def _listed(body: str | None = "¡Hola! 👍", sid: str = SID, **more: object) -> dict[str, Any]:
    return {
        "sid": sid,
        "to": "whatsapp:+5491155550100",
        "from": SENDER,
        "body": body,
        "direction": "outbound-api",
        "num_media": "0",
        "status": "delivered",
        "date_created": "Fri, 20 Nov 2026 18:00:02 +0000",
        "date_sent": "Fri, 20 Nov 2026 18:00:03 +0000",
        **more,
    }


#: When Twilio answers, by its own clock.
NOW = "Fri, 20 Nov 2026 18:00:10 GMT"


def _listing(
    *messages: object, following: str | None = None, date: str | None = NOW
) -> httpx.Response:
    page = {"messages": messages, "next_page_uri": following}
    return httpx.Response(200, json=page, headers={} if date is None else {"Date": date})


def _found(label: str, listed: object, message: OutboundMessage = HELLO) -> Find:
    return Find(label, message, SINCE, _listing(listed), expect=[FOUND])


def _not_found(label: str, listed: object) -> Find:
    return Find(label, HELLO, SINCE, _listing(listed), expect=[])


A_PHOTO = OutboundMessage(id="01k7a", recipient=ANA, media=(PHOTO,))
CAPTIONED = replace(HELLO, media=(PHOTO,))
EMPTY_BEFORE = _listed("", date_created="Fri, 20 Nov 2026 17:00:00 +0000")
HOUR_BEFORE = _listed(date_created="Fri, 20 Nov 2026 17:00:00 +0000")
FIRST_PAGE = f"{URL}?To=whatsapp%3A%2B5491155550100&PageSize=1000&From=whatsapp%3A%2B14155550199"
NEXT_PAGE = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?PageSize=1000&Page=1&PageToken=PA1"
FOUND = SentMessage(SID, datetime(2026, 11, 20, 18, 0, 3, tzinfo=UTC))
QUEUED = _listed(status="queued", date_sent=None)

FINDS = (
    Find(
        "on the second page",
        HELLO,
        SINCE,
        _listing(_listed("something else"), following=NEXT_PAGE),
        _listing(_listed()),
        expect=[FOUND],
        requests=[Expected("GET", FIRST_PAGE), Expected("GET", API + NEXT_PAGE)],
    ),
    Find(
        "still queued, so that it has no date of sending",
        HELLO,
        SINCE,
        _listing(QUEUED),
        expect=[SentMessage(SID, datetime(2026, 11, 20, 18, 0, 2, tzinfo=UTC))],
    ),
    Find(
        "twice",
        HELLO,
        SINCE,
        _listing(_listed(), _listed(sid="SM2")),
        expect=[FOUND, replace(FOUND, provider_id="SM2")],
    ),
    Find("nothing", HELLO, SINCE, _listing(), expect=[]),
    Find("nothing, and no time", HELLO, SINCE, _listing(date=None), expect=[]),
    Find(
        "in time, and no time",
        HELLO,
        SINCE,
        _listing(_listed(), HOUR_BEFORE, date="Fri, 20 Nov 99999999999999999999 18:00:10 GMT"),
        expect=[FOUND],
    ),
    _found("white space at its ends", _listed(" ¡Hola!  👍\n")),
    _found("accents written apart", _listed("canción"), replace(HELLO, text="canción")),
    _found("picture", _listed(num_media="1"), replace(HELLO, media=(PHOTO,))),
    _found("place", _listed(), replace(HELLO, media=(PLACE,))),
    _found("template, by what it reads like", _listed(), replace(HELLO, template=CONFIRM)),
    _found("template with a picture", _listed(num_media="1"), replace(HELLO, template=CONFIRM)),
    _found("by a clock that is late", _listed(date_created="Fri, 20 Nov 2026 17:59:30 +0000")),
    _not_found("another text", _listed("¡Hola!")),
    _not_found("another customer", _listed(to="whatsapp:+5491155550101")),
    _not_found("an hour before", HOUR_BEFORE),
    _not_found("an hour before, without its text", EMPTY_BEFORE),
    Find(
        "beside one whose text was taken out",
        HELLO,
        SINCE,
        _listing(_listed("", sid="SM2"), _listed()),
        expect=[FOUND],
    ),
    Find(
        "a page after one whose text was taken out",
        HELLO,
        SINCE,
        _listing(_listed("", sid="SM2"), following=NEXT_PAGE),
        _listing(_listed()),
        expect=[FOUND],
    ),
    Find("a text, and not our picture", A_PHOTO, SINCE, _listing(_listed()), expect=[]),
    _not_found("what came in", _listed(direction="inbound")),
    _not_found("with a picture", _listed(num_media="1")),
    _not_found("nonsense", 7),
    *(
        Find(label, message, SINCE, reply, raises=OutcomeUnknown)
        for label, message, reply in (
            ("template that reads otherwise", replace(HELLO, template=CONFIRM), _listing()),
            ("one whose text was taken out", HELLO, _listing(_listed(""))),
            ("one whose text is kept back", HELLO, _listing(_listed(body=None))),
            ("one without its picture yet", A_PHOTO, _listing(_listed(""))),
            ("one without its text and picture", CAPTIONED, _listing(_listed(""))),
            ("older such one, and no time", HELLO, _listing(EMPTY_BEFORE, date=None)),
            ("no date", HELLO, _listing(_listed(date_created=None, date_sent="soon"))),
            ("older one, and no time", HELLO, _listing(HOUR_BEFORE, date=None)),
            ("older one, and no such time", HELLO, _listing(HOUR_BEFORE, date="soon")),
            ("strange page", HELLO, _listing(following="https://elsewhere.example/2010-04-01/")),
            ("no listing", HELLO, httpx.Response(200, json={"messages": {}})),
            ("page instead of a listing", HELLO, httpx.Response(200, text="<html>")),
            ("Twilio is broken", HELLO, httpx.Response(500)),
        )
    ),
)

SERVICE_SENDS = (
    Send(
        "by a messaging service",
        replace(HELLO, media=(PHOTO,)),
        CREATED,
        expect=SendReceipt(SID),
        requests=[
            Expected(
                "POST",
                URL,
                headers={
                    "Authorization": "Basic "
                    "U0swMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMTphcGkta2V5LW9mLW5vYm9keQ=="
                },
                form={
                    "To": "whatsapp:+5491155550100",
                    "MessagingServiceSid": "MG00000000000000000000000000000001",
                    "StatusCallback": CALLBACK,
                    "Body": "¡Hola! 👍",
                    "MediaUrl": "https://shop.example/a.jpg",
                },
            )
        ],
    ),
    Send(
        "a file by a messaging service",
        OutboundMessage(id="01k7a", recipient=ANA, media=(PHOTO,)),
        CREATED,
        expect=SendReceipt(SID),
    ),
)
SERVICE_FINDS = (
    Find(
        "whoever sent it",
        HELLO,
        SINCE,
        _listing(_listed()),
        expect=[FOUND],
        requests=[Expected("GET", f"{URL}?To=whatsapp%3A%2B5491155550100&PageSize=1000")],
    ),
)
