"""Rows: cards and places, wherever the engines have them."""

from router.plugin import Attachment
from router_waha.conformance_messages import received, said

CARD = """BEGIN:VCARD
VERSION:3.0
FN:Luis Gómez
TEL;type=CELL;waid=573001234567:+57 300 1234567
item1.TEL:+57 1 5550100
END:VCARD"""

CARDS = (
    said(
        "contact card, which one engine repeats as the words",
        received(
            "Luis Gómez, +57 300 1234567, +57 1 5550100",
            Attachment(kind="contact", name="Luis Gómez"),
        ),
        body=CARD,
        vCards=[CARD],
        _data={"type": "vcard"},
    ),
    said(
        "contact cards in place of words alone",
        received(
            "Luis Gómez, +57 300 1234567, +57 1 5550100\nEva",
            Attachment(kind="contact", name="Luis Gómez"),
            Attachment(kind="contact", name="Eva"),
        ),
        body=CARD + "\nBEGIN:VCARD\nFN:Eva\nEND:VCARD\n",
    ),
    said(
        "words around a contact card",
        received(f"mire:\n{CARD}"),
        body=f"mire:\n{CARD}",
    ),
    said(
        "contact card of one engine, beneath its own part",
        received(
            "Luis Gómez, +57 300 1234567, +57 1 5550100",
            Attachment(kind="contact", name="Luis Gómez"),
        ),
        body=None,
        _data={"message": {"contactMessage": {"displayName": "Luis", "vcard": CARD}}},
    ),
    said(
        "several contact cards of another engine",
        received(
            "Luis Gómez, +57 300 1234567, +57 1 5550100\nEva",
            Attachment(kind="contact", name="Luis Gómez"),
            Attachment(kind="contact", name="Eva"),
        ),
        vCards=None,
        _data={
            "Message": {
                "contactsArrayMessage": {
                    "contacts": [{"vcard": CARD}, {"displayName": "Eva"}, "x"],
                }
            }
        },
    ),
    said(
        "words beside a contact card",
        received("llámelo\nEva, 555 0100", Attachment(kind="contact", name="Eva")),
        body="llámelo",
        vCards=["BEGIN:VCARD\r\nFN:Eva\r\nitem1.TEL:555 0100\r\nEND:VCARD"],
    ),
    said(
        "location of one engine, beneath its own part",
        received(
            "",
            Attachment(kind="location", name="Depósito", latitude=-34.6, longitude=-58.38),
        ),
        body=None,
        _data={
            "message": {
                "locationMessage": {
                    "degreesLatitude": -34.6,
                    "degreesLongitude": -58.38,
                    "name": "Depósito",
                }
            }
        },
    ),
    said(
        "location that moves",
        received("", Attachment(kind="location", latitude=-34.6, longitude=-58.38)),
        location=None,
        _data={
            "Message": {
                "liveLocationMessage": {"degreesLatitude": -34.6, "degreesLongitude": -58.38}
            }
        },
    ),
    said(
        "location whose picture one engine gives as the words",
        received("", Attachment(kind="location", latitude=-34.6, longitude=-58.38)),
        body="/9j/4AAQSkZJRgABAQAAAQABAAD",
        location={"latitude": -34.6, "longitude": -58.38},
        _data={"type": "location"},
    ),
)
