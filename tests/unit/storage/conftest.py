"""What functions over a connection are tried on: a database of each kind, and rows in it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, cast

import pytest
import sqlalchemy as sa

from router.ages import Ages
from router.plugin.testing import FakeClock
from router.storage.store import Tx
from router.storage.tables import (
    contact,
    conversation,
    decision,
    inbox_event,
    lane,
    message,
    outbox,
)
from tests.databases import Database

NOW = FakeClock().now().replace(microsecond=123457)


@dataclass
class _Writing:
    connection: sa.Connection
    now: datetime

    def __post_init__(self) -> None:
        self.ages = Ages(FakeClock(self.now))


def writing(connection: sa.Connection, now: datetime = NOW) -> Tx:
    """Give as much of a transaction as functions use that keep what they answer."""
    return cast("Tx", _Writing(connection, now))


@dataclass
class Shop:
    """A business with a customer; makes rows with everything in them that a test leaves out."""

    database: Database
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.numbers = count(1)

    def name(self, what: str) -> str:
        return f"{what}-{next(self.numbers):04}"

    def contact(self, key: str = "tel:+573001234567", tenant: str = "main", **more: Any) -> str:
        values: dict[str, Any] = {"id": self.name("contact"), "tenant": tenant, "key": key}
        values |= {"tags": [], "attributes": {}, "created_at": self.now, **more}
        self.database.insert(contact, values)
        return str(values["id"])

    def thread(self, key: str = "tel:+573001234567", tenant: str = "main", **more: Any) -> str:
        """Open a conversation, with its contact if there is none of the key."""
        known = self.database.rows(contact, tenant=tenant, key=key)
        values = {
            "id": self.name("conversation"),
            "tenant": tenant,
            "contact": known[0].id if known else self.contact(key, tenant),
            "channel": "phone",
            "address": key,
            "status": "active",
            "source": "inbound",
            "owner": "bot",
            "tags": [],
            "attributes": {},
            "created_at": self.now,
            "last_activity_at": self.now,
            **more,
        }
        self.database.insert(conversation, values)
        return str(values["id"])

    def event(self, seq: int, *, key: str = "tel:+573001234567", **more: Any) -> None:
        values = {
            "lane": f"main/{key}",
            "seq": seq,
            "tenant": "main",
            "source": "main/phone",
            "external_id": self.name("message:in"),
            "type": "message",
            "payload": '{"text": "hola"}',
            "received_at": self.now,
            **more,
        }
        self.database.insert(inbox_event, values)

    def lane(self, *, kind: str = "in", key: str = "main/tel:+573001234567", **more: Any) -> None:
        values = {"kind": kind, "key": key, "tenant": "main", "last_seq": 0, "done_seq": 0}
        values |= {"parked": False, **more}
        self.database.insert(lane, values)

    def line(self, thread: str, text: str, **more: Any) -> str:
        values = {
            "id": self.name("line"),
            "tenant": "main",
            "conversation": thread,
            "direction": "in",
            "author": "customer",
            "text": text,
            "channel": "phone",
            "address": "tel:+573001234567",
            "created_at": self.now,
            **more,
        }
        self.database.insert(message, values)
        return str(values["id"])

    def item(self, **more: Any) -> str:
        number = next(self.numbers)
        values = {
            "id": f"item-{number:04}",
            "tenant": "main",
            "lane": "main/phone/tel:+573001234567",
            "seq": number,
            "kind": "message",
            "author": "bot",
            "epoch": 0,
            "destination": "phone",
            "body": '{"text": "hola", "recipient": "tel:+573001234567"}',
            "state": "waiting",
            "created_at": self.now,
            **more,
        }
        self.database.insert(outbox, values)
        return str(values["id"])

    def decision(self, seq: int, outcome: str = "reply", **more: Any) -> None:
        values = {
            "lane": "main/tel:+573001234567",
            "seq": seq,
            "tenant": "main",
            "outcome": outcome,
            "body": {"because": "así", "sources": ["a#1"]},
            "trace": b"",
            "created_at": self.now,
            **more,
        }
        self.database.insert(decision, values)

    def ago(self, **much: float) -> datetime:
        return self.now - timedelta(**much)


@pytest.fixture
def shop(database: Database) -> Shop:
    return Shop(database)
