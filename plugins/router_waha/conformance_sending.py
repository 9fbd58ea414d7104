"""What leaves for WAHA, and what its answers mean."""

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
from router_waha.conformance_messages import ANA, CHAT, OURS, THEIRS

BASE = "http://waha.example:3000"
HELLO = OutboundMessage(id="01k7a", recipient=ANA, text="¡Hola! 👍", in_reply_to=THEIRS)
PHOTO = Attachment(kind="image", url="https://shop.example/a.jpg?x=1")
VOICE = Attachment(kind="audio", url="https://shop.example/a.ogg", content_type="audio/ogg")
SONG = Attachment(kind="audio", url="https://shop.example/a.mp3", content_type="audio/mpeg")
PDF = Attachment(
    kind="document",
    url="https://shop.example/17",
    content_type="application/pdf",
    name="factura.pdf",
)
VIDEO = Attachment(kind="video", url="https://shop.example/v/")
PLACE = Attachment(kind="location", name="Depósito", latitude=-34.6, longitude=-58.38)
TAKEN = httpx.Response(201, json={"id": OURS, "timestamp": 1795197600})


def _sent(label: str, method: str, message: OutboundMessage, chat: str = CHAT, **body: Any) -> Send:
    request = Expected(
        "POST",
        f"{BASE}/api/{method}",
        headers={"X-Api-Key": "api-key-of-nobody"},
        json={"session": "default", "chatId": chat, **body},
    )
    return Send(label, message, TAKEN, expect=SendReceipt("3EB0B2"), requests=[request])


def _impossible(label: str, message: OutboundMessage) -> Send:
    return Send(label, message, raises=Refused(), requests=[])


def _with(*media: Attachment, text: str = "") -> OutboundMessage:
    return OutboundMessage(id="01k7a", recipient=ANA, text=text, media=media)


def _answered(label: str, status: int, body: Any, **wanted: Any) -> Send:
    return Send(label, HELLO, httpx.Response(status, json=body), **wanted)


def _not_ready(state: str) -> dict[str, Any]:
    return {
        "error": "Session status is not as expected. Try again later or restart the session",
        "session": "default",
        "status": state,
        "expected": ["WORKING"],
    }


SENDS = (
    _sent("text", "sendText", HELLO, text="¡Hola! 👍"),
    _sent(
        "to a privacy id",
        "sendText",
        replace(HELLO, recipient=Address("lid", "204930491203")),
        "204930491203@lid",
        text="¡Hola! 👍",
    ),
    _sent(
        "picture",
        "sendImage",
        _with(PHOTO),
        file={
            "url": "https://shop.example/a.jpg?x=1",
            "mimetype": "image/jpeg",
            "filename": "a.jpg",
        },
    ),
    _sent(
        "document with a caption",
        "sendFile",
        _with(PDF, text="su factura"),
        file={
            "url": "https://shop.example/17",
            "mimetype": "application/pdf",
            "filename": "factura.pdf",
        },
        caption="su factura",
    ),
    _sent(
        "voice",
        "sendVoice",
        _with(VOICE),
        file={"url": VOICE.url, "mimetype": "audio/ogg", "filename": "a.ogg"},
        convert=False,
    ),
    _sent(
        "song, to be made a voice message",
        "sendVoice",
        _with(SONG),
        file={"url": SONG.url, "mimetype": "audio/mpeg", "filename": "a.mp3"},
        convert=True,
    ),
    _sent(
        "video of an unknown sort",
        "sendVideo",
        _with(VIDEO),
        file={"url": VIDEO.url, "mimetype": "video/mp4", "filename": "video"},
    ),
    _sent(
        "place", "sendLocation", _with(PLACE), latitude=-34.6, longitude=-58.38, title="Depósito"
    ),
    _answered(
        "answer of one engine",
        201,
        {"id": {"fromMe": True, "remote": CHAT, "id": "3EB0B2", "_serialized": OURS}},
        expect=SendReceipt("3EB0B2"),
    ),
    _answered(
        "answer of another engine",
        201,
        {"key": {"remoteJid": "5491155550100@s.whatsapp.net", "fromMe": True, "id": "3EB0B2"}},
        expect=SendReceipt("3EB0B2"),
    ),
    _impossible("template", replace(HELLO, template=Template("hola"))),
    _impossible("two pictures", _with(PHOTO, PHOTO)),
    _impossible("picture that is nowhere", _with(replace(PHOTO, url=None))),
    _impossible("place that is nowhere", _with(replace(PLACE, latitude=None))),
    _impossible("place with a text", _with(PLACE, text="aquí")),
    _impossible("voice with a text", _with(VOICE, text="escuche")),
    _impossible("contact card", _with(Attachment(kind="contact", name="Luis"))),
    _impossible("nothing", replace(HELLO, text="")),
    _impossible("half a character", replace(HELLO, text="\ud83d")),
    _impossible("address of another channel", replace(HELLO, recipient=Address("bsuid", "AR.1"))),
    _answered(
        "the telephone is lost",
        422,
        _not_ready("SCAN_QR_CODE"),
        raises=Unavailable(code="422", retry_after=30.0),
    ),
    _answered(
        "the session just became ready",
        422,
        _not_ready("WORKING"),
        raises=Unavailable(code="422", retry_after=30.0),
    ),
    _answered("wrong key", 401, {"message": "Unauthorized"}, raises=Refused(code="401")),
    _answered(
        "the session is stopped, or not started yet",
        404,
        {
            "statusCode": 404,
            "message": "We didn't find a session with name 'default'.\n"
            "Please start it first by using POST /api/sessions/default/start request",
            "error": "Not Found",
        },
        raises=Unavailable(code="404", retry_after=30.0),
    ),
    _answered(
        "no such method",
        404,
        {"statusCode": 404, "message": "Cannot POST /api/sendText", "error": "Not Found"},
        raises=Refused(code="404"),
    ),
    _answered("anything else", 400, {"message": ["a", "b"]}, raises=Refused(code="400")),
    _answered("without words", 400, {}, raises=Refused(code="400")),
    _answered("broke after taking it", 500, {"message": "x"}, raises=OutcomeUnknown(code="500")),
    _answered("no id", 201, {}, raises=OutcomeUnknown),
    _answered("no object", 201, [], raises=OutcomeUnknown),
)

#: With `quote`.
QUOTED = (
    _sent(
        "answer that shows what it answers",
        "sendText",
        HELLO,
        text="¡Hola! 👍",
        reply_to=THEIRS,
    ),
    _sent(
        "place",
        "sendLocation",
        _with(replace(PLACE, name=None)),
        latitude=-34.6,
        longitude=-58.38,
        title="",
    ),
)
