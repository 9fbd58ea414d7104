"""What leaves for a customer: outbox items, and the lines that people read beside them."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from router.domain.identity import Address
from router.domain.message import (
    Attachment,
    Author,
    DeliveryStatus,
    Direction,
    OutboundMessage,
    Template,
)
from router.domain.outbox import ItemKind
from router.ids import Ids, new_id
from router.pipeline.outbound.splitting import split_text
from router.plugin.channel import TextUnit
from router.storage.codec import decode_attachments, dumps, encode_attachments
from router.storage.store import NewItem, NewMessage


def message_lane(tenant: str, channel: str, recipient: Address) -> str:
    """Give the lane that keeps the order in which one customer gets messages on one channel."""
    return f"{tenant}/{channel}/{recipient}"


def message_items(
    text: str,
    *,
    tenant: str,
    channel: str,
    recipient: Address,
    author: Author,
    max_text: int,
    text_unit: TextUnit = "characters",
    template: Template | None = None,
    media: Sequence[Attachment] = (),
    in_reply_to: str | None = None,
    not_before: datetime | None = None,
    ids: Ids = new_id,
) -> tuple[tuple[NewItem, NewMessage], ...]:
    """Give what must be stored to send one text: for each provider message an item and a line.

    An item and its line have one id. A text longer than ``max_text`` becomes several messages, so
    that each is attempted, and can fail, alone; media and the message answered go with the first.

    :param recipient: the address exactly as it came in.
    :param max_text: the channel's ``capabilities.max_text``.
    :param text_unit: what that counts.
    :param template: sent instead of the text, which then only says what it reads like, and is
        never cut.
    :param not_before: when it may leave at the earliest.
    """
    parts = (text,) if template is not None else split_text(text, max_text, text_unit)
    lane = message_lane(tenant, channel, recipient)
    pairs = []
    for number, part in enumerate(parts):
        attached = tuple(media) if number == 0 else ()
        name = ids()
        item = NewItem(
            id=name,
            kind=ItemKind.MESSAGE,
            lane=lane,
            author=author,
            destination=channel,
            body=_body(part, recipient, template, attached, in_reply_to if number == 0 else None),
            not_before=not_before,
        )
        pairs.append((item, _line(item, part, recipient, attached)))
    return tuple(pairs)


def file_items(
    media: Sequence[Attachment],
    *,
    tenant: str,
    channel: str,
    recipient: Address,
    author: Author,
    own_echoes: bool = False,
    not_before: datetime | None = None,
    ids: Ids = new_id,
) -> tuple[tuple[NewItem, NewMessage], ...]:
    """Give what must be stored to send files, each as a message of its own, without a text.

    So each is attempted, and can fail, alone, and no provider's rules about captions count.

    :param own_echoes: the channel's ``capabilities.own_echoes``. Where our own files do not come
        back, one that somebody of the business sends without words is never taken for one.
    """
    pairs = []
    for file in media:
        name = ids()
        item = NewItem(
            id=name,
            kind=ItemKind.MESSAGE,
            lane=message_lane(tenant, channel, recipient),
            author=author,
            destination=channel,
            body=_file_body(file, recipient, own_echoes=own_echoes),
            not_before=not_before,
        )
        pairs.append((item, _line(item, "", recipient, (file,))))
    return tuple(pairs)


def _line(
    item: NewItem, text: str, recipient: Address, media: tuple[Attachment, ...]
) -> NewMessage:
    return NewMessage(
        id=item.id,
        direction=Direction.OUT,
        author=item.author,
        text=text,
        channel=item.destination,
        address=recipient,
        attachments=media,
        status=DeliveryStatus.QUEUED,
    )


def _file_body(file: Attachment, recipient: Address, *, own_echoes: bool) -> str:
    values: dict[str, Any] = {
        "text": "",
        "recipient": str(recipient),
        "media": encode_attachments((file,)),
    }
    if own_echoes:
        # For whoever tells an echo of it from a file that a person sends.
        values["own_echoes"] = True
    return dumps(values)


def _body(
    text: str,
    recipient: Address,
    template: Template | None,
    media: tuple[Attachment, ...],
    in_reply_to: str | None,
) -> str:
    values: dict[str, Any] = {"text": text, "recipient": str(recipient)}
    if template is not None:
        values["template"] = {"ref": template.ref, "variables": dict(template.variables)}
    if media:
        values["media"] = encode_attachments(media)
    if in_reply_to is not None:
        values["in_reply_to"] = in_reply_to
    return dumps(values)


def outbound_message(id: str, body: str) -> OutboundMessage:
    """Give what a channel is asked to send, from an item's id and body."""
    values = json.loads(body)
    template = values.get("template")
    return OutboundMessage(
        id=id,
        recipient=Address.from_text(values["recipient"]),
        text=values["text"],
        template=template and Template(template["ref"], template["variables"]),
        media=decode_attachments(values.get("media")),
        in_reply_to=values.get("in_reply_to"),
    )
