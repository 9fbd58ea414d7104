"""Customers who write numbered messages, people who take over, and providers that deliver all this.

A webhook is delivered until it is acknowledged, as providers do: to any node, again and again,
sometimes twice although it was, sometimes to two nodes at once.
"""

import hmac
import random
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

import anyio
import httpx

from tests.acceptance.daemon import signed
from tests.proof.provider import ACCOUNT, MARK, SENDER, TOKEN, Callback, Letter, Provider
from tests.proof.site import LETTER, ORDER, PUBLIC, QUESTION, REPEAT

#: Customers who write at the same time.
WRITERS = 8

#: And those who write letters, one after the other.
_CORRESPONDENTS = 5

#: A node that has not answered by then is tried no longer; it may be frozen.
_ANSWER = 4.0
_PAUSE = 0.03


@dataclass(frozen=True, slots=True)
class Written:
    """One message of a customer.

    :param number: counts from 0 in its conversation.
    :param after_takeover: it was written when a person's takeover had been acknowledged.
    """

    id: str
    number: int
    sort: str
    text: str
    after_takeover: bool


@dataclass(slots=True)
class Customer:
    """Somebody who writes to one channel.

    :param sorts: what the messages begin with, in order.
    :param taken_before: a person takes over before the message of this number is written.
    """

    digits: str
    channel: str
    sorts: tuple[str, ...]
    taken_before: int | None
    acknowledged: list[Written] = field(default_factory=list)
    #: ``time.monotonic()`` when the takeover was acknowledged.
    taken_at: float | None = None
    #: The same moment on the clock that the router's rows have.
    taken_on: datetime | None = None
    #: The takeover was one that waits for what is just leaving, and names what still was.
    by_command: bool = False
    under_way: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return f"tel:+{self.digits}"


@dataclass(frozen=True, slots=True)
class _Webhook:
    path: str
    body: bytes
    headers: Mapping[str, str]


class Town:
    """Everybody who writes to the router, and everything that was delivered to it.

    :param doors: gives the addresses of the nodes that serve right now.
    """

    def __init__(
        self, chance: random.Random, provider: Provider, doors: Callable[[], list[str]]
    ) -> None:
        self.customers: list[Customer] = []
        self._chance = chance
        self._provider = provider
        self._doors = doors
        self._stopping = False
        self.finished = anyio.Event()
        #: Answers by status; 0 is a lost connection.
        self.answers: dict[int, int] = {}
        self._http: httpx.AsyncClient

    async def live(self, *, writers: int = WRITERS) -> None:
        """Write and deliver until :meth:`stop`, then until every report is delivered."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._http = httpx.AsyncClient(timeout=_ANSWER, limits=limits, trust_env=False)
        async with self._http, anyio.create_task_group() as tasks:
            tasks.start_soon(self._courier)
            tasks.start_soon(self._correspond)
            for _ in range(writers):
                tasks.start_soon(self._write)
        self.finished.set()

    def stop(self) -> None:
        """Let nobody begin another message."""
        self._stopping = True

    def talking(self) -> list[Customer]:
        """Give those who are just writing, and whom no person answers."""
        return [
            customer
            for customer in self.customers[-WRITERS:]
            if customer.taken_before is None and customer.acknowledged
        ]

    async def repeat_everything(self) -> None:
        """Deliver every message once more, in any order."""
        webhooks = [
            _message(customer, written)
            for customer in self.customers
            for written in customer.acknowledged
        ]
        self._chance.shuffle(webhooks)
        self._http = httpx.AsyncClient(timeout=_ANSWER * 5, trust_env=False)
        async with self._http:
            for webhook in webhooks:
                await self._deliver(webhook)

    # --- writing

    async def _write(self) -> None:
        while not self._stopping:
            customer = self._newcomer()
            for number, sort in enumerate(customer.sorts):
                if self._stopping:
                    break
                if number == customer.taken_before:
                    await self._take_over(customer)
                await self._say(customer, number, sort)
                await anyio.sleep(self._chance.uniform(0.05, 0.4))

    def _newcomer(self) -> Customer:
        chance = self._chance
        sorts = tuple(chance.choices((REPEAT, ORDER, QUESTION), (5, 2, 3), k=chance.randint(3, 14)))
        customer = Customer(
            digits=f"57301{len(self.customers):07}",
            channel=chance.choices(("whatsapp", "safe", "ledger"), (5, 3, 2))[0],
            sorts=sorts,
            taken_before=chance.randint(1, len(sorts)) if chance.random() < 0.35 else None,
        )
        self.customers.append(customer)
        return customer

    async def _say(self, customer: Customer, number: int, sort: str) -> None:
        text = f"{sort} {MARK}{customer.digits}/{number}"
        name = f"SM{customer.digits}{number:020}"
        written = Written(name, number, sort, text, customer.taken_at is not None)
        webhook = _message(customer, written)
        if self._chance.random() < 0.1:  # two deliveries of one message at once
            async with anyio.create_task_group() as both:
                both.start_soon(self._deliver, webhook)
                both.start_soon(self._deliver, webhook)
        else:
            await self._deliver(webhook)
        customer.acknowledged.append(written)
        if self._chance.random() < 0.2:  # a provider that did not see our answer, or is confused
            await self._deliver(_message(customer, self._chance.choice(customer.acknowledged)))

    async def _correspond(self) -> None:
        """Put letters into the provider's mailbox."""
        number = 0
        while not self._stopping:
            sender = f"tel:+57302{number % _CORRESPONDENTS:07}"
            self._provider.put(Letter(sender, f"{LETTER} {number}"))
            number += 1
            await anyio.sleep(self._chance.uniform(0.05, 0.4))

    async def _take_over(self, customer: Customer) -> None:
        """Let a person of the business answer by telephone: the provider shows it as an echo."""
        echo = {"id": f"echo-{customer.digits}", "echo": True}
        body, headers = signed({**echo, "to": customer.address, "text": "Hola, soy Ana."})
        await self._deliver(_Webhook("/hooks/ledger", body, headers))
        customer.taken_at, customer.taken_on = time.monotonic(), datetime.now(UTC)

    # --- delivering

    async def _deliver(self, webhook: _Webhook) -> None:
        """Deliver until it is acknowledged."""
        while True:
            if await self._post(webhook):
                return
            await anyio.sleep(_PAUSE)

    async def _post(self, webhook: _Webhook) -> bool:
        doors = self._doors()
        if not doors:
            return False
        url = self._chance.choice(doors) + webhook.path
        try:
            answer = await self._http.post(url, content=webhook.body, headers=webhook.headers)
        except httpx.TransportError:
            status = 0
        else:
            status = answer.status_code
        self.answers[status] = self.answers.get(status, 0) + 1
        return 200 <= status < 300

    async def _courier(self) -> None:
        """Post delivery reports, each once, whether or not anybody is there."""
        last = time.monotonic()
        while not self._stopping or time.monotonic() < last + 3:
            if not self._stopping:
                last = time.monotonic()
            for callback in self._provider.due():
                await self._post(_report(callback))
            await anyio.sleep(0.02)


def _message(customer: Customer, written: Written) -> _Webhook:
    if customer.channel != "whatsapp":
        message = {"id": written.id, "from": customer.address, "text": written.text}
        return _Webhook(f"/hooks/{customer.channel}", *signed(message))
    sender = f"whatsapp:+{customer.digits}"
    form = {"MessageSid": written.id, "AccountSid": ACCOUNT, "From": sender, "To": SENDER}
    form |= {"Body": written.text, "WaId": customer.digits, "SmsStatus": "received"}
    return _twilio("/hooks/whatsapp", form)


def _report(callback: Callback) -> _Webhook:
    parts = urlsplit(callback.url)
    return _twilio(f"{parts.path}?{parts.query}", callback.form)


def _twilio(path: str, form: Mapping[str, str]) -> _Webhook:
    """Sign as Twilio does: the public address, then every name and value in order."""
    text = PUBLIC + path + "".join(name + form[name] for name in sorted(form))
    signature = b64encode(hmac.digest(TOKEN.encode(), text.encode(), "sha1")).decode()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": signature,
    }
    return _Webhook(path, urlencode(form).encode(), headers)
