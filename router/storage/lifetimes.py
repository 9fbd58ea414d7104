"""How long the rows of each table are kept, in words: every table has its line."""

from collections.abc import Mapping
from typing import Final

_CONVERSATION: Final = "goes with its conversation"
_AGE: Final = "goes with its conversation; one of no conversation by its own age"
_NOBODY: Final = "stays: it is about no customer"
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
    "node": _NOBODY,
    "article": _NOBODY,
    "passage": _NOBODY,
}
