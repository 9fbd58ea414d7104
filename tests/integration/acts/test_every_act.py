"""What holds for every act: where it does not reach, and what it refuses."""

from collections.abc import Mapping
from typing import Any

import pytest

from router.domain.outbox import ItemState
from router.errors import NotFound
from router.pipeline.people.acts import ACTS
from tests.integration.acts.desk import Desk, drafted, ticketed
from tests.integration.engine.harness import ANA, Engine, ref

_MORE: Mapping[str, Mapping[str, Any]] = {
    "drafts.edit": {"text": "x"},
    "outbox.resolve": {"sent": True},
    "tickets.state": {"state": "CLOSED"},
    "tickets.note": {"text": "x"},
    "tickets.assign": {"assignee": "eva"},
    "conversations.send": {"text": "x"},
    "conversations.opt_in": {"because": "x"},
    "events.discard": {"because": "x"},
}
#: Acts on something that is there; the others bring something into being.
ON_THINGS = [name for name, act in ACTS.items() if "id" in act.arguments.model_fields]
_NAMES = {
    "events.retry": str(ref(1)),
    "events.discard": str(ref(1)),
    "conversations.take": str(ANA),
    "conversations.release": str(ANA),
    "conversations.send": str(ANA),
    "conversations.close": str(ANA),
    "conversations.opt_in": str(ANA),
    "tickets.assign": "ticket-1",
    "tickets.state": "ticket-1",
    "tickets.note": "ticket-1",
    "escalations.ack": "escalation-1",
    "drafts.approve": "draft-1",
    "drafts.edit": "draft-1",
    "drafts.reject": "draft-1",
}


@pytest.mark.parametrize("act", ON_THINGS)
async def test_an_act_on_what_is_not_there_says_so(desk: Desk, act: str) -> None:
    with pytest.raises(NotFound) as caught:
        await desk.do(
            act, "main/tel:+1#9" if act.startswith("events.") else "nix", **_MORE.get(act, {})
        )

    assert str(caught.value).startswith("there is no ")


@pytest.mark.parametrize("act", ON_THINGS)
async def test_an_act_never_reaches_into_another_tenant(
    engine: Engine, desk: Desk, act: str
) -> None:
    await drafted(engine)
    await desk.do("drafts.approve", "draft-1")
    item = await engine.claim_item()
    await engine.attempt(item, ItemState.UNKNOWN)
    await ticketed(engine)

    with pytest.raises(NotFound):
        await desk.do(act, _NAMES.get(act, item.id), tenant="acme", **_MORE.get(act, {}))


@pytest.mark.parametrize("act", ON_THINGS)
async def test_an_act_takes_only_what_it_knows(desk: Desk, act: str) -> None:
    refused = await desk.refused(act, "x", surprise=1, **_MORE.get(act, {}))

    assert refused == ('the arguments do not fit: "surprise": Extra inputs are not permitted')


@pytest.mark.parametrize("act", ACTS)
def test_every_act_refuses_what_it_does_not_know(act: str) -> None:
    assert ACTS[act].arguments.model_config["extra"] == "forbid"


async def test_there_is_no_act_of_another_name(desk: Desk) -> None:
    with pytest.raises(NotFound) as caught:
        await desk.do("drafts.burn", "x")

    assert str(caught.value) == 'there is no act "drafts.burn"'
