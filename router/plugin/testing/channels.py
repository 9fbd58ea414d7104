"""The conformance suite of channels."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from router.domain.event import DeliveryReported
from router.domain.identity import Address
from router.domain.message import OutboundMessage, SendReceipt
from router.errors import InvalidSignature, Refused
from router.plugin.channel import Capabilities, Channel, WebhookAnswer, WebhookRequest
from router.plugin.testing.bodies import any_bytes, mangled
from router.plugin.testing.cases import Case, CheckFailedError, Factory, Outcome, expect, spoken
from router.plugin.testing.clock import FakeClock
from router.plugin.testing.context import FakeContext, Reply
from router.plugin.testing.files import check_fetching, fetch_cases, fetch_utterances
from router.plugin.testing.listings import check_listing, list_cases, list_utterances
from router.plugin.testing.polls import poll_cases, poll_utterances
from router.plugin.testing.provider import OutgoingSuite, row_cases
from router.plugin.testing.responses import (
    check_endpoints,
    expect_verified,
    respond_cases,
    respond_utterances,
)
from router.plugin.testing.rows import (
    Fetch,
    Find,
    ListTemplates,
    Poll,
    Receive,
    Respond,
    Send,
)

_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")
#: The most that one character can be, in each unit.
_WIDEST: dict[str, int] = {"characters": 1, "utf16": 2, "bytes": 4}
_GARBAGE = ("", "=", "zz", "sha256=", "t=,v1=", "é", "0" * 64, "A" * 10_000)


class ChannelSuite(OutgoingSuite):
    """The contract of a channel.

    Set :attr:`channel`, ``config``, :attr:`receives` and :attr:`sends`, and override :meth:`sign`.

    Checks: ``receives``, ``unsigned_request``, ``tampered_body``, ``malformed_signature``,
    ``parse_is_repeatable``, ``dedupe_keys``, ``any_bytes``, ``sends``, ``finds``,
    ``provider_errors``, ``capabilities``, ``unknown_config_key``, ``secrets``; since 1.1 for
    channels that poll or answer with data: ``pollers``, ``polls``, ``poll_is_repeatable``,
    ``poll_errors``, ``responds``, ``respond_any_bytes``; for channels that fetch: ``fetches``,
    ``fetch_address``, ``fetch_redirects``, ``fetch_credentials``, ``fetch_limit``,
    ``fetch_errors``; for channels that list templates: ``lists``, ``list_errors``.

    .. versionadded:: 1.0
    """

    channel: ClassVar[Factory[Channel[Any]]]
    receives: ClassVar[Sequence[Receive]] = ()
    sends: ClassVar[Sequence[Send]] = ()
    finds: ClassVar[Sequence[Find]] = ()
    polls: ClassVar[Sequence[Poll]] = ()
    responds: ClassVar[Sequence[Respond]] = ()
    fetches: ClassVar[Sequence[Fetch]] = ()
    lists: ClassVar[Sequence[ListTemplates]] = ()

    #: Hosts that may see secrets when a file is fetched, besides those that `sends` are sent to.
    #: Since 1.1.
    credential_hosts: ClassVar[Sequence[str]] = ()

    checks = (
        "receives",
        "unsigned_request",
        "tampered_body",
        "malformed_signature",
        "parse_is_repeatable",
        "dedupe_keys",
        "any_bytes",
        "sends",
        "finds",
        "provider_errors",
        "capabilities",
        "pollers",
        "polls",
        "poll_is_repeatable",
        "poll_errors",
        "responds",
        "respond_any_bytes",
        "fetches",
        "fetch_address",
        "fetch_redirects",
        "fetch_credentials",
        "fetch_limit",
        "fetch_errors",
        "lists",
        "list_errors",
        "unknown_config_key",
        "secrets",
    )
    _subject = "channel"

    def sign(self, request: WebhookRequest) -> WebhookRequest:
        """Give the request as the provider would sign it. The default signs nothing."""
        return request

    @classmethod
    def _rows(cls) -> list[Case]:
        here = ChannelSuite
        signed = [row for row in cls.receives if row.rejects is not InvalidSignature]
        good = [row for row in signed if row.rejects is None]
        answered = [row.as_receive() for row in cls.responds]
        return [
            Case("capabilities", "", here.check_capabilities),
            *row_cases("receives", here.check_receive, cls.receives, good),
            *row_cases(
                "unsigned_request", here.check_unsigned, [*signed, *answered], good or answered
            ),
            *row_cases(
                "tampered_body", here.check_tampered, [r for r in signed if _posts(r)], good
            ),
            *row_cases(
                "malformed_signature",
                here.check_malformed_signature,
                [*good, *answered],
                good or answered,
            ),
            *row_cases("parse_is_repeatable", here.check_repeatable, good, good),
            *row_cases("dedupe_keys", here.check_dedupe_keys, good, good),
            *row_cases("any_bytes", here.check_any_bytes, _one_per_endpoint(good), good),
            *row_cases("sends", here.check_send, cls.sends, cls.sends),
            *(Case("finds", row.label, partial(here.check_find, row=row)) for row in cls.finds),
            *cls.provider_cases(cls.sends),
            *poll_cases(cls.polls),
            *respond_cases(cls.responds),
            *fetch_cases(cls.fetches),
            *list_cases(cls.lists),
        ]

    def check_receive(self, row: Receive) -> None:
        channel, request = self._channel(), self.request(row)
        if row.rejects is not None and issubclass(row.rejects, InvalidSignature):
            expect(_refuses(channel, request), "a request that is not signed passed verify")
            return
        expect_verified(channel, request)
        try:
            events = list(channel.parse(request))
        except ValueError as error:
            expect(row.rejects is not None, f"parse raised {type(error).__name__}: {error}")
            return
        expect(row.rejects is None, f"expected {row.rejects}, got {events!r}")
        wanted = None if row.expect is None else list(row.expect)
        expect(wanted is None or events == wanted, f"expected {wanted!r}, got {events!r}")
        answer = channel.acknowledge(request)
        if row.answer is not None:
            expect(answer == row.answer, f"answer: expected {row.answer!r}, got {answer!r}")
        if request.method == "POST":
            success = isinstance(answer, WebhookAnswer) and 200 <= answer.status < 300
            expect(success, f"a POST that is stored has to be acknowledged with 2xx, not {answer}")

    def check_unsigned(self, row: Receive) -> None:
        refused = _refuses(self._channel(), self._unsigned(row))
        expect(refused, "the same request without its signature passed verify")

    def check_tampered(self, row: Receive) -> None:
        channel, request = self._channel(), self.request(row)
        for body in (request.body + b"x", b"x" + request.body, request.body[:-1] + b"\x00"):
            refused = _refuses(channel, replace(request, body=body))
            expect(refused, f"the signature of {request.body!r} was accepted with {body!r}")

    def check_malformed_signature(self, row: Receive) -> None:
        channel, request, unsigned = self._channel(), self.request(row), self._unsigned(row)
        names = [name for name in request.headers if name not in unsigned.headers]
        expect(
            names or request.url != unsigned.url,
            "sign() adds no header and changes no URL; write it, or say why it cannot be",
        )
        for name in names:
            for value in _GARBAGE:
                forged = replace(request, headers={**request.headers, name: value})
                expect(_refuses(channel, forged), f"{name}: {value!r} passed verify")

    def check_repeatable(self, row: Receive) -> None:
        clock = FakeClock()
        first = self._channel(clock)
        request = self.request(row)
        events = list(first.parse(request))
        clock.advance(timedelta(days=400))
        again = list(first.parse(request))
        expect(events == again, f"parsing twice gave {events!r}, then {again!r}")
        anew = list(self._channel(clock).parse(request))
        expect(events == anew, f"another instance, 400 days later, gave {anew!r} for {events!r}")

    def check_dedupe_keys(self, row: Receive) -> None:
        request = self.request(row)
        later = replace(request, received_at=request.received_at + timedelta(hours=3))
        keys = [event.dedupe_key for event in self._channel().parse(request)]
        again = [event.dedupe_key for event in self._channel().parse(later)]
        expect(keys == again, f"delivered again three hours later, {keys} became {again}")
        expect(len(set(keys)) == len(keys), f"two events of one request share a key: {keys}")
        expect(all(key.partition(":")[2] for key in keys), f"an event has an empty id: {keys}")

    def check_any_bytes(self, row: Receive) -> None:
        channel, request = self._channel(), self.request(row)

        def survive(body: bytes) -> None:
            try:
                list(channel.parse(replace(request, body=body)))
            except ValueError:
                return
            except Exception as error:
                message = f"parse raised {type(error).__name__}: {error} for {body[:300]!r}"
                raise CheckFailedError(message) from error

        for body in mangled(request.body):
            survive(body)
        any_bytes(survive)

    def check_send(self, row: Send) -> None:
        outcome = self.outgoing(row)
        self.compare(outcome, row.expect, row.raises, row.requests)
        if row.raises is None:
            expect(
                isinstance(outcome.value, SendReceipt),
                f"send has to give a SendReceipt, not {outcome.value!r}",
            )

    def check_find(self, row: Find) -> None:
        outcome = self._finding(row)
        if outcome.value is not None:
            outcome = replace(outcome, value=list(outcome.value))
        wanted = None if row.expect is None else list(row.expect)
        self.compare(outcome, wanted, row.raises, row.requests)

    def check_capabilities(self) -> None:
        channel = self._channel()
        claims = channel.capabilities
        expect(isinstance(claims, Capabilities), "capabilities has to be a Capabilities")
        sent = [row for row in self.sends if row.raises is None]
        events = [
            event
            for row in self.receives
            if row.rejects is None
            for event in channel.parse(self.request(row))
        ]
        events += [event for row in self.polls if row.expect for event in row.expect.events]
        check_endpoints(channel, self.responds)
        check_fetching(channel, self.fetches)
        check_listing(channel, self.lists)
        if not claims.sends:
            self.check_sends_nothing(sent)
        _agree("receipts", claims.receipts, any(isinstance(e, DeliveryReported) for e in events))
        _agree("media", claims.media, any(row.message.media for row in sent))
        self.check_media(claims, sent)
        implements = type(channel).find_sent is not Channel.find_sent
        expect(claims.find_sent == implements, "find_sent: implement it and claim it, or neither")
        expect(claims.find_sent or not claims.complete_listing, "complete_listing needs find_sent")
        expect(not claims.find_sent or self.finds, "find_sent is claimed; give rows in `finds`")
        if "sends" in self.exempt:
            return
        self.check_longest_text(sent, claims)
        if claims.idempotent_send:
            self.check_idempotent_send(sent)

    def check_media(self, claims: Capabilities, sent: Sequence[Send]) -> None:
        alone = any(len(it.message.media) == 1 and not it.message.text for it in sent)
        expect(
            alone or not claims.media,
            "media is claimed; give a row in `sends` with one attachment and no text: so the host "
            "sends them",
        )
        types = claims.media_types
        if types is None:
            return
        expect(claims.media, "media_types are claimed; claim media, too")
        expect(types, "media_types is empty: no file could be sent; None is for any")
        wrong = sorted(it for it in types if not _TYPE.fullmatch(it))
        expect(not wrong, f"media_types: write them as image/jpeg, in lower case, not {wrong}")

    def check_sends_nothing(self, sent: Sequence[Send]) -> None:
        expect(not sent, "sends is False, but a row in `sends` succeeds")
        plain = OutboundMessage(id="01k7a", recipient=Address("tel", "+573001234567"), text="hola")
        outcome = self.outgoing(Send("a text", plain))
        expect(
            isinstance(outcome.error, Refused) and not outcome.context.requests,
            "sends is False: send() has to be Refused, and to ask nobody",
        )

    def check_longest_text(self, sent: Sequence[Send], claims: Capabilities) -> None:
        row = next((row for row in sent if row.message.text), None)
        if row is None:
            message = "max_text cannot be tested; give a row that sends a text"
            raise CheckFailedError(message)
        limit, unit = claims.max_text, claims.text_unit
        widest = _WIDEST.get(unit)
        if widest is None:
            message = f"text_unit is characters, utf16 or bytes, not {unit!r}"
            raise CheckFailedError(message)
        for character, times in (("x", limit), ("\N{GRINNING FACE}", limit // widest)):
            if not times:
                continue
            text = character * times
            outcome = self.outgoing(Send(row.label, replace(row.message, text=text), *row.replies))
            expect(
                outcome.raw is None,
                f"a text of max_text ({limit} {unit}), of {times} times {character}: "
                f"{outcome.raw!r}",
            )

    def check_idempotent_send(self, sent: Sequence[Send]) -> None:
        row = sent[0]
        first, second = (self.outgoing(row).context.requests for _ in range(2))
        ours = row.message.id
        for one, other in zip(first, second, strict=True):
            same = (one.url, one.content) == (other.url, other.content)
            expect(same, "idempotent_send: a repeat of one message made another request")
        named = any(
            ours in str(request.url)
            or ours.encode() in request.content
            or ours in request.headers.values()
            for request in first
        )
        expect(named or not first, "idempotent_send: no request carries message.id")

    def _utterances(self) -> Iterator[object]:
        channel = self._channel()
        for row in self.receives:
            request, unsigned = self.request(row), self._unsigned(row)
            tampered = replace(request, body=request.body + b"x")
            for one in (request, unsigned, tampered):
                try:
                    channel.verify(one)
                except InvalidSignature as error:
                    yield error
                    for name, value in self._sign(one).headers.items():
                        if name not in unsigned.headers:
                            expect(value not in str(error), "verify tells the right signature")
                else:
                    try:
                        channel.parse(one)
                    except ValueError:
                        continue  # it may quote the customer; the host does not show it
        yield from channel.context.log.entries
        yield from self.outgoing_utterances(self.sends)
        for find in self.finds:
            yield from spoken(self._finding(find))
        yield from poll_utterances(self, self.polls)
        yield from respond_utterances(self, self.responds)
        yield from fetch_utterances(self, self.fetches)
        yield from list_utterances(self, self.lists)

    def request(self, row: Receive) -> WebhookRequest:
        """Give a row's request, signed unless the row is about a missing signature."""
        unsigned = self._unsigned(row)
        return unsigned if row.rejects is InvalidSignature else self._sign(unsigned)

    def _sign(self, request: WebhookRequest) -> WebhookRequest:
        signed = self.sign(request)
        headers = {name.lower(): value for name, value in signed.headers.items()}
        return replace(signed, headers={**request.headers, **headers})

    def _unsigned(self, row: Receive) -> WebhookRequest:
        if isinstance(row.body, WebhookRequest):
            return row.body
        context = FakeContext()
        return WebhookRequest(
            method=row.method,
            url=context.webhook_url(row.endpoint, **row.query),
            headers={name.lower(): value for name, value in row.headers.items()},
            body=row.body,
            received_at=context.clock.now(),
            endpoint=row.endpoint,
        )

    def _channel(self, clock: FakeClock | None = None) -> Any:
        return self.make(FakeContext(clock=clock))

    def outgoing(self, row: Send, replies: Sequence[Reply] | None = None) -> Outcome:
        given = row.replies if replies is None else replies
        return self.perform(given, lambda channel: channel.send(row.message))

    def _finding(self, row: Find) -> Outcome:
        return self.perform(row.replies, lambda it: it.find_sent(row.message, row.since))


def _one_per_endpoint(rows: Sequence[Receive]) -> list[Receive]:
    return list({row.endpoint: row for row in rows if _posts(row)}.values())


def _posts(row: Receive) -> bool:
    method = row.body.method if isinstance(row.body, WebhookRequest) else row.method
    return method == "POST"


def _refuses(channel: Channel[Any], request: WebhookRequest) -> bool:
    try:
        channel.verify(request)
    except InvalidSignature:
        return True
    except Exception as error:
        message = f"verify raised {type(error).__name__}: {error}; only InvalidSignature may leave"
        raise CheckFailedError(message) from error
    return False


def _agree(name: str, claimed: object, shown: object) -> None:
    expect(shown or not claimed, f"{name} is claimed, but no row shows it")
    expect(claimed or not shown, f"a row shows {name}, but it is not claimed")
