"""The page that a notice's link opens: one conversation, to be read and nothing else.

Whoever has the link may read the conversation, for as long as ``router.storage.links`` says; there
is nobody to log in as yet. Wrong links are not counted: a secret has 160 random bits, so guessing a
million a second for a thousand years finds none, and what cannot be a secret costs no query. One
that is wrong, one that is over, and one that its business turned off give the same answer.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from router.domain.conversation import BOT, NOBODY
from router.domain.identity import Address
from router.errors import NotFound
from router.pipeline.notices.because import in_words
from router.pipeline.notices.notices import PATH
from router.storage.calls import CallView, calls_of
from router.storage.conversations import ConversationView, Line, last_lines, show_conversation
from router.storage.drafts import DraftView, list_drafts
from router.storage.escalations import EscalationView, show_escalation
from router.storage.links import find_link
from router.storage.opt_ins import OptInView, opt_ins_of
from router.storage.tickets import TicketView, show_ticket
from router.web.simulator.view import clock_time
from router.web.templates import render
from router.web.texts import TEXTS, language_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from router.web.asgi import RawHeader
    from router.web.host import WebHost

_CONTENT_SECURITY_POLICY: Final = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)

#: The address is the key, so it goes nowhere: not to another site, not into a cache, not into an
#: index. The page needs no script, so it gets none.
HEADERS: Final[tuple["RawHeader", ...]] = (
    (b"content-security-policy", _CONTENT_SECURITY_POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex, nofollow, noarchive, nosnippet"),
    (b"cache-control", b"no-store"),
)

#: How many messages are shown, the newest.
_LINES: Final = 100

_SECRET: Final = re.compile(r"[0-9a-z]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedView:
    """What the page shows.

    :param escalation: the call that the link came with.
    :param ticket: the ticket that it came with, else the one that the conversation has open.
    :param drafts: those that wait for a person.
    :param earlier: there are messages before the first of ``lines``.
    :param calls: the calls since the first of ``lines``.
    :param opt_ins: when the customer was let back in, since the first of ``lines``.
    """

    conversation: ConversationView
    escalation: EscalationView | None
    ticket: TicketView | None
    drafts: tuple[DraftView, ...]
    lines: tuple[Line, ...]
    calls: tuple[CallView, ...] = ()
    opt_ins: tuple[OptInView, ...] = ()
    earlier: bool
    expires_at: datetime

    @property
    def timeline(self) -> list[Line | CallView | OptInView]:
        """Messages, calls and what the customer agreed to again, oldest first."""
        return sorted([*self.lines, *self.calls, *self.opt_ins], key=lambda it: it.at)

    @property
    def address(self) -> Address:
        """Where the customer is reached."""
        return Address.from_text(self.conversation.address)

    @property
    def shown_address(self) -> str:
        """The customer's address as people write it."""
        return self.address.value if self.address.scheme == "tel" else str(self.address)

    @property
    def owner(self) -> str:
        """Who answers: ``bot``, ``nobody`` or ``person``."""
        owner = self.conversation.owner
        return owner if owner in (BOT, NOBODY) else "person"


def linked_view(connection: "Connection", secret: str, now: datetime) -> LinkedView | None:
    """Read what a link opens; ``None`` if it opens nothing, or not any more.

    :raises NotFound: if the tenant of the link has not what it leads to.
    """
    link = find_link(connection, secret, now)
    if link is None:
        return None
    tenant = link.tenant
    conversation = show_conversation(connection, tenant, link.conversation)
    ticket = link.ticket or conversation.open_ticket
    lines = last_lines(connection, tenant, conversation.id, limit=_LINES + 1)
    earlier, lines = len(lines) > _LINES, lines[-_LINES:]
    calls = calls_of(connection, tenant, conversation.id, limit=_LINES)
    opt_ins = opt_ins_of(connection, tenant, conversation.id, limit=_LINES)
    if earlier:
        calls = [call for call in calls if call.at >= lines[0].at]
        opt_ins = [each for each in opt_ins if each.at >= lines[0].at]
    return LinkedView(
        conversation=conversation,
        escalation=show_escalation(connection, tenant, link.escalation)
        if link.escalation
        else None,
        ticket=show_ticket(connection, tenant, ticket) if ticket else None,
        drafts=tuple(reversed(list_drafts(connection, tenant, conversation=conversation.id))),
        lines=tuple(lines),
        calls=tuple(calls),
        opt_ins=tuple(opt_ins),
        earlier=earlier,
        expires_at=link.expires_at,
    )


class LinkedConversation:
    """The page's route."""

    def __init__(self, host: "WebHost") -> None:
        self._host = host

    def route(self) -> Route:
        """Give the route; GET and HEAD only, and neither changes anything."""
        return Route(f"{PATH}{{secret}}", self.page)

    async def page(self, request: Request) -> Response:
        """Give the conversation; 404 with the same words for every link that opens none."""
        settings = self._host.settings
        wish = request.query_params.get("lang")
        view = await self._view(request.path_params["secret"])
        tenant = settings.tenants.get(view.conversation.tenant) if view else None
        if view is None or tenant is None or not tenant.policy.notice_links:
            language = language_of(wish, settings.router.language)
            return HTMLResponse(
                render("conversation_gone.html", **_words(language)), status_code=404
            )
        language = language_of(wish, tenant.language, settings.router.language)
        texts, zone = TEXTS[language], ZoneInfo(tenant.timezone)
        page = render(
            "conversation.html",
            view=view,
            now=self._host.clock.now(),
            timezone=tenant.timezone,
            minutes=minutes,
            time=lambda moment: clock_time(moment, tenant.timezone),
            day=lambda moment: moment.astimezone(zone).strftime(texts["day_format"]),
            chosen_language=language if wish else "",
            **_words(language),
        )
        return HTMLResponse(page)

    async def _view(self, secret: str) -> LinkedView | None:
        if not _SECRET.fullmatch(secret):
            return None
        now = self._host.clock.now()
        try:
            return await self._host.store.read(lambda it: linked_view(it, secret, now))
        except NotFound:  # what it led to is there no more, or is not its tenant's
            return None


def minutes(length: timedelta) -> str:
    """Give a length as a telephone shows it: ``1:05``."""
    seconds = round(length.total_seconds())
    return f"{seconds // 60}:{seconds % 60:02}"


def _words(language: str) -> dict[str, Any]:
    return {
        "t": TEXTS[language],
        "reason": partial(in_words, language=language),
        "language": language,
        "languages": {code: texts["language_name"] for code, texts in TEXTS.items()},
    }
