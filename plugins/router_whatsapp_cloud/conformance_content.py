"""Rows: what is written nowhere but beside a text: goods, forms, cards; and what is half broken."""

import json
from typing import Any

from router.plugin import Attachment, MessageReceived
from router.plugin.testing import Receive
from router_whatsapp_cloud.conformance_messages import received, said

_PRODUCT = {
    "product_retailer_id": "sku-7",
    "quantity": 3,
    "item_price": 10,
    "currency": "USD",
}


def _ordered(label: str, words: str, *items: Any, **more: Any) -> Receive:
    expect = received(words, type="order", metadata={"order_catalog": "77"})
    return said(label, expect, "order", order={"catalog_id": "77", "product_items": items, **more})


def _filled_in(label: str, text: str, answers: str) -> Receive:
    metadata = {"form_name": "flow", "form_answers": answers}
    form = {"name": "flow", "body": "Sent", "response_json": answers}
    return said(
        label,
        received(text, type="interactive", metadata=metadata),
        "interactive",
        interactive={"type": "nfm_reply", "nfm_reply": form},
    )


def _cards(label: str, expect: MessageReceived, *cards: Any) -> Receive:
    return said(label, expect, "contacts", contacts=cards)


CONTENT = (
    _ordered("order", "3 x sku-7 (10 USD)", _PRODUCT),
    _ordered(
        "order with words",
        "¿llega hoy?\n3 x sku-7 (10 USD)\n1 x sku-8 (1250.5 COP)",
        _PRODUCT,
        {"product_retailer_id": "sku-8", "quantity": "1", "item_price": 1250.5, "currency": "COP"},
        text="¿llega hoy?",
    ),
    _ordered(
        "order of which little is said",
        "sku-7\n2 x sku-8 (9.99)\nsku-9",
        {"product_retailer_id": "sku-7", "item_price": None, "currency": "USD"},
        {"product_retailer_id": "sku-8", "quantity": 2, "item_price": "9.99"},
        {},
        {"product_retailer_id": "sku-9", "quantity": True, "item_price": {"amount": 1}},
    ),
    said(
        "question about a product",
        received(
            "¿precio?",
            in_reply_to="wamid.OURS",
            metadata={"product_catalog": "77", "product_id": "sku-7"},
        ),
        text={"body": "¿precio?"},
        context={
            "from": "15550783881",
            "id": "wamid.OURS",
            "referred_product": {"catalog_id": "77", "product_retailer_id": "sku-7"},
        },
    ),
    _filled_in(
        "form with several answers",
        "fecha: 2026-12-01\nextras: desayuno, cuna\npersonas: 2\nmascota: false",
        json.dumps(
            {
                "fecha": "2026-12-01",
                "extras": ["desayuno", "cuna"],
                "personas": 2,
                "mascota": False,
                "nota": "",
                "flow_token": "ours",
            }
        ),
    ),
    _filled_in(
        "form with answers inside others",
        "name: Ana\npiso: 3",
        json.dumps({"saved_address_id": None, "values": {"name": "Ana", "piso": "3"}}),
    ),
    _filled_in("form without answers", "Sent", '{"flow_token": "ours"}'),
    _filled_in("form whose answers are no object", "Sent", '["x"]'),
    _filled_in("form whose answers are broken", "Sent", "{"),
    _cards(
        "cards without a name, or a number",
        received(
            "Eva\n+57 300 1234567",
            Attachment(kind="contact", name="Eva"),
            Attachment(kind="contact"),
            type="contacts",
            metadata={"contact_phones": "+57 300 1234567"},
        ),
        {"name": {"formatted_name": "Eva"}, "phones": None},
        {"phones": [{"phone": "+57 300 1234567", "type": "HOME"}, "x"]},
    ),
    said(
        "words beside a part that cannot be read",
        received("hola"),
        text={"body": "hola"},
        context="x",
        image=None,
        errors={"code": 1},
    ),
    said(
        "a part that cannot be read, alone",
        received("", type="contacts"),
        "contacts",
        contacts="x",
    ),
)
