"""What leaves for BuilderBot, and what its answers mean."""

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
from router_builderbot.conformance_messages import ANA, NUMBER, PROJECT

URL = f"https://app.builderbot.cloud/api/v2/{PROJECT}/messages"
HELLO = OutboundMessage(id="01k7a", recipient=ANA, text="¡Hola! 👍")
PHOTO = Attachment(kind="image", url="https://shop.example/a.jpg", content_type="image/jpeg")
TAKEN = httpx.Response(200, json={"message_id": "3EB0F1"})


def _sent(label: str, message: OutboundMessage, number: str = NUMBER, **content: Any) -> Send:
    body = {"messages": content, "number": number, "checkIfExists": False}
    headers = {"x-api-builderbot": "bb-key-of-nobody"}
    request = Expected("POST", URL, headers=headers, json=body)
    return Send(label, message, TAKEN, expect=SendReceipt("3EB0F1"), requests=[request])


def _impossible(label: str, message: OutboundMessage) -> Send:
    return Send(label, message, raises=Refused(), requests=[])


def _answered(label: str, status: int, body: Any, raises: Any) -> Send:
    return Send(label, HELLO, httpx.Response(status, json=body), raises=raises)


SENDS = (
    _sent("text", HELLO, content="¡Hola! 👍"),
    _sent(
        "picture",
        OutboundMessage(id="01k7a", recipient=ANA, media=(PHOTO,)),
        content=" ",
        mediaUrl="https://shop.example/a.jpg",
    ),
    _sent(
        "picture with a caption",
        replace(HELLO, media=(PHOTO,)),
        content="¡Hola! 👍",
        mediaUrl="https://shop.example/a.jpg",
    ),
    _sent(
        "to a privacy id",
        replace(HELLO, recipient=Address("lid", "204930491203")),
        "204930491203@lid",
        content="¡Hola! 👍",
    ),
    _sent(
        "to a user id",
        replace(HELLO, recipient=Address("bsuid", "US.1349120865")),
        "US.1349120865",
        content="¡Hola! 👍",
    ),
    Send("taken without a name", HELLO, httpx.Response(201, json={}), expect=SendReceipt(None)),
    Send("taken without a word", HELLO, httpx.Response(200), expect=SendReceipt(None)),
    _impossible("template", replace(HELLO, template=Template("confirm"))),
    _impossible("two pictures", replace(HELLO, media=(PHOTO, PHOTO))),
    _impossible("picture that is nowhere", replace(HELLO, media=(replace(PHOTO, url=None),))),
    _impossible("place", replace(HELLO, media=(Attachment(kind="location", latitude=1.0),))),
    _impossible("nothing", replace(HELLO, text="")),
    _impossible("half a character", replace(HELLO, text="\ud83d")),
    _impossible("address of another channel", replace(HELLO, recipient=Address("telegram", "7"))),
    _answered(
        "a 2xx that carries an error",
        200,
        {"error": "Bot is not online"},
        Unavailable(retry_after=60.0),
    ),
    _answered("a 2xx that carries another error", 201, {"error": {"message": "bad"}}, Refused()),
    _answered("a 2xx without success", 200, {"success": False, "message": "no"}, Refused()),
    _answered("a 2xx whose status is an error", 200, {"status": "error"}, Refused()),
    _answered("a customer on the blacklist", 200, {"error": "number in Blacklist"}, Refused()),
    _answered("wrong key", 401, {"error": "Token is missing"}, Refused(code="401")),
    _answered("unknown bot", 404, {"error": "not found"}, Refused(code="404")),
    _answered(
        "a 4xx that says the bot is not online",
        400,
        {"error": "Bot is not online"},
        Unavailable(code="400", retry_after=60.0),
    ),
    _answered("a 4xx with words", 400, {"error": "bad number"}, Refused(code="400")),
    _answered("a list in place of an answer", 200, [["x"]], OutcomeUnknown),
    Send("no JSON", HELLO, httpx.Response(200, text="sended"), raises=OutcomeUnknown),
)
