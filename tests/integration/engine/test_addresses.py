"""Several addresses of one person: learnt once, and two threads become one."""

import pytest

from router.domain.event import ContactOptedOut
from router.domain.identity import Address
from router.storage.tables import contact, conversation
from tests.integration.engine.harness import ANA, LUIS, Engine

BSUID = Address("bsuid", "US.42")


async def _learn(engine: Engine, address: Address, key: Address) -> None:
    from router.storage.contacts import learn_address

    await engine.store.write(lambda tx: learn_address(tx, "main", str(address), str(key)))


async def test_a_learnt_address_is_mirrored_and_survives_a_restart(engine: Engine) -> None:
    await _learn(engine, BSUID, ANA)
    known = dict(engine.store.aliases)
    await engine.restart()

    assert known == {("main", str(BSUID)): str(ANA)}
    assert dict(engine.store.aliases) == known


async def test_addresses_learnt_one_after_the_other_lead_to_the_last(engine: Engine) -> None:
    await _learn(engine, BSUID, ANA)
    await _learn(engine, ANA, LUIS)
    await _learn(engine, Address("telegram", "7"), ANA)
    await _learn(engine, LUIS, BSUID)  # known the other way round: no circle

    expected = {("main", name): str(LUIS) for name in (str(BSUID), str(ANA), "telegram:7")}
    assert dict(engine.store.aliases) == expected
    await engine.restart()
    assert dict(engine.store.aliases) == expected


async def test_a_rolled_back_address_is_not_learnt(engine: Engine) -> None:
    def learn(tx: object) -> None:
        tx.learn_alias("main", str(BSUID), str(ANA))  # type: ignore[attr-defined]
        message = "no"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no"):
        await engine.store.write(learn)

    assert dict(engine.store.aliases) == {}


async def test_two_that_turn_out_to_be_one_have_one_history(engine: Engine) -> None:
    await engine.answer("uno", who=BSUID)
    await engine.answer("dos", who=ANA)

    await _learn(engine, BSUID, ANA)

    rows = {row.address: row for row in await engine.rows(conversation)}
    assert {row.contact for row in rows.values()} == {rows[str(ANA)].contact}
    assert rows[str(BSUID)].status == "closed"
    assert rows[str(ANA)].status == "active"


async def test_a_question_under_way_is_not_lost_when_two_turn_out_to_be_one(
    engine: Engine,
) -> None:
    from dataclasses import replace

    from router.domain.conversation import Turn, TurnMessage

    await engine.accept(engine.said("¿cuánto cuesta?", who=BSUID))
    work = await engine.claim_one()
    commit = engine.commit(work, outcome="waiting")
    assert commit.conversation is not None
    turn = Turn(
        messages=(TurnMessage(seq=1, text="¿cuánto cuesta?", received_at=work.received_at),)
    )
    thread = replace(commit.conversation, turn=turn)
    await engine.complete(replace(commit, conversation=thread))
    await engine.answer("hola", who=ANA)

    await _learn(engine, BSUID, ANA)

    await engine.accept(engine.said("¿hola?", who=BSUID))
    following = await engine.claim_one()
    assert following.conversation is not None
    assert following.conversation.turn.text == "¿cuánto cuesta?"


async def test_a_person_who_owned_one_thread_owns_what_two_become(engine: Engine) -> None:
    await engine.answer("uno", who=BSUID)
    await engine.accept(engine.echoed("yo me encargo", who=BSUID))
    await engine.complete(engine.commit(await engine.claim_one()))
    await engine.answer("dos", "respuesta", who=ANA)
    item = await engine.claim_item()

    await _learn(engine, BSUID, ANA)

    (row,) = [it for it in await engine.rows(conversation) if it.status != "closed"]
    assert (row.address, row.owner) == (str(ANA), "person")
    assert not await engine.store.start_attempt(item)


@pytest.mark.parametrize("who", [BSUID, ANA], ids=["the one", "the other"])
async def test_who_wanted_no_messages_as_either_wants_none_as_what_two_become(
    engine: Engine, who: Address
) -> None:
    await engine.answer("uno", who=BSUID)
    await engine.answer("dos", who=ANA)
    await engine.accept(engine.event(ContactOptedOut("b1", who, "blocked us")))

    await _learn(engine, BSUID, ANA)

    (person,) = await engine.rows(contact, key=str(ANA))
    assert person.opted_out
