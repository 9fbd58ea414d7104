"""A provider that counts what its customers got, and misbehaves in every way that is known.

It is five services on one port: Twilio's API (no key, but a listing of what was sent), a ledger
with and without a key, a receiver of webhooks that honours ``Idempotency-Key``, a server of chat
completions, and a mailbox that tells of its letters only when it is asked.
"""

import json
import random
import socket
import struct
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.acceptance.provider import Handler, serving

ACCOUNT = "AC" + "0" * 32
TOKEN = "token-of-the-proof"
SENDER = "whatsapp:+15005550006"
API = f"/2010-04-01/Accounts/{ACCOUNT}"

#: A message's texts end with it: whose it is, and which of them.
MARK = "#"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request that was taken, or would have been had it not been there already.

    :param at: ``time.monotonic()`` when it was taken.
    :param key: what makes it the same as another: the item's or the call's id.
    :param service: ``whatsapp``, ``safe``, ``ledger`` or ``crm``.
    :param new: it had an effect. ``False`` for a repeat that changed nothing.
    :param waited: how long before that the request had come, in seconds.
    """

    at: float
    key: str
    service: str
    to: str
    text: str
    new: bool
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Letter:
    """Something in the mailbox; its id is its place there, from 0."""

    sender: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Whim:
    """How one request is treated.

    :param taken: it has its effect.
    :param before: seconds between reading it and its effect.
    :param after: seconds between its effect and the answer.
    :param status: of the answer; 0 for the ordinary one.
    :param retry_after: in an answer of 429 or 503.
    :param end: ``close`` or ``reset`` the connection instead of answering; ``garbage`` answers 200
        with something else.
    """

    taken: bool = True
    before: float = 0.0
    after: float = 0.0
    status: int = 0
    retry_after: int | None = None
    end: str = ""


FINE = Whim()

#: Letters that are given at once.
_PAGE = 4

#: Longer than any client of the proof waits for an answer.
TOO_LONG = 2.5

#: What goes wrong in a send or a call.
WHIMS: Mapping[str, Whim] = {
    "429": Whim(taken=False, status=429),
    "429 with Retry-After": Whim(taken=False, status=429, retry_after=1),
    "503": Whim(taken=False, status=503),
    "500 before acceptance": Whim(taken=False, status=500),
    "500 after acceptance": Whim(status=500),
    "timeout after acceptance": Whim(after=TOO_LONG),
    "acceptance after the timeout": Whim(before=TOO_LONG),
    "closed before acceptance": Whim(taken=False, end="close"),
    "closed after acceptance": Whim(end="close"),
    "reset before acceptance": Whim(taken=False, end="reset"),
    "reset after acceptance": Whim(end="reset"),
    "garbage after acceptance": Whim(end="garbage"),
    "slow acceptance": Whim(before=0.3),
    "slow answer": Whim(after=0.4),
}

Mood: TypeAlias = Callable[[], tuple[str, Whim]]


def calm() -> tuple[str, Whim]:
    return "", FINE


#: Out of so many seconds, the provider is out for some.
_OUTAGES = 30.0
_OUTAGE = 2.5


def hostile(chance: random.Random, *, share: float) -> Mood:
    """Let a share of the requests, 0 to 1, go wrong, and all of them now and then for a while."""
    began = time.monotonic() - chance.uniform(0, _OUTAGES - _OUTAGE)

    def mood() -> tuple[str, Whim]:
        if (time.monotonic() - began) % _OUTAGES > _OUTAGES - _OUTAGE:
            return "out for a while", WHIMS["503"]
        return chance.choice(sorted(WHIMS.items())) if chance.random() < share else calm()

    return mood


@dataclass(frozen=True, slots=True)
class Callback:
    """A delivery report that is to be posted to a daemon.

    :param due: on ``time.monotonic()``'s clock.
    """

    due: float
    url: str
    form: Mapping[str, str]


@dataclass(slots=True)
class _Sent:
    """A message of Twilio's, as its listing shows it."""

    sid: str
    to: str
    body: str
    created: datetime
    shown: float


@dataclass
class Provider:
    """What the proof knows of the provider.

    :param chance: decides which reports are sent, and when.
    """

    chance: random.Random
    url: str = ""
    mood: Mood = calm
    #: How often each whim came true.
    whims: dict[str, int] = field(default_factory=dict)
    #: Questions that a model was asked.
    asked: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._arrivals: list[Arrival] = []
        self._keys: dict[tuple[str, str], str] = {}
        self._sent: list[_Sent] = []
        self._callbacks: list[Callback] = []
        self._letters: list[Letter] = []
        self._closed = threading.Event()

    # --- what the proof asks

    def arrivals(self) -> list[Arrival]:
        """Give every request that was taken, in order, repeats included."""
        with self._lock:
            return list(self._arrivals)

    def effects(self) -> list[Arrival]:
        """Give what customers got and systems did, in order."""
        return [one for one in self.arrivals() if one.new]

    def due(self) -> list[Callback]:
        """Give the reports whose time has come, once."""
        now = time.monotonic()
        with self._lock:
            due = [one for one in self._callbacks if one.due <= now]
            self._callbacks = [one for one in self._callbacks if one.due > now]
        return due

    def letters(self) -> list[Letter]:
        """Give what was put into the mailbox, in order."""
        with self._lock:
            return list(self._letters)

    def put(self, letter: Letter) -> None:
        """Put a letter into the mailbox."""
        with self._lock:
            self._letters.append(letter)

    def close(self) -> None:
        self._closed.set()

    # --- what its services do

    def whim(self) -> Whim:
        with self._lock:
            name, whim = self.mood()
            if name:
                self.whims[name] = self.whims.get(name, 0) + 1
            return whim

    def think(self, seconds: float) -> None:
        if seconds:
            self._closed.wait(seconds)

    def take(
        self, service: str, key: str, to: str, text: str, *, keyed: bool, waited: float
    ) -> str:
        """Have an effect, unless a key says that it was had; give the provider's id.

        :param waited: how long ago the request came, in seconds.
        """
        with self._lock:
            known = self._keys.get((service, key)) if keyed else None
            name = known or f"{service}-{len(self._arrivals)}"
            self._keys[service, key] = name
            new = known is None
            now = time.monotonic()
            self._arrivals.append(Arrival(now, key, service, to, text, new=new, waited=waited))
            return name

    def send_whatsapp(self, form: Mapping[str, str], waited: float) -> str:
        callback = form["StatusCallback"]
        item = parse_qs(urlsplit(callback).query)["item"][0]
        number = self.take("whatsapp", item, form["To"], form["Body"], keyed=False, waited=waited)
        sid = f"SM{number.partition('-')[2]:0>32}"
        now = time.monotonic()
        with self._lock:
            # A listing is a little behind what was taken.
            shown = now + self.chance.choice((0.0, 0.0, 1.0))
            self._sent.append(_Sent(sid, form["To"], form["Body"], datetime.now(UTC), shown))
            early = self._report(callback, sid, form["To"], now) and self.chance.random() < 0.5
        # Long enough for the first report to arrive before the answer.
        self.think(0.15 if early else 0.0)
        return sid

    def _report(self, url: str, sid: str, to: str, now: float) -> bool:
        """Plan reports: some at once, some late, some twice, some never, in any order.

        :return: whether there is one at once.
        """
        chance = self.chance
        if chance.random() < 0.3:
            return False
        statuses = ["queued", "sent", "delivered", "read"][: chance.randint(1, 4)]
        statuses += chance.choices(statuses, k=chance.randint(0, 2))
        chance.shuffle(statuses)
        delays = chance.choices((0.0, 0.05, 0.5, 2.0), k=len(statuses))
        for status, delay in zip(statuses, delays, strict=True):
            form = {"MessageSid": sid, "MessageStatus": status, "To": to, "From": SENDER}
            self._callbacks.append(Callback(now + delay, url, form | {"AccountSid": ACCOUNT}))
        return 0.0 in delays

    def listing(self, to: str) -> dict[str, Any]:
        now = time.monotonic()
        with self._lock:
            found = [one for one in self._sent if one.to == to and one.shown <= now]
        return {
            "messages": [
                {
                    "sid": one.sid,
                    "to": one.to,
                    "from": SENDER,
                    "body": one.body,
                    "direction": "outbound-api",
                    "num_media": "0",
                    "status": "sent",
                    "date_created": format_datetime(one.created),
                    "date_sent": format_datetime(one.created),
                }
                for one in reversed(found)
            ],
            "next_page_uri": None,
        }

    def page(self, begin: int) -> dict[str, Any]:
        """Give the letters from one on, some at a time."""
        letters = self.letters()
        end = min(begin + _PAGE, len(letters))
        found = [
            {"id": str(number), "from": letters[number].sender, "text": letters[number].text}
            for number in range(begin, end)
        ]
        return {"letters": found, "next": str(end), "more": end < len(letters)}

    def complete(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer as a model does that has understood the question: by naming it."""
        with self._lock:
            self.asked += 1
            number = self.asked
        question = request["messages"][-1]["content"]
        marks = sorted({word for word in question.split() if MARK in word})
        answer = {"answer": f"Respuesta {number} a {' '.join(marks)}", "category": "INFO"}
        message = {"role": "assistant", "content": json.dumps({**answer, "citations": []})}
        return {"model": "proof", "choices": [{"message": message, "finish_reason": "stop"}]}


@contextmanager
def running(chance: random.Random) -> Iterator[Provider]:
    """Run a provider until the context is left."""
    provider = Provider(chance)

    class Mine(_Handler):
        it = provider

    with serving(Mine) as server:
        provider.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield provider
        finally:
            provider.close()


class _Handler(Handler):
    it: Provider

    def do_GET(self) -> None:  # noqa: N802 - what http.server calls it
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        if parts.path == f"{API}.json":
            self._answer(200, {"sid": ACCOUNT, "status": "active"})
        elif parts.path == f"{API}/Messages.json":
            self._list(lambda: self.it.listing(query["To"]))
        elif parts.path == "/letters":
            self._list(lambda: self.it.page(int(query["after"])))
        elif parts.path == "/v1/models":
            self._answer(200, {"data": [{"id": "proof"}]})
        else:
            self._answer(404, {})

    def _list(self, listing: Callable[[], dict[str, Any]]) -> None:
        whim = self.it.whim()
        self.it.think(whim.before + whim.after)
        if whim.end or whim.status:
            self._misbehave(whim)
        else:
            self._answer(200, listing())

    def do_POST(self) -> None:  # noqa: N802 - likewise
        body = self.body()
        whim = self.it.whim()
        self.it.think(whim.before)
        status, answer = self._serve(body, whim.before) if whim.taken else (200, {})
        self.it.think(whim.after)
        if whim.end or whim.status:
            self._misbehave(whim)
        else:
            self._answer(status, answer)

    def _serve(self, body: bytes, waited: float) -> tuple[int, dict[str, Any]]:
        if self.path == f"{API}/Messages.json":
            wanted = b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
            if self.headers["Authorization"] != f"Basic {wanted}":
                return 401, {"code": 20003, "message": "no"}
            form = dict(parse_qsl(body.decode(), keep_blank_values=True))
            sid = self.it.send_whatsapp(form, waited)
            return 201, {"sid": sid, "status": "queued"}
        values = json.loads(body)
        if self.path == "/v1/chat/completions":
            return 200, self.it.complete(values)
        if self.path == "/crm":
            key = self.headers["Idempotency-Key"]
            text = values["params"]["title"]
            to = values["contact"]["address"]
            name = self.it.take("crm", key, to, text, keyed=True, waited=waited)
            return 200, {"id": name}
        service, keyed = ("safe", True) if self.path.startswith("/safe") else ("ledger", False)
        to, text = values["to"], values["text"]
        name = self.it.take(service, values["id"], to, text, keyed=keyed, waited=waited)
        return 200, {"id": name}

    def _misbehave(self, whim: Whim) -> None:
        if whim.status:
            wait = {} if whim.retry_after is None else {"Retry_After": str(whim.retry_after)}
            self._answer(whim.status, {"message": "not now"}, **wait)
        elif whim.end == "garbage":
            self._answer(200, "<html>something else</html>")
        elif whim.end == "reset":
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.hang_up()

    def _answer(self, status: int, values: dict[str, Any] | str, **headers: str) -> None:
        text = values if isinstance(values, str) else json.dumps(values)
        self.answer(status, text.encode(), **{"Content_Type": "application/json", **headers})
