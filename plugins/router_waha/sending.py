"""What leaves for WAHA, and what its answer means.

https://waha.devlike.pro/docs/how-to/send-messages
"""

import json
import mimetypes
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from router import plugin
from router_waha.addresses import chat_with, key_of
from router_waha.config import WahaConfig
from router_waha.states import trouble_of

if TYPE_CHECKING:
    import httpx

_METHODS = {
    "image": "sendImage",
    "audio": "sendVoice",
    "video": "sendVideo",
    "document": "sendFile",
}
_TYPES = {
    "image": "image/jpeg",
    "audio": "audio/ogg; codecs=opus",
    "video": "video/mp4",
    "document": "application/octet-stream",
}
_LONGEST_WORDS = 200

#: How long a session that does not work is left alone, in seconds.
_SESSION_WAIT = 30.0


def call_of(message: plugin.OutboundMessage, config: WahaConfig) -> tuple[str, dict[str, Any]]:
    """Give the method that sends a message, and its body.

    :raises Refused: if WAHA has no such message.
    """
    made: dict[str, Any] = {"session": config.session, "chatId": chat_with(message.recipient)}
    if message.template is not None:
        raise plugin.Refused(
            "templates are for WhatsApp numbers of Meta's. Let the rule reply with a text"
        )
    if len(message.media) > 1:
        raise plugin.Refused("WhatsApp takes one attachment a message. Send the others apart")
    try:
        message.text.encode()
    except UnicodeEncodeError:
        raise plugin.Refused("the message holds half a character, which is no text") from None
    if config.quote and message.in_reply_to:
        made["reply_to"] = message.in_reply_to
    if message.media:
        method, body = _attached(message.media[0], message.text)
        return method, {**made, **body}
    if not message.text:
        raise plugin.Refused("there is nothing in the message")
    return "sendText", {**made, "text": message.text}


def receipt_of(response: "httpx.Response", config: WahaConfig) -> plugin.SendReceipt:
    """Read the answer to a message.

    :raises ProviderError: what it means, if it is not that the message was taken.
    """
    document = _document(response)
    try:
        plugin.raise_for_status(response)
    except plugin.Refused as error:
        raise _refused(error, document, config) from None
    name = _name(document)
    if not name:
        raise plugin.OutcomeUnknown(f"WAHA answered {response.status_code}, but no message's id")
    return plugin.SendReceipt(key_of(name))


def _attached(attachment: plugin.Attachment, text: str) -> tuple[str, dict[str, Any]]:
    kind = attachment.kind
    if kind == "location":
        if attachment.latitude is None or attachment.longitude is None:
            raise plugin.Refused("the place has no latitude and longitude")
        if text:
            raise plugin.Refused("WhatsApp shows no text beside a place. Send the text apart")
        return "sendLocation", {
            "latitude": attachment.latitude,
            "longitude": attachment.longitude,
            "title": attachment.name or "",
        }
    if kind not in _METHODS:
        raise plugin.Refused(f"WAHA cannot send a {kind}. Send it as a document")
    if not attachment.url:
        raise plugin.Refused(f"the {kind} has no address that WAHA could fetch it from")
    if text and kind == "audio":
        raise plugin.Refused("WhatsApp shows no text beside a voice message. Send the text apart")
    path = attachment.url.partition("?")[0]
    declared = attachment.content_type or mimetypes.guess_type(path)[0] or _TYPES[kind]
    file = {
        "url": attachment.url,
        "mimetype": declared,
        "filename": attachment.name or path.rpartition("/")[2] or kind,
    }
    body: dict[str, Any] = {"file": file}
    if kind == "audio":
        # WhatsApp plays Opus only; WAHA makes it of anything else.
        body["convert"] = not declared.startswith(("audio/ogg", "audio/opus"))
    if text:
        body["caption"] = text
    return _METHODS[kind], body


def _document(response: "httpx.Response") -> Mapping[str, Any]:
    try:
        document: Any = json.loads(response.content)
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else {}


def _name(document: Mapping[str, Any]) -> str:
    """Give a message's name: a text, or as one engine or the other writes it."""
    name = document.get("id")
    if isinstance(name, Mapping):
        name = name.get("_serialized") or name.get("id")
    key = document.get("key")
    if name is None and isinstance(key, Mapping):
        name = key.get("id")
    return name if isinstance(name, str) else ""


def _refused(
    error: plugin.Refused, document: Mapping[str, Any], config: WahaConfig
) -> plugin.Unavailable | plugin.Refused:
    """Give a refusal with what it means, and what to do about it."""
    state = document.get("status")
    if error.code == "422" and "expected" in document and isinstance(state, str):
        # WAHA looks at the session before it does anything: nothing was sent.
        reason = trouble_of(state, config.session) or "the session was not ready"
        return plugin.Unavailable(reason, code=error.code, retry_after=_SESSION_WAIT)
    if error.code in {"401", "403"}:
        return plugin.Refused(
            "WAHA does not accept api_key. Compare it with WAHA_API_KEY of the gateway",
            code=error.code,
        )
    said = document.get("message") or document.get("error")
    said = " ".join(map(str, said)) if isinstance(said, list) else said
    if not isinstance(said, str) or not said.strip():
        return error
    if error.code == "404" and "session" in said.lower():
        # That is what WAHA says of one that is stopped or not started yet, too: nothing was sent.
        return plugin.Unavailable(
            f"WAHA has no session {config.session!r}. Correct session, or start it in WAHA",
            code=error.code,
            retry_after=_SESSION_WAIT,
        )
    for secret in config.secrets:
        said = said.replace(secret, "***")
    said = " ".join(said.split())[:_LONGEST_WORDS].rstrip(".")
    return plugin.Refused(f"WAHA says: {said}", code=error.code)
