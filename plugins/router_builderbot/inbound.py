"""What BuilderBot's webhooks say, in the router's words.

Nothing of this is documented: it is what independent programs found in their accounts. So each
value is looked for wherever one of them found it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from router import plugin
from router_builderbot.addresses import address_of, is_crowd
from router_builderbot.attachments import TOKEN, attachments_of, part_of
from router_builderbot.config import BuilderbotConfig, Meaning
from router_builderbot.fields import at, moment_at, text_at, texts_at
from router_builderbot.repeats import TIMES, name_of

#: What a rule or a person may want to see, and what it is called in ``metadata``.
METADATA = {
    "projectId": "project_id",
    "payload": "button_payload",
    "title_button_reply": "button_text",
    "title_list_reply": "list_title",
    "id_list_reply": "list_id",
    "username": "username",
}

_BODIES = ("body", "message.conversation", "message.extendedTextMessage.text", "text")
_TITLES = ("title_button_reply", "title_list_reply")
_CHATS = ("key.remoteJid", "remoteJid")

# A flow tells itself what to do by words that no customer sees: __call_action__.
_INTERNAL = re.compile(r"__[a-z_]+__")


def event_of(document: object) -> tuple[str, Mapping[str, Any]]:
    """Give an event's name and its data, which some accounts put beside the name.

    :raises ValueError: if it is no event.
    """
    name = text_at(document, "eventName", "event")
    if not name or not isinstance(document, Mapping):
        raise ValueError("the field eventName is missing")
    data = at(document, "data")
    return name, data if isinstance(data, Mapping) else document


def events_in(
    request: plugin.WebhookRequest, config: BuilderbotConfig
) -> tuple[plugin.InboundEvent, ...]:
    """Read the one event of a webhook; none where it is of no concern to a customer.

    :raises ValueError: if it is malformed, of another project, or of a name that nobody knows.
    """
    if request.endpoint:
        raise ValueError(f"the channel has no endpoint {request.endpoint[:80]!r}")
    name, data = event_of(request.json())
    project = text_at(data, "projectId")
    if config.project_id is not None and project not in {"", config.project_id}:
        raise ValueError("it is of another project than project_id names")
    meaning = config.meaning(name)
    if meaning is None:
        # It may be a customer's message under a new name: kept, so that it can be read later.
        raise ValueError("the event's name is not known")
    if any(is_crowd(text) for text in texts_at(data, "from", "to", *_CHATS)):
        return ()
    if meaning == "message" and (at(data, "key.fromMe") is True or at(data, "fromMe") is True):
        meaning = "echo"
    return tuple(_event(meaning, data, request, config))


def _event(
    meaning: Meaning,
    data: Mapping[str, Any],
    request: plugin.WebhookRequest,
    config: BuilderbotConfig,
) -> Iterator[plugin.InboundEvent]:
    received_at, sent_at = request.received_at, moment_at(data, *TIMES)
    match meaning:
        case "message":
            who = text_at(data, "from", *_CHATS)
            text, token, attachments = _content(data, _BODIES)
            sender = address_of(who)
            yield plugin.MessageReceived(
                name_of(
                    "message",
                    data,
                    config,
                    received_at,
                    who=who,
                    text=text,
                    attachments=attachments,
                    token=token,
                ),
                sender,
                text or text_at(data, *_TITLES),
                attachments=attachments,
                sent_at=sent_at,
                name=text_at(data, "name", "pushName") or None,
                aliases=tuple(_aliases(data, sender)),
                metadata=_metadata(data),
            )
        case "echo":
            text, token, attachments = _content(data, ("answer", *_BODIES))
            if _INTERNAL.fullmatch(text):
                return
            if any(text == one.url for one in attachments):
                text = ""
            who = _customer(data, config)
            name = name_of(
                "echo",
                data,
                config,
                received_at,
                who=who,
                text=text,
                attachments=attachments,
                token=token,
            )
            yield plugin.MessageEchoed(
                name, address_of(who), text, attachments=attachments, sent_at=sent_at
            )
        case "call":
            who = text_at(data, "from", *_CHATS)
            yield plugin.CallEnded(
                id=name_of("call", data, config, received_at, who=who, text=""),
                party=address_of(who),
                direction="inbound",
                status="failed",
                started_at=sent_at,
                name=text_at(data, "name", "pushName") or None,
                reason="a call on WhatsApp, which the router cannot answer",
            )
        case "opt_out":
            who = text_at(data, "number", "from", *_CHATS)
            name = name_of("opt_out", data, config, received_at, who=who, text="")
            yield plugin.ContactOptedOut(
                name, address_of(who), "put on BuilderBot's blacklist", sent_at
            )


def _metadata(data: Mapping[str, Any]) -> dict[str, str]:
    found = {key: text_at(data, name) for name, key in METADATA.items()}
    return {key: text for key, text in found.items() if text}


def _content(
    data: Mapping[str, Any], bodies: tuple[str, ...]
) -> tuple[str, str, tuple[plugin.Attachment, ...]]:
    """Give the text, BuilderBot's token in place of one, and what came with it."""
    said = text_at(data, *bodies)
    match = TOKEN.fullmatch(said.strip())
    token, text = ("", said) if match is None else (said.strip(), "")
    _, part = part_of(data)
    caption = text_at(part, "caption") or text_at(data, "caption")
    return text or caption, token, attachments_of(data, match[1] if match else "")


def _customer(data: Mapping[str, Any], config: BuilderbotConfig) -> str:
    """Give the customer to whom something was sent: ``from`` is the bot in some accounts.

    :raises ValueError: if nobody but the bot itself is named.
    """
    own = {_digits(number) for number in config.own_numbers}
    for text in texts_at(data, "to", *_CHATS, "from", "number"):
        if _digits(text) not in own:
            return text
    raise ValueError("nothing says to whom it was sent")


def _digits(text: str) -> str:
    return "".join(re.findall("[0-9]", text.partition("@")[0].partition(":")[0]))


def _aliases(data: Mapping[str, Any], sender: plugin.Address) -> Iterator[plugin.Address]:
    """Give the sender's other addresses in the same message: the number's privacy id, say."""
    seen = {sender}
    for text in texts_at(data, *_CHATS, "userId"):
        try:
            address = address_of(text)
        except ValueError:
            continue
        if address not in seen:
            seen.add(address)
            yield address
