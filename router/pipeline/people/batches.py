"""Batches of calls: begun once, and ended, whoever asks for it.

A batch leaves through the outbox as an action that makes calls. Its provider may know no
idempotency key, so an item is submitted once and looked for ever after; see the action.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from router.domain.identity import MAIN_TENANT
from router.domain.outbox import ItemState
from router.domain.storable import storable
from router.errors import ActRefused, NotFound
from router.pipeline.people.reporting import NUMBER, ActionRun, run_action, telephone
from router.storage.batches import BatchView, find_batch, show_batch
from router.storage.idempotency import RequestKey, once
from router.storage.outbox import withdraw_item
from router.storage.store import Tx
from router.storage.views import as_values

#: The most people of one batch.
MOST: Final = 10_000

#: Under which name the batches of the last day are known, beside the answers of the API.
_ROUTE: Final = "calls.submit"
_UNDER_WAY: Final = (ItemState.WAITING, ItemState.STARTED, ItemState.UNKNOWN, ItemState.DONE)


class Recipient(BaseModel):
    """Somebody who is called.

    :param phone_number: with its country code, as people write it.
    :param variables: what the agent is told of them, by the names of its dynamic variables.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    phone_number: str = Field(
        pattern=NUMBER,
        max_length=60,
        description="A telephone number with its country code.",
        examples=["+573001234567"],
    )
    variables: dict[str, str] = Field(
        default_factory=dict,
        description="What the agent is told of them, by the names of its dynamic variables.",
    )

    @field_validator("phone_number")
    @classmethod
    def _is_a_number(cls, value: str) -> str:
        return telephone(value)


class NewBatch(BaseModel):
    """A batch that is to be begun.

    :param through: the action that makes the calls; not needed where there is only one.
    :param at: when it begins; at once if it is not given.
    :param again: the same batch may have been submitted in the last 24 hours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    tenant: str = MAIN_TENANT
    through: str | None = None
    name: str = Field("", max_length=120)
    at: AwareDatetime | None = None
    recipients: list[Recipient] = Field(min_length=1, max_length=MOST)
    again: bool = False
    by: str = Field(min_length=1, max_length=100)

    @field_validator("recipients")
    @classmethod
    def _once_each(cls, value: list[Recipient]) -> list[Recipient]:
        numbers: set[str] = set()
        for each in value:
            if each.phone_number in numbers:
                raise ValueError(f"{each.phone_number} is there twice, and would be called twice")
            numbers.add(each.phone_number)
        return value


class BatchEnd(BaseModel):
    """A batch that is to be ended.

    :param id: of the outbox item that it left as, or the provider's.
    :param through: the action that ends it. Only with it may the batch be one that was not begun
        here, such as in the provider's own app.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    tenant: str = MAIN_TENANT
    id: str = Field(min_length=1, max_length=200)
    through: str | None = None
    by: str = Field(min_length=1, max_length=100)


def prepared(given: NewBatch, dialers: Mapping[str, type[BaseModel]]) -> tuple[str, dict[str, Any]]:
    """Give which action makes the calls, and what it is told.

    :param dialers: the actions that make calls.
    :raises ActRefused: if there is none, or if it does not take this.
    """
    through = _chosen(given.through, dialers)
    # A file may hold anything, and the database reads the body to list it.
    params: dict[str, Any] = storable(
        {"name": given.name, "recipients": [each.model_dump() for each in given.recipients]}
    )
    if given.at is not None:
        params["at"] = given.at.isoformat()
    _check(dialers[through], params)
    return through, params


def submit_batch(tx: Tx, given: NewBatch, dialers: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """Put a batch into the outbox.

    The very same batch again, within 24 hours, is taken for the repeat of a request whose answer
    was lost: nobody is to be called twice.

    :param dialers: the actions that make calls.
    :raises ActRefused: if nobody makes calls, if the action does not take this, or if the same
        batch was submitted before.
    """
    through, params = prepared(given, dialers)
    if given.again:
        return _submitted(tx, given, through, params)
    digest = _digest(through, params, given.at)
    key = RequestKey(tenant=given.tenant, token="", route=_ROUTE, key=digest, digest=digest)
    answer, repeated = once(tx, key, lambda: _submitted(tx, given, through, params))
    if repeated:
        raise ActRefused(
            f'the same batch was submitted in the last 24 hours, as "{answer["item"]}". If '
            "everybody in it is to be called once more, say so: again"
        )
    return answer


def _submitted(tx: Tx, given: NewBatch, through: str, params: dict[str, Any]) -> dict[str, Any]:
    run = ActionRun(tenant=given.tenant, action=through, params=params, by=given.by)
    item = str(run_action(tx, run)["item"])
    return {"item": item, "batch": as_values(show_batch(tx.connection, given.tenant, item))}


def _digest(through: str, params: Mapping[str, Any], at: datetime | None) -> str:
    """Give what a batch is known by: who is called, what the agent is told, and when."""
    people = sorted(params["recipients"], key=lambda it: it["phone_number"])
    moment = None if at is None else at.timestamp()
    said = json.dumps([through, params["name"], moment, people], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def cancel_batch(tx: Tx, given: BatchEnd, dialers: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """End a batch: who was not called yet is not called.

    One that has not left is withdrawn; one that its provider has taken is ended there, by an
    action of its own. Asked for again, it is the same action. ``item`` of what is given is that
    action's, ``batch`` the batch as it stands; ``None`` for one that was not begun here.

    :raises NotFound: if no such batch was begun here, and ``through`` does not say who ends it.
    :raises ActRefused: if it never began, or if nobody knows as yet whether it has.
    """
    try:
        view = find_batch(tx.connection, given.tenant, given.id, list(dialers))
    except NotFound:
        if given.through is None:
            raise NotFound(
                f'there is no batch "{given.id}" that was begun here. To end one that was begun '
                "elsewhere, name the action that does it"
            ) from None
        through = _chosen(given.through, dialers)
        return {"item": _ending(tx, given, dialers, through, given.id), "batch": None}
    # Looked at again: who asked for the same at the same moment has put the action in by now.
    view = show_batch(tx.connection, given.tenant, view.id, lock=True)
    item = view.cancel if view.cancel_state in _UNDER_WAY else None
    if view.batch is None:
        _withdraw(tx, given, view)
    elif item is None:
        item = _ending(tx, given, dialers, view.action, view.batch)
    now = show_batch(tx.connection, given.tenant, view.id)
    return {"item": item, "batch": as_values(now)}


def _withdraw(tx: Tx, given: BatchEnd, view: BatchView) -> None:
    """Keep back a batch that has not left.

    :raises ActRefused: if it has, or may have, or never will.
    """
    why = {
        ItemState.WAITING: _MAY_BE_TAKEN,
        ItemState.STARTED: "is leaving just now. Try again in a moment",
        ItemState.UNKNOWN: _MAY_BE_TAKEN,
        ItemState.DONE: "was taken, and its id is not known here. Look for it at the provider",
        ItemState.DEAD: f"was given up: {view.error}",
        ItemState.WITHDRAWN: "was withdrawn before it left",
        ItemState.REFUSED: "was not taken by the provider: nobody is called",
    }
    state = ItemState(view.state)
    if state is ItemState.WAITING and withdraw_item(
        tx.connection, given.tenant, view.id, f"{given.by} cancelled it", tx.now
    ):
        return
    raise ActRefused(f'the batch "{view.id}" {why[state]}')


_MAY_BE_TAKEN: Final = (
    "may have been taken, and nobody knows its id as yet. Look for it at the provider"
)


def _ending(
    tx: Tx,
    given: BatchEnd,
    dialers: Mapping[str, type[BaseModel]],
    through: str,
    batch: str,
) -> str:
    params = {"cancel": batch}
    _check(dialers[through], params)
    run = ActionRun(tenant=given.tenant, action=through, params=params, by=given.by)
    return str(run_action(tx, run)["item"])


def _chosen(through: str | None, dialers: Mapping[str, type[BaseModel]]) -> str:
    known = ", ".join(sorted(dialers)) or "none is configured"
    if through is None:
        if len(dialers) != 1:
            raise ActRefused(f"say which action makes the calls: {known}")
        return next(iter(dialers))
    if through not in dialers:
        raise ActRefused(f'there is no action "{through}" that makes calls: {known}')
    return through


def _check(model: type[BaseModel], params: Mapping[str, Any]) -> None:
    try:
        model.model_validate(params)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        words = str(first["msg"]).removeprefix("Value error, ")
        raise ActRefused(f"{where + ': ' if where else ''}{words}") from None
