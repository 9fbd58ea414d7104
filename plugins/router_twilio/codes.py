"""Twilio's error codes: what each means for a message, and what an operator should do.

https://www.twilio.com/docs/api/errors. The same code may come as the answer to a call, or later, in
a delivery report; a report changes nothing any more, so there only the words count.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from router import plugin

DOCS = "https://www.twilio.com/docs/errors/"


@dataclass(frozen=True, slots=True)
class Row:
    """One error code.

    :param note: what happened, in a few words that an inbox has room for.
    :param reaction: ``Unavailable`` is sent again, ``Refused`` never.
    :param sentence: why, and what to do.
    :param wait: seconds until another try; ``None`` leaves it to the router.
    :param once: another try is worth while one time only.
    :param why: what it says about the customer.
    """

    code: int
    note: str
    reaction: type[plugin.Unavailable | plugin.Refused]
    sentence: str
    wait: float | Literal["tomorrow"] | None = None
    once: bool = False
    why: plugin.Refusal | None = None

    @property
    def words(self) -> str:
        return f"{self.note}: {self.sentence} See {DOCS}{self.code}"

    def seconds(self, now: datetime) -> float | None:
        """Give the seconds to wait from now on."""
        if self.wait != "tomorrow":
            return self.wait
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return (midnight - now).total_seconds()


_AGAIN, _NEVER = plugin.Unavailable, plugin.Refused
_MINUTE, _HOUR = 60.0, 3600.0

_ROWS = (
    Row(
        63016,
        "window closed",
        _NEVER,
        "The customer wrote last more than 24 hours ago, and WhatsApp then takes approved "
        "templates only. Send a template by its ContentSid; its text in Body does not count.",
        why=plugin.Refusal.WINDOW_CLOSED,
    ),
    Row(
        63018,
        "WhatsApp's limit reached",
        _AGAIN,
        "The sender sent as many messages as Meta allows it. Ask for a higher limit if it happens "
        "again.",
        wait=2 * _HOUR,
    ),
    Row(
        63017,
        "account's rate limit reached",
        _AGAIN,
        "All senders of the account together sent too many messages in a second.",
        wait=30.0,
    ),
    Row(
        63021,
        "content rejected",
        _NEVER,
        "WhatsApp does not take this sort of media, or the template is longer than 1,024 "
        "characters once it is filled in. Change the message.",
    ),
    Row(
        63012,
        "WhatsApp had an internal error",
        _AGAIN,
        "It is tried once more.",
        wait=_MINUTE,
        once=True,
    ),
    Row(
        63019,
        "media could not be fetched",
        _AGAIN,
        "WhatsApp could not get the media. It is tried once more; make sure that its address is "
        "public.",
        wait=_MINUTE,
        once=True,
    ),
    Row(
        63020,
        "WhatsApp does not accept the sender",
        _NEVER,
        "The business has to finish its registration at Meta. Look at the sender in Twilio's "
        "console.",
    ),
    Row(
        63001,
        "WhatsApp does not accept the channel",
        _NEVER,
        "The sender could not be authenticated at Meta. Look at the sender in Twilio's console.",
    ),
    Row(
        63024,
        "recipient is not valid",
        _NEVER,
        "WhatsApp does not know this address. Check the contact.",
    ),
    Row(
        63003,
        "recipient not found",
        _NEVER,
        "WhatsApp does not know this address. Check the contact.",
    ),
    Row(
        63032,
        "Meta holds messages to this customer back",
        _NEVER,
        "Meta limits what this customer gets, or they take part in one of its experiments. Reach "
        "them in another way, or wait until they write.",
    ),
    Row(
        63013,
        "policy violation",
        _NEVER,
        "Meta says that the message is against its rules; more of them may cost the sender. Look "
        "at what is being sent.",
    ),
    Row(
        63027,
        "template not found",
        _NEVER,
        "It does not exist in this language, or is not approved. Correct its ContentSid.",
    ),
    Row(
        63028,
        "template's variables do not fit",
        _NEVER,
        "The template has another number of variables. Correct the rule that sends it.",
    ),
    Row(
        63038,
        "day's messages used up",
        _AGAIN,
        "The account sent as many messages as it may in a day. The message leaves tomorrow; ask "
        "Twilio for a higher limit.",
        wait="tomorrow",
    ),
    Row(
        63023,
        "WhatsApp failed",
        _AGAIN,
        "It gave no reason. It is tried once more.",
        wait=_MINUTE,
        once=True,
    ),
    Row(
        21610,
        "customer opted out",
        _NEVER,
        "They answered STOP, and get nothing until they write START.",
        why=plugin.Refusal.OPTED_OUT,
    ),
    Row(
        21211,
        "recipient is not valid",
        _NEVER,
        "The address is no number that Twilio can send to. Check the contact.",
    ),
    Row(
        21614,
        "recipient is not a mobile",
        _NEVER,
        "The number cannot get messages. Check the contact.",
    ),
    Row(
        21617,
        "text too long",
        _NEVER,
        "Twilio takes at most 1,600 characters in one message. Shorten it.",
    ),
    Row(
        21620,
        "media address is not valid",
        _NEVER,
        "Twilio cannot use the address of the media. Make sure that it is public and begins with "
        "https://.",
    ),
    Row(
        21656,
        "template's variables are not valid",
        _NEVER,
        "Twilio cannot read the values for the template. Correct the rule that sends it.",
    ),
    Row(
        63007,
        "sender unknown",
        _NEVER,
        "The account has no such WhatsApp sender. Correct sender in router.toml, or register it.",
    ),
    Row(
        63015,
        "sandbox not joined",
        _NEVER,
        "The sandbox only sends to people who joined it. Let them send its join code first.",
    ),
    Row(
        20429,
        "too many calls at once",
        _AGAIN,
        "The account made too many calls to Twilio at the same time; it is tried again.",
    ),
    Row(
        20003,
        "credentials not accepted",
        _NEVER,
        "Twilio does not accept the account's credentials. Correct account_sid and auth_token, or "
        "the API key, in router.toml.",
    ),
    Row(
        11200,
        "our webhook did not answer",
        _NEVER,
        "Twilio could not get an answer from the webhook. Make sure that [router] public_url is "
        "reached from outside.",
    ),
    Row(
        12300,
        "our webhook answered the wrong content type",
        _NEVER,
        "Something between Twilio and the router answers in its place. Look at the proxy.",
    ),
    Row(
        57012,
        "our webhook's signature check failed",
        _NEVER,
        "The router did not accept Twilio's signature. Correct auth_token or [router] public_url.",
    ),
    Row(
        11751,
        "media too large",
        _NEVER,
        "WhatsApp takes at most 16 MB in a message, and 5 MB in an image. Send a smaller file.",
    ),
)

#: Every code that this channel knows.
CODES = {row.code: row for row in _ROWS}


def row_for(code: object) -> Row | None:
    """Give a code's row, whether the code came as a number or as a text."""
    text = str(code)
    return CODES.get(int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else None
