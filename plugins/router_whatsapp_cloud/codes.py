"""Meta's error codes: what each means for a message, and what an operator should do.

https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes. The same code may come
as the answer to a call, or later, in a report; a report changes nothing any more, so there only the
words count.
"""

from dataclasses import dataclass

from router import plugin

DOCS = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes"


@dataclass(frozen=True, slots=True)
class Row:
    """One error code.

    :param note: what happened, in a few words that an inbox has room for.
    :param sentence: why, and what to do.
    :param wait: it is sent again, after so many seconds; ``None``: never.
    :param why: what it says about the customer.
    """

    code: int
    note: str
    sentence: str
    wait: float | None = None
    why: plugin.Refusal | None = None

    @property
    def words(self) -> str:
        return f"{self.note}: {self.sentence} See {DOCS}"


_MINUTE, _HOUR = 60.0, 3600.0
_TOKEN = "Make a new access token for the system user, and write it into router.toml."  # noqa: S105
_SETTLE = "Look at the account in Meta's WhatsApp Manager."
_TEMPLATE = "Correct the rule that sends it, or the template at Meta."

_ROWS = (
    Row(0, "access token not accepted", f"It has expired or was taken back. {_TOKEN}"),
    Row(3, "permission missing", f"The app may not do this. {_TOKEN}"),
    Row(
        4,
        "too many calls",
        "The app made too many calls to Meta; it is tried again.",
        wait=_MINUTE,
    ),
    Row(10, "permission missing", f"The token may not send for this number. {_TOKEN}"),
    Row(33, "number gone", "The number was deleted at Meta. Correct phone_number_id."),
    Row(
        100,
        "something in the call is wrong",
        "Most often phone_number_id is another's, or a template's variable has a line break. "
        "Compare both with Meta.",
    ),
    Row(190, "access token not accepted", f"It has expired or was taken back. {_TOKEN}"),
    Row(200, "permission missing", f"The token may not send for this number. {_TOKEN}"),
    Row(368, "account restricted", f"Meta blocks it for breaking its rules. {_SETTLE}"),
    Row(
        80007,
        "account's rate limit reached",
        "The WhatsApp account made too many calls; it is tried again.",
        wait=_MINUTE,
    ),
    Row(
        80008,
        "account's rate limit reached",
        "The WhatsApp account was asked too often about its templates; it is tried again.",
        wait=_MINUTE,
    ),
    Row(
        130429,
        "number's rate limit reached",
        "The number sent too many messages in a second. Lower messages_per_second.",
        wait=30.0,
    ),
    Row(
        130472,
        "customer is part of an experiment",
        "Meta holds offers to this customer back. Reach them in another way, or wait until they "
        "write.",
    ),
    Row(130497, "country not allowed", "The business may not write to this country."),
    Row(131005, "permission missing", f"The token may not do this. {_TOKEN}"),
    Row(131008, "something is missing in the call", f"A value is missing. {_TEMPLATE}"),
    Row(131009, "a value in the call is wrong", f"Meta does not take a value. {_TEMPLATE}"),
    Row(131021, "recipient is the sender", "A number cannot write to itself. Check the contact."),
    Row(
        131026,
        "message cannot be delivered",
        "The number has no WhatsApp, an old version of it, or has not accepted its terms. Check "
        "the contact, or reach them in another way.",
    ),
    Row(
        131030,
        "recipient not allowed yet",
        "A test number writes only to numbers that are on its list at Meta. Add this one, or use "
        "a real number.",
    ),
    Row(131031, "account locked", f"Meta locked it. {_SETTLE}"),
    Row(131037, "display name missing", f"The number's name is not approved yet. {_SETTLE}"),
    Row(131042, "payment missing", f"There is a problem with the way of payment. {_SETTLE}"),
    Row(131045, "number not registered", "Register the number at Meta, and try again."),
    Row(
        131047,
        "window closed",
        "The customer wrote last more than 24 hours ago, and WhatsApp then takes approved "
        "templates only. Send a template.",
        why=plugin.Refusal.WINDOW_CLOSED,
    ),
    Row(
        131048,
        "held back as unwanted",
        "Customers blocked or reported earlier messages. Look at the number's quality in Meta's "
        "WhatsApp Manager, and write less.",
        wait=2 * _HOUR,
    ),
    Row(
        131049,
        "Meta held it back",
        "This customer got many offers lately. Do not repeat it; wait until they write.",
    ),
    Row(
        131050,
        "customer stopped offers",
        "They want no marketing messages of this business; answers and notices still reach them.",
    ),
    Row(131051, "sort of message unknown", "Meta does not take this sort of message."),
    Row(
        131052,
        "customer's file is gone",
        "Meta could not fetch what the customer sent. Ask them to send it again.",
    ),
    Row(
        131053,
        "file not accepted",
        "Meta could not fetch the file, or not its kind. Make sure that its address is public and "
        "that it tells its right content type.",
    ),
    Row(
        131056,
        "too many messages to one customer",
        "This customer got too many messages at once. Raise pair_interval.",
        wait=_MINUTE,
    ),
    Row(
        131062,
        "customer hides their number",
        "This sort of template needs a number; the customer gave only a user id.",
    ),
    Row(132000, "template's variables do not fit", f"It has another number of them. {_TEMPLATE}"),
    Row(
        132001,
        "template not found",
        f"It does not exist in this language, or is not approved. {_TEMPLATE}",
    ),
    Row(132005, "template too long", f"Filled in, it is too long. {_TEMPLATE}"),
    Row(132007, "template breaks the rules", f"Meta does not allow what it says. {_TEMPLATE}"),
    Row(132012, "template's variables do not fit", f"A value has the wrong form. {_TEMPLATE}"),
    Row(132015, "template paused", f"Customers did not like it. {_TEMPLATE}"),
    Row(132016, "template disabled", f"It was paused too often. {_TEMPLATE}"),
    Row(132018, "template's variables do not fit", f"A value is not valid. {_TEMPLATE}"),
    Row(133010, "number not registered", "Register the number at Meta, and try again."),
    Row(
        133016,
        "registered too often",
        "The number was registered too often lately; Meta takes it up again later.",
        wait=2 * _HOUR,
    ),
    Row(134011, "terms of payment not accepted", f"Somebody has to accept them. {_SETTLE}"),
)

#: Every code that this channel knows.
CODES = {row.code: row for row in _ROWS}


def row_for(code: object) -> Row | None:
    """Give a code's row, whether the code came as a number or as a text."""
    text = str(code)
    return CODES.get(int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else None
