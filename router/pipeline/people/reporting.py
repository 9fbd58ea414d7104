"""What people and other systems do about calls: tell of one that is over, and begin many."""

import re
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from router.domain.event import CallEnded
from router.domain.identity import MAIN_TENANT, Address, without_trunk
from router.domain.message import Author
from router.domain.storable import storable, storable_id
from router.ids import new_id
from router.pipeline.outbound.actions import action_item
from router.storage.store import NewEvent, Tx

#: Stands for a channel in the name of an event that another system reported.
API: Final = "api"

#: A telephone number as people write it: digits, each with at most one sign before it.
NUMBER: Final = r"^\+?[1-9](?:[ ().-]?[0-9]){6,14}$"


def telephone(text: str) -> str:
    """Give a telephone number as ``+…``.

    :raises ValueError: if it is none.
    """
    number = without_trunk(text.strip())
    if "(0)" in number or not re.fullmatch(NUMBER, number):
        raise ValueError("write a telephone number with its country code, such as +573001234567")
    return "+" + re.sub(r"[^0-9]", "", number)


class ReportedCall(BaseModel):
    """A call that another system has made, and that is to be gone on with in writing.

    :param conversation_id: the provider's id of the call; the same one again is the same call.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    tenant: str = MAIN_TENANT
    phone_number: str = Field(max_length=60)
    client_name: str | None = Field(None, max_length=200)
    call_summary: str | None = Field(None, max_length=20_000)
    agent_id: str | None = Field(None, max_length=200)
    conversation_id: str = Field(min_length=1, max_length=200)

    @field_validator("phone_number")
    @classmethod
    def _is_a_number(cls, value: str) -> str:
        return telephone(value)


class ActionRun(BaseModel):
    """An action that a person wants to be run, once."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    tenant: str = MAIN_TENANT
    action: str = Field(min_length=1)
    params: dict[str, Any] = Field(default_factory=dict)
    by: str = Field(min_length=1, max_length=100)


def call_of(given: ReportedCall) -> CallEnded:
    """Give the call that another system tells of.

    That it tells means that there is something to go on with, so it counts as a success.
    """
    return CallEnded(
        id=given.conversation_id,
        party=Address("tel", given.phone_number),
        direction="outbound",
        status="done",
        outcome="success",
        summary=given.call_summary or "",
        agent=given.agent_id or None,
        name=given.client_name or None,
        origin=API,
    )


def report_call(tx: Tx, given: ReportedCall, lane: str) -> dict[str, Any]:
    """Put a call into its customer's lane, where the rules decide about it as about any other.

    The same ``conversation_id`` again puts nothing in, and gives the same answer.

    :param lane: of the customer.
    """
    event = storable(call_of(given))
    (accepted,) = tx.enqueue(
        [
            NewEvent(
                lane=lane,
                tenant=given.tenant,
                source=f"{given.tenant}/{API}",
                external_id=storable_id(event.dedupe_key),
                event=event,
                received_at=tx.now,
            )
        ]
    )
    return {"conversation_id": given.conversation_id, "event": str(accepted.ref)}


def run_action(tx: Tx, given: ActionRun) -> dict[str, Any]:
    """Put an action into the outbox; it is run as one that a rule decided."""
    because = f"{given.by} wants it"
    item = action_item(
        given.action, given.params, because=because, author=Author.PERSON, ids=new_id
    )
    tx.send([item], tenant=given.tenant, conversation=None, epoch=0)
    return {"item": item.id}
