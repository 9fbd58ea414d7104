"""What leaves for Meta, and what its answers mean."""

from dataclasses import replace
from typing import Any

import httpx

from router.plugin import (
    Address,
    Attachment,
    OutboundMessage,
    OutcomeUnknown,
    Refused,
    SendReceipt,
    Template,
    Unavailable,
)
from router.plugin.testing import Expected, Send
from router_whatsapp_cloud.conformance_messages import ANA, NUMBER, NUMBER_ID, USER_ID, WAMID

URL = f"https://graph.facebook.com/v25.0/{NUMBER_ID}/messages"
HELLO = OutboundMessage(id="01k7a", recipient=ANA, text="¡Hola! 👍", in_reply_to="wamid.THEIRS")
PHOTO = Attachment(kind="image", url="https://shop.example/a.jpg", content_type="image/jpeg")
PDF = Attachment(kind="document", url="https://shop.example/a.pdf", name="factura.pdf")
VOICE = Attachment(kind="audio", url="https://shop.example/a.ogg")
PLACE = Attachment(kind="location", name="Depósito", latitude=-34.6, longitude=-58.38)
TAKEN = httpx.Response(
    200,
    json={
        "messaging_product": "whatsapp",
        "contacts": [{"input": NUMBER, "wa_id": NUMBER}],
        "messages": [{"id": WAMID}],
    },
)


def _sent(label: str, message: OutboundMessage, **content: Any) -> Send:
    body = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "biz_opaque_callback_data": "01k7a",
        **({} if "recipient" in content else {"to": NUMBER}),
        **content,
    }
    headers = {"Authorization": "Bearer token-of-nobody"}
    request = Expected("POST", URL, headers=headers, json=body)
    return Send(label, message, TAKEN, expect=SendReceipt(WAMID), requests=[request])


def _impossible(label: str, message: OutboundMessage) -> Send:
    return Send(label, message, raises=Refused(), requests=[])


def _with(*media: Attachment, text: str = "") -> OutboundMessage:
    return OutboundMessage(id="01k7a", recipient=ANA, text=text, media=media)


def problem(status: int, code: int, **headers: str) -> httpx.Response:
    """Give an error as Meta answers it."""
    error = {
        "message": f"(#{code}) Something in English",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": "More of it"},
        "fbtrace_id": "A1",
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={"error": error}, headers=named)


_TEXT = {"body": "¡Hola! 👍", "preview_url": False}

SENDS = (
    _sent("text", HELLO, type="text", text=_TEXT),
    _sent(
        "to a user id",
        replace(HELLO, recipient=Address("bsuid", USER_ID)),
        recipient=USER_ID,
        type="text",
        text=_TEXT,
    ),
    _sent("picture", _with(PHOTO), type="image", image={"link": "https://shop.example/a.jpg"}),
    _sent(
        "picture with a caption",
        _with(PHOTO, text="así es"),
        type="image",
        image={"link": "https://shop.example/a.jpg", "caption": "así es"},
    ),
    _sent(
        "document with its name",
        _with(PDF),
        type="document",
        document={"link": "https://shop.example/a.pdf", "filename": "factura.pdf"},
    ),
    _sent("voice", _with(VOICE), type="audio", audio={"link": "https://shop.example/a.ogg"}),
    _sent(
        "place",
        _with(PLACE),
        type="location",
        location={"latitude": -34.6, "longitude": -58.38, "name": "Depósito"},
    ),
    _sent(
        "template with numbered variables, in their order",
        replace(HELLO, template=Template("cita", {"2": "lunes", "10": "x", "1": "Ana"})),
        type="template",
        template={
            "name": "cita",
            "language": {"code": "es"},
            "components": [
                {
                    "type": "body",
                    "parameters": [
                        {"type": "text", "text": "Ana"},
                        {"type": "text", "text": "lunes"},
                        {"type": "text", "text": "x"},
                    ],
                }
            ],
        },
    ),
    _sent(
        "template with named variables, in a language of its own",
        replace(HELLO, template=Template("cita/pt_BR", {"nome": "Ana"})),
        type="template",
        template={
            "name": "cita",
            "language": {"code": "pt_BR"},
            "components": [
                {
                    "type": "body",
                    "parameters": [{"type": "text", "parameter_name": "nome", "text": "Ana"}],
                }
            ],
        },
    ),
    _sent(
        "template without variables",
        replace(HELLO, template=Template("hola")),
        type="template",
        template={"name": "hola", "language": {"code": "es"}},
    ),
    _impossible("two pictures", _with(PHOTO, PHOTO)),
    _impossible("picture beside a template", replace(_with(PHOTO), template=Template("hola"))),
    _impossible("picture that is nowhere", _with(replace(PHOTO, url=None))),
    _impossible("place that is nowhere", _with(replace(PLACE, latitude=None))),
    _impossible("place with a text", _with(PLACE, text="aquí")),
    _impossible("voice with a text", _with(VOICE, text="escuche")),
    _impossible("caption that is too long", _with(PHOTO, text="x" * 1025)),
    _impossible("contact card", _with(Attachment(kind="contact", name="Luis"))),
    _impossible("nothing", replace(HELLO, text="")),
    _impossible("half a character", replace(HELLO, text="\ud83d")),
    _impossible("address of another channel", replace(HELLO, recipient=Address("lid", "7"))),
    Send("window closed", HELLO, problem(400, 131047), raises=Refused(code="131047")),
    Send("unknown code", HELLO, problem(400, 999999), raises=Refused(code="999999")),
    Send("token expired", HELLO, problem(401, 190), raises=Refused(code="190")),
    Send(
        "too fast, told by a 400",
        HELLO,
        problem(400, 130429),
        raises=Unavailable(code="130429", retry_after=30.0),
    ),
    Send(
        "too many to one customer, with a longer time",
        HELLO,
        problem(429, 131056, Retry_After="90"),
        raises=Unavailable(code="131056", retry_after=90.0),
    ),
    Send(
        "too fast, of an unknown code",
        HELLO,
        problem(429, 999999, Retry_After="7"),
        raises=Unavailable(code="999999", retry_after=7.0),
    ),
    Send(
        "broke after taking it", HELLO, problem(500, 131000), raises=OutcomeUnknown(code="131000")
    ),
    Send("broke, naming a code", HELLO, problem(500, 131047), raises=OutcomeUnknown(code="131047")),
    Send("a 200 that carries an error", HELLO, problem(200, 131026), raises=Refused(code="131026")),
    Send("a redirect that carries an error", HELLO, problem(302, 190), raises=Refused(code="302")),
    Send("no id", HELLO, httpx.Response(200, json={"messages": [{}]}), raises=OutcomeUnknown),
    Send("no message", HELLO, httpx.Response(200, json={"messages": []}), raises=OutcomeUnknown),
    Send("no object", HELLO, httpx.Response(200, json=[]), raises=OutcomeUnknown),
)

#: With `quote`.
QUOTED = (
    _sent(
        "answer that shows what it answers",
        HELLO,
        type="text",
        text=_TEXT,
        context={"message_id": "wamid.THEIRS"},
    ),
    _sent(
        "picture",
        _with(PHOTO),
        type="image",
        image={"link": "https://shop.example/a.jpg"},
    ),
    _sent(
        "template, which answers nothing",
        replace(HELLO, template=Template("hola")),
        type="template",
        template={"name": "hola", "language": {"code": "es"}},
    ),
)
