"""What a person may do with a conversation: take it, hand it back, write, close it, opt in."""

from typing import Any, Final

from pydantic import Field

from router.domain.message import Attachment
from router.errors import ActRefused
from router.pipeline.people.acts.arguments import Arguments, Signed, SignedText
from router.pipeline.people.acts.table import Act, Acts
from router.pipeline.people.acts.writing import written
from router.pipeline.people.surroundings import Surroundings
from router.rules.media import MOST, file_at
from router.storage import conversations, opt_ins, outbox
from router.storage.store import Tx
from router.storage.views import as_values


class _Say(SignedText):
    media: tuple[str, ...] = Field((), max_length=MOST)


class _OptIn(Signed):
    because: str = Field(min_length=1, max_length=500)


def _take(tx: Tx, given: Signed, around: Surroundings) -> dict[str, Any]:
    view, withdrawn = conversations.take_conversation(
        tx.connection, given.tenant, given.id, by=given.by, now=tx.now
    )
    leaving = outbox.under_way(tx.connection, given.tenant, view.id)
    return {"conversation": as_values(view), "withdrawn": withdrawn, "under_way": leaving}


def _release(tx: Tx, given: Arguments, around: Surroundings) -> dict[str, Any]:
    view = conversations.release_conversation(tx.connection, given.tenant, given.id, now=tx.now)
    return {"conversation": as_values(view)}


def _say(tx: Tx, given: _Say, around: Surroundings) -> dict[str, Any]:
    """Send a person's words. As when they speak anywhere else, the conversation is theirs then."""
    tenant, files = given.tenant, [_file(url) for url in given.media]
    view, withdrawn = conversations.speak_as(
        tx.connection, tenant, given.id, by=given.by, now=tx.now
    )
    made = written(tx, view, given.text, around, files)
    items = [item for item, _ in made.pairs]
    tx.send(items, tenant=tenant, conversation=view.id, epoch=view.epoch)
    for _, line in made.pairs:
        conversations.add_line(tx.connection, tenant, view.id, line, event=None, now=tx.now)
    view = conversations.show_conversation(tx.connection, tenant, view.id)
    return {
        "conversation": as_values(view),
        "withdrawn": withdrawn,
        "items": [item.id for item in items],
        "note": made.note,
    }


def _file(url: str) -> Attachment:
    try:
        return file_at(url)
    except ValueError as error:
        raise ActRefused(f'the file "{url}" cannot be sent: {error}') from None


def _close(tx: Tx, given: Signed, around: Surroundings) -> dict[str, Any]:
    view = conversations.close_conversation(
        tx.connection, given.tenant, given.id, by=given.by, now=tx.now
    )
    return {"conversation": as_values(view)}


def _opt_in(tx: Tx, given: _OptIn, around: Surroundings) -> dict[str, Any]:
    """Let a customer who opted out be written to again."""
    view = opt_ins.let_in(
        tx.connection, given.tenant, given.id, by=given.by, because=given.because, now=tx.now
    )
    return {"opt_in": as_values(view)}


ACTS: Final[Acts] = {
    "conversations.take": Act(Signed, _take),
    "conversations.release": Act(Arguments, _release),
    "conversations.send": Act(_Say, _say),
    "conversations.close": Act(Signed, _close),
    "conversations.opt_in": Act(_OptIn, _opt_in),
}
