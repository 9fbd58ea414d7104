"""What leaves for Telegram, and what its answer means.

https://core.telegram.org/bots/api#available-methods
"""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from router import plugin
from router_telegram.config import TelegramConfig
from router_telegram.inbound import SCHEME, name_of

if TYPE_CHECKING:
    import httpx

#: How many characters a caption may have.
_MAX_CAPTION = 1024
_LONGEST_WORDS = 200
_DAY = 86_400.0

#: The method and the field for each kind of file.
_METHODS = {
    "image": ("sendPhoto", "photo"),
    "audio": ("sendAudio", "audio"),
    "video": ("sendVideo", "video"),
    "document": ("sendDocument", "document"),
    "sticker": ("sendSticker", "sticker"),
}
_VOICES = frozenset({"audio/ogg", "audio/opus"})


def call_of(message: plugin.OutboundMessage, config: TelegramConfig) -> tuple[str, dict[str, Any]]:
    """Give the method that sends a message, and its parameters.

    :raises Refused: if Telegram has no such message.
    """
    if message.recipient.scheme != SCHEME:
        raise plugin.Refused(
            f"Telegram does not reach {message.recipient.scheme} addresses. Answer on the "
            "customer's own channel"
        )
    if message.template is not None:
        raise plugin.Refused("Telegram has no templates. Let the rule reply with a text")
    if len(message.media) > 1:
        raise plugin.Refused("a message takes one attachment. Send the others apart")
    try:
        message.text.encode()
    except UnicodeEncodeError:
        raise plugin.Refused("the message holds half a character, which is no text") from None
    method, body = "sendMessage", {"text": message.text}
    if message.media:
        method, body = _attached(message.media[0], message.text)
    elif not message.text:
        raise plugin.Refused("there is nothing in the message")
    made: dict[str, Any] = {"chat_id": message.recipient.value, **body}
    chat, _, number = (message.in_reply_to or "").partition(":")
    if config.quote and chat == message.recipient.value and number.isascii() and number.isdigit():
        made["reply_parameters"] = {
            "message_id": int(number),
            "allow_sending_without_reply": True,
        }
    return method, made


def result_of(response: "httpx.Response", config: TelegramConfig) -> Any:
    """Read the answer to a call: its ``result``.

    :raises ProviderError: what it means, if it is not that the call was taken.
    """
    document = _document(response)
    try:
        plugin.raise_for_status(response)
    except plugin.Unavailable as error:
        raise plugin.Unavailable(
            error.reason,
            code=error.code,
            retry_after=_retry_after(document) or error.retry_after,
        ) from None
    except plugin.Refused as error:
        raise _refused(error.code or "", _said(document, config.secrets), error) from None
    if document.get("ok") is False:
        code = str(document.get("error_code") or "")[:20]
        wait = _retry_after(document)
        if wait is not None:
            raise plugin.Unavailable("Telegram got too many calls", code=code, retry_after=wait)
        said = _said(document, config.secrets)
        raise _refused(code, said, plugin.Refused(f"Telegram says: {said}", code=code))
    if document.get("ok") is not True:
        raise plugin.OutcomeUnknown(
            f"Telegram answered {response.status_code} with something else than a result"
        )
    return document.get("result")


def receipt_of(response: "httpx.Response", config: TelegramConfig) -> plugin.SendReceipt:
    """Read the answer to a message.

    :raises ProviderError: what it means, if it is not that the message was taken.
    """
    result = result_of(response, config)
    chat = result.get("chat") if isinstance(result, Mapping) else None
    numbers = (
        chat.get("id") if isinstance(chat, Mapping) else None,
        result.get("message_id") if isinstance(result, Mapping) else None,
    )
    match numbers:
        case (int(where), int(number)):
            return plugin.SendReceipt(name_of(where, number))
    raise plugin.OutcomeUnknown("Telegram took a message, and gives it no number")


def _attached(attachment: plugin.Attachment, text: str) -> tuple[str, dict[str, Any]]:
    kind = attachment.kind
    if kind == "location":
        if attachment.latitude is None or attachment.longitude is None:
            raise plugin.Refused("the place has no latitude and longitude")
        if text:
            raise plugin.Refused("Telegram shows no text beside a place. Send the text apart")
        return "sendLocation", {
            "latitude": attachment.latitude,
            "longitude": attachment.longitude,
        }
    if kind not in _METHODS:
        raise plugin.Refused(f"Telegram cannot send a {kind}. Send it as a document")
    if not attachment.url:
        raise plugin.Refused(f"the {kind} has no address that Telegram could fetch it from")
    method, field = _METHODS[kind]
    declared = (attachment.content_type or "").partition(";")[0].strip().lower()
    if kind == "audio" and declared in _VOICES:
        method, field = "sendVoice", "voice"
    if text and kind == "sticker":
        raise plugin.Refused("Telegram shows no text beside a sticker. Send the text apart")
    if len(text) > _MAX_CAPTION:
        raise plugin.Refused(f"Telegram takes {_MAX_CAPTION:,} characters beside a {kind}")
    return method, {field: attachment.url, **({"caption": text} if text else {})}


def _document(response: "httpx.Response") -> Mapping[str, Any]:
    try:
        document: Any = json.loads(response.content)
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else {}


def _retry_after(document: Mapping[str, Any]) -> float | None:
    parameters = document.get("parameters")
    wait = parameters.get("retry_after") if isinstance(parameters, Mapping) else None
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait <= _DAY:
        return None
    return float(wait)


def _said(document: Mapping[str, Any], secrets: Iterable[str]) -> str:
    said = document.get("description")
    said = said if isinstance(said, str) else ""
    for secret in secrets:
        said = said.replace(secret, "***")
    return " ".join(said.split())[:_LONGEST_WORDS].rstrip(".")


def _refused(code: str, said: str, error: plugin.Refused) -> plugin.Refused:
    """Give a refusal with what it means, and what to do about it."""
    folded = said.casefold()
    if code == "403" and "blocked by the user" in folded:
        return plugin.Refused(
            "the customer blocked the bot, and gets nothing until they start it again",
            code=code,
            why=plugin.Refusal.OPTED_OUT,
        )
    if code == "403" and "deactivated" in folded:
        return plugin.Refused("the customer's Telegram account is gone", code=code)
    if code == "403" and "initiate conversation" in folded:
        return plugin.Refused(
            "a bot cannot write first. Wait until the customer starts it", code=code
        )
    if code == "400" and "chat not found" in folded:
        return plugin.Refused(
            "Telegram knows no such chat, or the customer never wrote to this bot", code=code
        )
    if code in {"401", "404"}:
        return plugin.Refused(
            "Telegram does not accept token. Compare it with what @BotFather shows", code=code
        )
    return plugin.Refused(f"Telegram says: {said}", code=code) if said else error
