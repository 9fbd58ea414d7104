"""Twilio on this machine: its Messages API, with its ways to fail, and its signed webhooks."""

import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
from twilio.request_validator import RequestValidator

from tests.acceptance.daemon import PATIENCE, TLS, Daemon
from tests.acceptance.provider import Handler, Whim, serving

PUBLIC = "https://something.trycloudflare.com"
TOKEN = "0123456789abcdef0123456789abcdef"
ACCOUNT = "AC" + "0" * 32
SENDER = "whatsapp:+14155238886"
CUSTOMER = "whatsapp:+573001234567"

HOOK = "/hooks/whatsapp"

_ROOT = f"/2010-04-01/Accounts/{ACCOUNT}"
_CREDENTIALS = "Basic " + b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()

#: What the body of a failed answer says, by its status.
_CODES = {400: 21604, 401: 20003, 404: 20404, 429: 20429, 500: 20500, 503: 20503}


# --- what Twilio calls


def signed(url: str, form: Mapping[str, str], token: str = TOKEN) -> str:
    """Sign as Twilio's own library does."""
    signature: str = RequestValidator(token).compute_signature(url, dict(form))
    return signature


def call(
    daemon: Daemon,
    path: str,
    form: Mapping[str, str],
    *,
    public: str = PUBLIC,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Call a webhook as Twilio does through the tunnel.

    :param headers: in place of the signature.
    """
    if headers is None:
        headers = {"X-Twilio-Signature": signed(public + path, form)}
    common = {
        "Host": urlsplit(public).netloc,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "203.0.113.9",
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
    }
    return httpx.post(
        daemon.url + path,
        content=urlencode(form),
        headers={**common, **headers},
        timeout=PATIENCE,
        verify=TLS,
    )


def question(id: str = "SM00000000000000000000000000000001", **more: str) -> dict[str, str]:
    """Give the form of a customer's message."""
    return {
        "MessageSid": id,
        "SmsSid": id,
        "SmsMessageSid": id,
        "AccountSid": ACCOUNT,
        "From": CUSTOMER,
        "To": SENDER,
        "Body": "¿Cuál es el horario?",
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsStatus": "received",
        "MessageType": "text",
        "ProfileName": "Ana Pérez",
        "ApiVersion": "2010-04-01",
        **more,
    }


def report(message: "Taken", status: str, **more: str) -> dict[str, str]:
    """Give the form of a status callback."""
    return {
        "MessageSid": message.sid,
        "SmsSid": message.sid,
        "AccountSid": ACCOUNT,
        "MessageStatus": status,
        "SmsStatus": status,
        "From": SENDER,
        "To": message.to,
        "ChannelPrefix": "whatsapp",
        "ApiVersion": "2010-04-01",
        **more,
    }


# --- what calls Twilio


@dataclass(frozen=True, slots=True)
class Posted:
    """One request to send a message, taken or not.

    :param at: on the monotonic clock.
    """

    form: Mapping[str, str]
    at: float

    @property
    def to(self) -> str:
        return self.form["To"]

    @property
    def text(self) -> str:
        return self.form["Body"]

    @property
    def callback(self) -> str:
        """The path and query at which the sender wants to hear of it."""
        return self.form["StatusCallback"].removeprefix(PUBLIC)

    @property
    def item(self) -> str:
        """What the sender calls it."""
        ((name, value),) = parse_qsl(urlsplit(self.callback).query)
        assert name == "item"
        return value


@dataclass(frozen=True, slots=True)
class Taken(Posted):
    """A message that its customer got, or will get."""

    sid: str
    created: str


#: Asked what happens to a request, with its number among those for the same item, from 0.
Mood: TypeAlias = Callable[[Posted, int], Whim | None]


class Twilio:
    """What the tests know of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._posted: list[Posted] = []
        self._taken: list[Taken] = []
        self._awake = threading.Event()
        self._open: ExitStack | None = None
        self._connections: set[socket.socket] = set()
        self.port = 0
        #: What customers sent, by the path of its address: its type and its bytes.
        self.media: dict[str, tuple[str, bytes]] = {}
        self.mood: Mood = lambda _posted, _number: None
        #: Called with what was taken before the answer leaves.
        self.on_taken: Callable[[Taken], None] = lambda _message: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def posted(self) -> list[Posted]:
        """Give every request to send, in order."""
        with self._lock:
            return list(self._posted)

    def taken(self) -> list[Taken]:
        """Give what customers get, in order."""
        with self._lock:
            return list(self._taken)

    def keep(self, name: str, content_type: str, data: bytes) -> str:
        """Keep what a customer sent; give its address."""
        path = f"{_ROOT}/Messages/MM{name}/Media/ME{name}"
        self.media[path] = (content_type, data)
        return self.url + path

    # --- being there, or not

    def start(self) -> None:
        """Answer, at the port of before if there was one."""
        assert self._open is None
        with ExitStack() as stack:
            server = stack.enter_context(serving(partial(_TwilioHandler, self), self.port))
            self.port = server.server_address[1]
            self._open = stack.pop_all()

    def leave(self) -> None:
        """Be gone: close every connection, and refuse new ones."""
        if self._open is not None:
            self._open.close()
            self._open = None
        with self._lock:
            gone, self._connections = self._connections, set()
        for connection in gone:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._awake.set()
        self.leave()

    # --- answering

    def take(self, posted: Posted) -> tuple[Taken | None, Whim]:
        with self._lock:
            number = sum(one.item == posted.item for one in self._posted)
            self._posted.append(posted)
            whim = self.mood(posted, number) or Whim()
            if not whim.taken:
                return None, whim
            sid = f"SM{len(self._taken) + 1000:032d}"
            created = format_datetime(datetime.now(UTC))
            message = Taken(posted.form, posted.at, sid, created)
            self._taken.append(message)
            return message, whim

    def wait(self, seconds: float) -> None:
        self._awake.wait(seconds)

    def connected(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)

    def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """List the messages to a customer, the newest first, a page at a time."""
        size, page = min(int(query.get("PageSize", "50")), 1000), int(query.get("Page", "0"))
        wanted = [
            message
            for message in reversed(self.taken())
            if query.get("To") in {None, message.to}
            and query.get("From") in {None, message.form.get("From")}
        ]
        following = None
        if len(wanted) > size * (page + 1):
            more = urlencode({**query, "Page": page + 1, "PageToken": f"PA{page}"})
            following = f"{_ROOT}/Messages.json?{more}"
        shown = wanted[size * page : size * (page + 1)]
        messages = [_resource(message) for message in shown]
        return {"messages": messages, "next_page_uri": following, "page_size": size}


class _TwilioHandler(Handler):
    def __init__(self, twilio: Twilio, *arguments: Any) -> None:
        self._twilio = twilio
        super().__init__(*arguments)

    def setup(self) -> None:
        super().setup()
        self._twilio.connected(self.connection)

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        body = self.body()
        if self.headers["Authorization"] != _CREDENTIALS:
            self._refuse(401)
        elif self.path != f"{_ROOT}/Messages.json":
            self._refuse(404)
        elif self.headers["Content-Type"] != "application/x-www-form-urlencoded":
            self._refuse(400)
        else:
            self._send(body.decode())

    def _send(self, body: str) -> None:
        fields = parse_qs(body, strict_parsing=True)
        form = {name: value for name, (value,) in fields.items()}
        if "To" not in form:
            self._refuse(400)
            return
        message, whim = self._twilio.take(Posted(form, time.monotonic()))
        if message is not None:
            self._twilio.on_taken(message)
        if whim.seconds:
            self._twilio.wait(whim.seconds)
        if whim.hang_up:
            self.hang_up()
        elif message is None or whim.status != 200:
            self._refuse(whim.status, whim.retry_after)
        else:
            self._json(201, _resource(message))

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        parts = urlsplit(self.path)
        if self.headers["Authorization"] != _CREDENTIALS:
            self._refuse(401)
        elif parts.path == f"{_ROOT}.json":
            self._json(200, {"sid": ACCOUNT, "status": "active", "auth_token": TOKEN})
        elif parts.path == f"{_ROOT}/Messages.json":
            self._json(200, self._twilio.page(dict(parse_qsl(parts.query))))
        elif found := self._twilio.media.get(parts.path):
            self.answer(200, found[1], Content_Type=found[0])
        else:
            self._refuse(404)

    def _refuse(self, status: int, retry_after: int | None = None) -> None:
        code = _CODES[status]
        more = f"https://www.twilio.com/docs/errors/{code}"
        body = {"code": code, "message": "no", "more_info": more, "status": status}
        wait = {} if retry_after is None else {"Retry_After": str(retry_after)}
        self._json(status, body, **wait)

    def _json(self, status: int, body: object, **headers: str) -> None:
        content = {"Content_Type": "application/json", **headers}
        self.answer(status, json.dumps(body).encode(), **content)


def _resource(message: Taken) -> dict[str, Any]:
    return {
        "sid": message.sid,
        "account_sid": ACCOUNT,
        "api_version": "2010-04-01",
        "status": "queued",
        "direction": "outbound-api",
        "to": message.to,
        "from": message.form.get("From"),
        "messaging_service_sid": message.form.get("MessagingServiceSid"),
        "body": message.form.get("Body", ""),
        "num_media": "1" if "MediaUrl" in message.form else "0",
        "num_segments": "1",
        "price": None,
        "price_unit": None,
        "error_code": None,
        "error_message": None,
        "date_created": message.created,
        "date_updated": message.created,
        "date_sent": None,
        "uri": f"{_ROOT}/Messages/{message.sid}.json",
        "subresource_uris": {"media": f"{_ROOT}/Messages/{message.sid}/Media.json"},
    }


@contextmanager
def running() -> Iterator[Twilio]:
    """Run Twilio until the context is left."""
    twilio = Twilio()
    twilio.start()
    try:
        yield twilio
    finally:
        twilio.close()


# --- the daemon before it

RULES = """
default.ignore = "nobody asked"

[[rule]]
id = "repeat"
when.text.starts_with = "repite"
then.reply = { text = "{{ text }}" }
"""


def files() -> dict[str, str]:
    return {"rules.toml": RULES, ".env": f"TWILIO_AUTH_TOKEN={TOKEN}\n"}


def router_toml(twilio: Twilio, *, timeout: str = "20s") -> str:
    """Give a router.toml with a channel that repeats what begins with ``repite``."""
    return f"""
[router]
rules = ["rules.toml"]
public_url = "{PUBLIC}"
language = "es"
timezone = "UTC"

[policy]
mode = "autopilot"
debounce = "0s"

[channels.whatsapp]
type = "twilio_whatsapp"
account_sid = "{ACCOUNT}"
auth_token = {{ env = "TWILIO_AUTH_TOKEN" }}
sender = "{SENDER}"
base_url = "{twilio.url}"
timeout = "{timeout}"
breaker_pause = "1s"
settle = "4s"
templates_every = "never"
"""


def row_counts(daemon: Daemon) -> dict[str, int]:
    """Count the rows of every table of the database."""
    tables = daemon.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name: daemon.rows(f'SELECT count(*) FROM "{name}"')[0][0] for (name,) in tables}  # noqa: S608


def worked_for(daemon: Daemon, customer: str) -> bool:
    """Tell whether everything that came about a customer with a number has been worked."""
    lane = f"main/tel:{customer.removeprefix('whatsapp:')}"
    statement = "SELECT count(*) FROM inbox_event WHERE lane = ? AND outcome IS NULL"
    return daemon.rows(statement, lane) == [(0,)]
