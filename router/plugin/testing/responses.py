"""What the suite of channels makes sure of where a channel answers with data."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from router.domain.identity import Address, thread_key
from router.plugin.channel import Channel, WebhookAnswer, WebhookRequest
from router.plugin.people import Card
from router.plugin.testing.bodies import any_bytes, mangled
from router.plugin.testing.cases import Case, CheckFailedError, Outcome, Suite, expect, spoken
from router.plugin.testing.context import FakeContext
from router.plugin.testing.rows import Receive, Respond

#: Makes a row's request, signed.
Make = Callable[[Receive], WebhookRequest]

#: An endpoint of the host's own.
_RESERVED = "test"


class FakePeople:
    """A :class:`router.plugin.People` that knows who it is told.

    .. versionadded:: 1.1
    """

    def __init__(self, known: Mapping[Address, Card] | None = None) -> None:
        self._known = {thread_key(address): card for address, card in (known or {}).items()}
        #: Who was asked for.
        self.asked: list[Address] = []

    async def lookup(self, address: Address) -> Card | None:
        self.asked.append(address)
        return self._known.get(thread_key(address))


def respond_cases(rows: Sequence[Respond]) -> list[Case]:
    """Give the cases of a channel's answers."""
    once = list({row.endpoint: row for row in rows}.values())
    return [
        *(Case("responds", row.label, partial(_check_respond, row=row)) for row in rows),
        *(Case("respond_any_bytes", row.endpoint, partial(_check_bytes, row=row)) for row in once),
    ]


def respond_utterances(suite: Any, rows: Sequence[Respond]) -> Iterator[object]:
    """Answer in every way the rows know, and give what the plugin says."""
    for row in rows:
        yield from spoken(_responding(suite, row, suite.request(row.as_receive())))


def check_endpoints(channel: Channel[Any], rows: Sequence[Respond]) -> None:
    """Make sure that what is claimed is there, and what is there is claimed.

    :raises CheckFailedError: if it is not.
    """
    claimed = channel.capabilities.responds
    implements = type(channel).respond is not Channel.respond
    expect(
        bool(claimed) == implements,
        "responds: implement respond() and name its endpoints, or neither",
    )
    wrong = [name for name in claimed if not name or name == _RESERVED or "/" in name]
    expect(not wrong, f"{wrong} cannot be endpoints that answer with data")
    shown = {row.endpoint for row in rows}
    expect(claimed <= shown, f"give rows in `responds` for {sorted(claimed - shown)}")
    expect(shown <= claimed, f"{sorted(shown - claimed)} are not named in capabilities.responds")


def expect_verified(channel: Channel[Any], request: WebhookRequest) -> None:
    """Let a channel verify a request that it should let in, as the host asks it."""
    verify: Callable[[WebhookRequest], object] = channel.verify
    given = verify(request)
    expect(given is None, f"verify gave {type(given).__name__}: it has to give None")


def _check_respond(suite: Any, row: Respond) -> None:
    request = suite.request(row.as_receive())
    expect_verified(suite.make(), request)
    outcome = _responding(suite, row, request)
    suite.compare(outcome, row.expect, None, None)
    answer = outcome.value
    expect(
        isinstance(answer, WebhookAnswer),
        f"respond has to give a WebhookAnswer, not {answer!r}",
    )
    if row.json is not None:
        try:
            said = json.loads(answer.body)
        except ValueError:
            said = answer.body
        expect(said == row.json, f"expected {row.json!r}, got {said!r}")
    default = _default(suite.make(), request)
    expect(
        row.default is None or default == row.default,
        f"default_response: expected {row.default!r}, got {default!r}",
    )


def _check_bytes(suite: Any, row: Respond) -> None:
    """Whatever is asked has an answer: the phone rings."""
    request = suite.request(row.as_receive())
    channel = suite.make(FakeContext())
    with asyncio.Runner() as runner:

        def survive(body: bytes) -> None:
            asked = replace(request, body=body)
            _default(channel, asked)
            if row.replies:
                return  # who knows what it would ask its provider
            try:
                answer = runner.run(channel.respond(asked, FakePeople()))
            except Exception as error:
                message = f"respond raised {type(error).__name__}: {error} for {body[:300]!r}"
                raise CheckFailedError(message) from error
            expect(isinstance(answer, WebhookAnswer), f"respond gave {answer!r} for {body[:300]!r}")

        for body in mangled(request.body):
            survive(body)
        any_bytes(survive)


def _default(channel: Channel[Any], request: WebhookRequest) -> WebhookAnswer:
    try:
        answer: object = channel.default_response(request)
        again = channel.default_response(request)
    except Exception as error:
        message = (
            f"default_response raised {type(error).__name__}: {error} for {request.body[:300]!r}"
        )
        raise CheckFailedError(message) from error
    expect(answer == again, f"default_response gave {answer!r}, then {again!r}")
    if not isinstance(answer, WebhookAnswer):
        message = f"default_response has to give a WebhookAnswer, not {answer!r}"
        raise CheckFailedError(message)
    return answer


def _responding(suite: Suite, row: Respond, request: WebhookRequest) -> Outcome:
    people = FakePeople(row.people)
    return suite.perform(row.replies, lambda channel: channel.respond(request, people))
