"""What becomes of the rows of each table in time, and at an erasure: every table has its line."""

from collections.abc import Mapping
from typing import Final

_CONVERSATION: Final = "goes with its conversation"
_AGE: Final = "goes with its conversation; one of no conversation by its own age"
_NOBODY: Final = "stays: it is about no customer"
_PROOF: Final = "stays: it shows that somebody was erased, and names nobody"
_SHORT: Final = "has a shorter life of its own"

#: What becomes of the rows of every table that are older than ``[policy] keep``; config/README.md
#: says the same.
LIFETIMES: Final[Mapping[str, str]] = {
    "conversation": "goes once it is closed, and nothing of it is open or younger",
    "message": _CONVERSATION,
    "call": _CONVERSATION,
    "first_message": _CONVERSATION,
    "draft": _CONVERSATION,
    "escalation": _CONVERSATION,
    "link": _CONVERSATION,
    "timer": _CONVERSATION,
    "inbox_event": _AGE,
    "decision": "goes with its event",
    "outbox": _AGE,
    "ticket": _AGE,
    "ticket_entry": "goes with its ticket",
    "usage": _AGE,
    "contact": "goes with the last conversation; stays where the customer opted out, or was let in",
    "opt_in": "stays: it shows who let somebody in again who had opted out, and why",
    "alias": "stays: without it one person who writes from two addresses would be two",
    "lane": "stays: order and repeats rest on its numbers; one of a conversation goes with that",
    "media": "stays as long as `[media] keep` says",
    "early_report": _SHORT,
    "bucket": _SHORT,
    "breaker": _NOBODY,
    "poller": _NOBODY,
    "template_listing": _NOBODY,
    "api_key": _NOBODY,
    "api_token": _NOBODY,
    "api_answer": _SHORT,
    "erasure": _PROOF,
    "erasure_salt": _PROOF,
    "erased_event": _PROOF,
    "node": _NOBODY,
    "article": _NOBODY,
    "passage": _NOBODY,
}

_DELETED: Final = "deleted"
_KEPT: Final = "kept: it is about no customer"
_DIGESTS: Final = "kept: it names nobody"

#: What becomes of one person's rows when they are erased; config/README.md says the same.
ERASED: Final[Mapping[str, str]] = {
    "contact": "deleted; who wants no messages leaves a row with that and an address alone",
    "alias": "deleted; those of who wants no messages stay, and lead to that row",
    "opt_in": _DELETED,
    "conversation": _DELETED,
    "message": _DELETED,
    "call": _DELETED,
    "first_message": _DELETED,
    "draft": _DELETED,
    "escalation": _DELETED,
    "link": _DELETED,
    "timer": _DELETED,
    "decision": _DELETED,
    "inbox_event": "deleted; requests that could not be read and name them, only where asked for",
    "outbox": "deleted; what is done for several, such as a batch of calls, loses this one",
    "ticket": "deleted; the newest ticket of the business stays as a number, closed and blank",
    "ticket_entry": _DELETED,
    "usage": "kept without a word of whose conversation it was: costs stay what they were",
    "lane": _DELETED,
    "bucket": _DELETED,
    "early_report": _DELETED,
    "media": "goes, with the file, right after, unless somebody else sent the same file",
    "api_answer": _DELETED,
    "erasure": "one is written: the proof",
    "erasure_salt": _DIGESTS,
    "erased_event": "written: digests of what providers may send once more",
    "breaker": _KEPT,
    "poller": _KEPT,
    "template_listing": _KEPT,
    "api_key": _KEPT,
    "api_token": _KEPT,
    "node": _KEPT,
    "article": _KEPT,
    "passage": _KEPT,
}
