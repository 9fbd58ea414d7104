"""What a message of Meta's says, carries and tells besides."""

import json
import re
from collections.abc import Iterator
from typing import Any

from router import plugin
from router_whatsapp_cloud.config import WhatsAppCloudConfig
from router_whatsapp_cloud.payload import Contact, Form, Message, Order, Place, Product

#: What an id of a file is made of.
FILE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")

#: What a form carries along for whoever sent it.
_TOKEN = "flow_token"  # noqa: S105 - the name of a field

_FILES = ("image", "audio", "voice", "video", "document", "sticker")


def text_of(message: Message) -> str:
    """Give the words of a message: a text, a caption, a button's or a list's title.

    Goods, answers in a form and cards are written out, a line each: what is in no text, neither a
    model nor a person sees.
    """
    interactive, order = message.interactive, message.order
    found = [message.text.body]
    if message.button is not None:
        found.append(message.button.text)
    if interactive is not None:
        choices = (interactive.button_reply, interactive.list_reply)
        found += [choice.title for choice in choices if choice is not None]
        found += [_filled_in(interactive.nfm_reply)] if interactive.nfm_reply else []
    if order is not None:
        found.append(_ordered(order))
    if message.reaction is not None:
        found.append(message.reaction.emoji)
    found += [file.caption for name in _FILES if (file := getattr(message, name)) is not None]
    found.append("\n".join(filter(None, (card.line for card in message.contacts))))
    return next((text for text in found if text), "")


def _ordered(order: Order) -> str:
    return "\n".join(filter(None, (order.text, *map(_line, order.product_items))))


def _line(product: Product) -> str:
    goods = " x ".join(filter(None, (product.quantity, product.product_retailer_id)))
    price = " ".join(filter(None, (product.item_price, product.currency)))
    return f"{goods} ({price})" if goods and product.item_price else goods


def _filled_in(form: Form) -> str:
    """Give the answers; the form's own words say no more than that it was sent."""
    try:
        answers = "\n".join(_answers("", json.loads(form.response_json)))
    except (ValueError, RecursionError):
        answers = ""
    return answers or form.body


def _answers(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key != _TOKEN:
                yield from _answers(key, each)
    elif isinstance(value, list):
        texts = [each if isinstance(each, str) else json.dumps(each) for each in value]
        yield from _answers(name, ", ".join(texts))
    elif name and value is not None and value != "":
        yield f"{name}: {value if isinstance(value, str) else json.dumps(value)}"


def attachments_of(message: Message, config: WhatsAppCloudConfig) -> tuple[plugin.Attachment, ...]:
    """Give what came with a message. Files are named by where Meta tells their address."""
    return tuple(_attachments(message, config))


def _attachments(message: Message, config: WhatsAppCloudConfig) -> Iterator[plugin.Attachment]:
    for name in _FILES:
        file = getattr(message, name)
        if file is None:
            continue
        yield plugin.Attachment(
            kind="audio" if name == "voice" else name,
            url=f"{config.root}/{file.id}" if FILE_ID.fullmatch(file.id) else None,
            content_type=file.mime_type or None,
            name=file.filename or None,
        )
    if message.location is not None:
        yield _place(message.location)
    for card in message.contacts:
        yield plugin.Attachment(kind="contact", name=card.name.formatted_name or None)


def _place(place: Place) -> plugin.Attachment:
    latitude, longitude = place.latitude, place.longitude
    name = place.name or place.address or None
    # Also no number at all fails both comparisons.
    somewhere = (
        latitude is not None
        and longitude is not None
        and -90 <= latitude <= 90
        and -180 <= longitude <= 180
    )
    if not somewhere:
        return plugin.Attachment(kind="location", name=name)
    return plugin.Attachment(kind="location", name=name, latitude=latitude, longitude=longitude)


def metadata_of(message: Message, contact: Contact) -> dict[str, str]:
    """Give what a rule or a person may want to see besides."""
    found = {"message_type": message.type, "username": contact.profile.username}
    if message.button is not None:
        found |= {"button_payload": message.button.payload, "button_text": message.button.text}
    if (interactive := message.interactive) is not None:
        if interactive.button_reply is not None:
            found |= {
                "button_payload": interactive.button_reply.id,
                "button_text": interactive.button_reply.title,
            }
        if interactive.list_reply is not None:
            found |= {
                "list_id": interactive.list_reply.id,
                "list_title": interactive.list_reply.title,
            }
        if interactive.nfm_reply is not None:
            found |= {
                "form_name": interactive.nfm_reply.name,
                "form_answers": interactive.nfm_reply.response_json,
            }
    if message.reaction is not None:
        found["reaction"] = message.reaction.emoji
    if message.order is not None:
        found["order_catalog"] = message.order.catalog_id
    if message.location is not None:
        found["location_address"] = message.location.address
    phones = [phone.phone for card in message.contacts for phone in card.phones]
    found["contact_phones"] = ", ".join(phone for phone in phones if phone)
    if message.context is not None:
        found["forwarded"] = "true" if message.context.forwarded else ""
        often = message.context.frequently_forwarded
        found["frequently_forwarded"] = "true" if often else ""
        if (product := message.context.referred_product) is not None:
            found |= {
                "product_catalog": product.catalog_id,
                "product_id": product.product_retailer_id,
            }
    if message.referral is not None:
        said = message.referral.model_dump()
        found |= {f"referral_{name}": value for name, value in said.items()}
    if message.errors:
        found["problem"] = message.errors[0].said
    return {name: value for name, value in found.items() if value}
