"""Finding out whether Twilio has a message, when its answer was lost."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from router import plugin
from router_twilio.addresses import written
from router_twilio.config import VERSION, TwilioConfig
from router_twilio.errors import failure
from router_twilio.sending import body_of

if TYPE_CHECKING:
    import httpx

_PAGE_SIZE = "1000"
_MOST_PAGES = 20

#: How far Twilio's clock may be from ours beyond what its answer tells; its times have no fractions
#: of a second either.
_SKEW = timedelta(seconds=60)


async def find(
    http: "httpx.AsyncClient",
    config: TwilioConfig,
    message: plugin.OutboundMessage,
    since: datetime,
    now: datetime,
) -> list[plugin.SentMessage]:
    """List what Twilio took since then that could be this message.

    The listing is asked for a customer and a sender, and not for ``DateSent``: a message that is
    still queued, and one that failed in the queue, has no such date, and would be missing.

    Twilio's times are compared with ours as far back as our clock is ahead of the one that it
    answers by. If it does not tell, an older message that could be this one leaves the matter open.
    So does one that lacks its text or a file: what an account redacts is empty here, and whether
    files are counted before a message has left is written nowhere.

    :raises ProviderError: if Twilio cannot be asked, or its answer does not tell.
    """
    recipient = written(message.recipient)
    query = {"To": recipient, "PageSize": _PAGE_SIZE}
    if config.sender is not None:
        query["From"] = config.sender
    url, parameters = config.messages_url, query
    found: list[plugin.SentMessage] = []
    too_old = bare = False
    theirs: datetime | None = None
    for _ in range(_MOST_PAGES):
        # No parameters at all on further pages: even empty ones would replace the address's own.
        response = await http.get(url, params=parameters or None, auth=config.credentials)
        error = failure(response, now, config.secrets)
        if error is not None:
            raise error
        page = _page(response)
        theirs = theirs or _date(response.headers, "Date")
        leeway = _SKEW if theirs is None else _SKEW + max(now - theirs, timedelta())
        for created, sent in _matching(page["messages"], message, recipient):
            if since - created > leeway:
                too_old = True
            elif sent is None:
                bare = True
            else:
                found.append(sent)
        following = page.get("next_page_uri")
        if not following:
            break
        if not isinstance(following, str) or not following.startswith(VERSION + "/"):
            raise plugin.OutcomeUnknown("Twilio's listing goes on at a strange address")
        url, parameters = config.base_url + following, {}
    else:
        raise plugin.OutcomeUnknown("Twilio lists more messages to this customer than can be read")
    if message.template is not None and not found:
        # The listing has the template's text as Twilio filled it in, and no ContentSid.
        raise plugin.OutcomeUnknown("Twilio's listing does not tell templates apart")
    if bare and not found:
        raise plugin.OutcomeUnknown(
            "Twilio lists a message to this customer without its text or a file, which may be it"
        )
    if too_old and theirs is None and not found:
        raise plugin.OutcomeUnknown(
            "Twilio lists an older message of this text, and does not tell by which clock"
        )
    return found


def _page(response: "httpx.Response") -> dict[str, Any]:
    try:
        page = json.loads(response.content)
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, dict) or not isinstance(page.get("messages"), list):
        raise plugin.OutcomeUnknown("Twilio answered something else than a listing")
    return page


def _matching(
    listed: list[Any], message: plugin.OutboundMessage, recipient: str
) -> Iterator[tuple[datetime, plugin.SentMessage | None]]:
    """Give what could be this message, whenever it was, and when Twilio took it.

    ``None`` stands for one that lacks a text or a file, and could be any message that has them.
    """
    text = _folded(body_of(message))
    files = sum(one.kind != "location" for one in message.media)
    for one in listed:
        if not isinstance(one, dict) or one.get("to") != recipient:
            continue
        if not str(one.get("direction", "outbound")).startswith("outbound"):
            continue
        said = _folded(str(one.get("body") or ""))
        lacks = files - _count(one.get("num_media")) if message.template is None else 0
        if said not in ("", text) or lacks < 0:
            continue
        created = _date(one, "date_created") or _date(one, "date_sent")
        sid = one.get("sid")
        if created is None or not isinstance(sid, str) or not sid:
            raise plugin.OutcomeUnknown("Twilio lists such a message without its date or SID")
        whole = said == text and not lacks
        sent = plugin.SentMessage(sid, _date(one, "date_sent") or created)
        yield created, sent if whole else None


def _folded(text: str) -> str:
    return " ".join(plugin.normalize("NFC", text).split())


def _count(text: object) -> int:
    return int(str(text)) if str(text).isascii() and str(text).isdigit() else 0


def _date(listed: Mapping[str, Any], name: str) -> datetime | None:
    """Read a date as RFC 2822 has it."""
    from email.utils import parsedate_to_datetime  # here, because it is rare and not free

    try:
        moment = parsedate_to_datetime(str(listed.get(name)))
    except (ValueError, OverflowError):  # a year or a zone of twenty digits
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
