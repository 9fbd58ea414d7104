"""What leaves for Telegram, and what its answers mean."""

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
from router_telegram.conformance_updates import ANA, CHAT

TOKEN = "123456:token-of-nobody"  # noqa: S105 - it is nobody's
URL = f"https://api.telegram.org/bot{TOKEN}"
HELLO = OutboundMessage(id="01k7a", recipient=ANA, text="¡Hola! 👍", in_reply_to="77001:5")
PHOTO = Attachment(kind="image", url="https://shop.example/a.jpg", content_type="image/jpeg")
VOICE = Attachment(kind="audio", url="https://shop.example/a.ogg", content_type="audio/ogg")
SONG = Attachment(kind="audio", url="https://shop.example/a.mp3", content_type="audio/mpeg")
PDF = Attachment(kind="document", url="https://shop.example/a.pdf", name="factura.pdf")
PLACE = Attachment(kind="location", latitude=-34.6, longitude=-58.38)
TAKEN = httpx.Response(
    200, json={"ok": True, "result": {"message_id": 6, "chat": {"id": CHAT}, "date": 1}}
)


def _sent(label: str, method: str, message: OutboundMessage, **body: Any) -> Send:
    request = Expected("POST", f"{URL}/{method}", json={"chat_id": "77001", **body})
    return Send(label, message, TAKEN, expect=SendReceipt("77001:6"), requests=[request])


def _impossible(label: str, message: OutboundMessage) -> Send:
    return Send(label, message, raises=Refused(), requests=[])


def _with(*media: Attachment, text: str = "") -> OutboundMessage:
    return OutboundMessage(id="01k7a", recipient=ANA, text=text, media=media)


def _failed(label: str, status: int, code: int, said: str, raises: Any, **more: Any) -> Send:
    body = {"ok": False, "error_code": code, "description": said, **more}
    return Send(label, HELLO, httpx.Response(status, json=body), raises=raises)


SENDS = (
    _sent("text", "sendMessage", HELLO, text="¡Hola! 👍"),
    _sent("picture", "sendPhoto", _with(PHOTO), photo="https://shop.example/a.jpg"),
    _sent(
        "picture with a caption",
        "sendPhoto",
        _with(PHOTO, text="así es"),
        photo="https://shop.example/a.jpg",
        caption="así es",
    ),
    _sent("voice", "sendVoice", _with(VOICE), voice="https://shop.example/a.ogg"),
    _sent("song", "sendAudio", _with(SONG), audio="https://shop.example/a.mp3"),
    _sent("document", "sendDocument", _with(PDF), document="https://shop.example/a.pdf"),
    _sent(
        "video",
        "sendVideo",
        _with(Attachment(kind="video", url="https://shop.example/a.mp4")),
        video="https://shop.example/a.mp4",
    ),
    _sent(
        "sticker",
        "sendSticker",
        _with(Attachment(kind="sticker", url="https://shop.example/a.webp")),
        sticker="https://shop.example/a.webp",
    ),
    _sent("place", "sendLocation", _with(PLACE), latitude=-34.6, longitude=-58.38),
    _impossible("template", replace(HELLO, template=Template("hola"))),
    _impossible("two pictures", _with(PHOTO, PHOTO)),
    _impossible("picture that is nowhere", _with(replace(PHOTO, url=None))),
    _impossible("place that is nowhere", _with(replace(PLACE, latitude=None))),
    _impossible("place with a text", _with(PLACE, text="aquí")),
    _impossible("sticker with a text", _with(replace(PHOTO, kind="sticker"), text="x")),
    _impossible("caption that is too long", _with(PHOTO, text="x" * 1025)),
    _impossible("contact card", _with(Attachment(kind="contact", name="Luis"))),
    _impossible("nothing", replace(HELLO, text="")),
    _impossible("half a character", replace(HELLO, text="\ud83d")),
    _impossible("address of another channel", replace(HELLO, recipient=Address("tel", "+1"))),
    _failed(
        "too many messages, with a time",
        429,
        429,
        "Too Many Requests: retry after 11",
        Unavailable(code="429", retry_after=11.0),
        parameters={"retry_after": 11},
    ),
    _failed(
        "too many messages, told by a 200",
        200,
        429,
        "Too Many Requests",
        Unavailable(code="429", retry_after=11.0),
        parameters={"retry_after": 11},
    ),
    _failed(
        "blocked",
        403,
        403,
        "Forbidden: bot was blocked by the user",
        Refused(code="403"),
    ),
    _failed("account gone", 403, 403, "Forbidden: user is deactivated", Refused(code="403")),
    _failed(
        "wrote first",
        403,
        403,
        "Forbidden: bot can't initiate conversation with a user",
        Refused(code="403"),
    ),
    _failed("no such chat", 400, 400, "Bad Request: chat not found", Refused(code="400")),
    _failed("anything else", 400, 400, "Bad Request: wrong file", Refused(code="400")),
    _failed("wrong token", 401, 401, "Unauthorized", Refused(code="401")),
    _failed("no such method", 404, 404, "Not Found", Refused(code="404")),
    _failed("a 200 that carries an error", 200, 400, "Bad Request", Refused(code="400")),
    _failed("broke after taking it", 500, 500, "Internal", OutcomeUnknown(code="500")),
    Send(
        "taken without a number",
        HELLO,
        httpx.Response(200, json={"ok": True, "result": True}),
        raises=OutcomeUnknown,
    ),
    Send("no object", HELLO, httpx.Response(200, json=[]), raises=OutcomeUnknown),
)

#: With `quote`.
QUOTED = (
    _sent(
        "answer that shows what it answers",
        "sendMessage",
        HELLO,
        text="¡Hola! 👍",
        reply_parameters={"message_id": 5, "allow_sending_without_reply": True},
    ),
    _sent("picture", "sendPhoto", _with(PHOTO), photo="https://shop.example/a.jpg"),
    _sent(
        "answer to a message that was changed",
        "sendMessage",
        replace(HELLO, in_reply_to="77001:5:edit:900"),
        text="¡Hola! 👍",
    ),
    _sent(
        "answer to a message of another chat",
        "sendMessage",
        replace(HELLO, in_reply_to="5:5"),
        text="¡Hola! 👍",
    ),
)
