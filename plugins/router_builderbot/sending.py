"""What leaves for BuilderBot, and what its answer means."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from router import plugin
from router_builderbot.addresses import written
from router_builderbot.config import BuilderbotConfig
from router_builderbot.fields import text_at

if TYPE_CHECKING:
    import httpx

#: WhatsApp's own limit; BuilderBot states none.
MAX_TEXT = 4096

_RECEIPTS = ("message_id", "messageId", "key.id", "data.key.id", "data.id", "id")
_LONGEST_WORDS = 200

#: How long a bot that is not online is left alone, in seconds.
_OFFLINE_WAIT = 60.0


def body_of(message: plugin.OutboundMessage) -> dict[str, Any]:
    """Give the JSON that sends a message.

    :raises Refused: if BuilderBot has no such message.
    """
    number = written(message.recipient)
    if message.template is not None:
        raise plugin.Refused(
            "this channel sends no templates: how BuilderBot takes them is written nowhere. Let "
            "the rule reply with a text"
        )
    if len(message.media) > 1:
        raise plugin.Refused("BuilderBot takes one attachment a message. Send the others apart")
    # Other programs never leave the text empty beside a file; a space is a caption nobody sees.
    content: dict[str, str] = {"content": message.text or " "}
    for attachment in message.media:
        if attachment.kind in {"location", "contact"}:
            raise plugin.Refused(f"BuilderBot cannot send a {attachment.kind}. Write it out")
        if not attachment.url:
            raise plugin.Refused(
                f"the {attachment.kind} has no address that BuilderBot could fetch it from"
            )
        content["mediaUrl"] = attachment.url
    if not message.text and not message.media:
        raise plugin.Refused("there is nothing in the message")
    try:
        message.text.encode()
    except UnicodeEncodeError:
        raise plugin.Refused("the message holds half a character, which is no text") from None
    return {"messages": content, "number": number, "checkIfExists": False}


def receipt_of(response: "httpx.Response", config: BuilderbotConfig) -> plugin.SendReceipt:
    """Read the answer to a message. A 2xx may carry an error.

    :raises ProviderError: what it means, if it is not that the message was taken.
    """
    document = _document(response)
    said = _error(document, config)
    try:
        plugin.raise_for_status(response)
    except plugin.Refused as error:
        raise _refused(error, said, config) from None
    if said:
        raise _meaning(said, config)
    if not isinstance(document, Mapping) and response.content.strip():
        raise plugin.OutcomeUnknown(
            f"BuilderBot answered {response.status_code} with something else than JSON"
        )
    return plugin.SendReceipt(text_at(document, *_RECEIPTS) or None)


def _document(response: "httpx.Response") -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _error(document: object, config: BuilderbotConfig) -> str:
    """Give the error that an answer carries in words; nothing if it carries none."""
    if not isinstance(document, Mapping):
        return ""
    error = document.get("error") or document.get("errors")
    failed = document.get("success") is False or document.get("ok") is False
    if not error and not failed and document.get("status") not in ("error", "failed"):
        return ""
    said = text_at({"error": error}, "error", "error.message") or text_at(document, "message")
    for secret in config.secrets:
        said = said.replace(secret, "***")
    return " ".join(said.split())[:_LONGEST_WORDS].rstrip(".") or "an error without words"


def _meaning(said: str, config: BuilderbotConfig) -> plugin.ProviderError:
    """Say what an error in words means: it was not sent, whatever the status says."""
    folded = said.casefold()
    if any(words.casefold() in folded for words in config.offline_words):
        return plugin.Unavailable(
            f"BuilderBot says: {said}. Connect the bot's telephone again in its project",
            retry_after=_OFFLINE_WAIT,
        )
    why = None
    if any(words.casefold() in folded for words in config.opt_out_words):
        why = plugin.Refusal.OPTED_OUT
    return plugin.Refused(f"BuilderBot says: {said}", why=why)


def _refused(
    error: plugin.Refused, said: str, config: BuilderbotConfig
) -> plugin.Unavailable | plugin.Refused:
    """Give a refusal with what to do about it."""
    if error.code in {"401", "403"}:
        return plugin.Refused(
            "BuilderBot does not accept api_key for this bot. Compare both with the project's page "
            "for developers",
            code=error.code,
        )
    if error.code == "404":
        return plugin.Refused(
            "BuilderBot knows no such bot. Correct bot_id, or messages_path", code=error.code
        )
    if not said:
        return error
    meaning = _meaning(said, config)
    if isinstance(meaning, plugin.Unavailable):
        return plugin.Unavailable(meaning.reason, code=error.code, retry_after=meaning.retry_after)
    why = meaning.why if isinstance(meaning, plugin.Refused) else None
    return plugin.Refused(meaning.reason, code=error.code, why=why)
