"""What a person may do with a draft."""

from typing import Any, Final

from router.domain.conversation import ConversationStatus
from router.domain.draft import DraftState
from router.pipeline.people.acts.arguments import Signed, SignedText
from router.pipeline.people.acts.table import Act, Acts
from router.pipeline.people.acts.writing import written
from router.pipeline.people.surroundings import Surroundings
from router.storage import conversations, drafts
from router.storage.fence import withdraw_held
from router.storage.store import Tx
from router.storage.views import as_values


class _Reject(Signed):
    because: str = ""


def _approve(tx: Tx, given: Signed, around: Surroundings) -> dict[str, Any]:
    return _send_draft(tx, given, around, None)


def _edit(tx: Tx, given: SignedText, around: Surroundings) -> dict[str, Any]:
    return _send_draft(tx, given, around, given.text)


def _send_draft(tx: Tx, given: Signed, around: Surroundings, changed: str | None) -> dict[str, Any]:
    """Send a draft's text as a person's. It takes nothing over: the epoch stays."""
    tenant = given.tenant
    view = drafts.show_draft(tx.connection, tenant, given.id)
    thread = conversations.show_conversation(tx.connection, tenant, view.conversation)
    if thread.status == ConversationStatus.CLOSED:
        thread = conversations.last_heard(tx.connection, thread)
    text = view.text if changed is None else changed
    same = text == view.text.strip()
    state = DraftState.APPROVED if changed is None or same else DraftState.EDITED
    resolved = drafts.resolve_draft(
        tx.connection, tenant, given.id, state=state, by=given.by, now=tx.now, sent_text=text
    )
    # What quiet hours hold back must not keep a person's word waiting.
    withdraw_held(tx.connection, tenant, thread.id, f"{given.by} wrote before it was sent", tx.now)
    pairs = written(tx, thread, text, around).pairs
    items = [item for item, _ in pairs]
    tx.send(
        items, tenant=tenant, conversation=thread.id, epoch=thread.epoch, decided=resolved.event
    )
    for _, line in pairs:
        conversations.add_line(
            tx.connection, tenant, thread.id, line, event=resolved.event, now=tx.now
        )
    conversations.note_person(tx.connection, tenant, thread.id, now=tx.now)
    return {"draft": as_values(resolved), "items": [item.id for item in items]}


def _reject(tx: Tx, given: _Reject, around: Surroundings) -> dict[str, Any]:
    view = drafts.resolve_draft(
        tx.connection,
        given.tenant,
        given.id,
        state=DraftState.DISCARDED,
        by=given.by,
        now=tx.now,
        because=given.because,
    )
    return {"draft": as_values(view)}


ACTS: Final[Acts] = {
    "drafts.approve": Act(Signed, _approve),
    "drafts.edit": Act(SignedText, _edit),
    "drafts.reject": Act(_Reject, _reject),
}
