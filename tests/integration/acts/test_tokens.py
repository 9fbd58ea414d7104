"""What a person may do with tokens."""

from datetime import timedelta

from router.pipeline.people.acts import perform
from tests.integration.acts.desk import Desk
from tests.integration.engine.harness import Engine


async def test_tokens_are_made_revoked_and_their_key_changed(engine: Engine, desk: Desk) -> None:
    given = {"name": "crm", "scopes": ["read", "read"], "expires": 60, "by": "eva"}
    made = await perform(engine.store, "tokens.create", given, desk.channels)
    changed = await perform(engine.store, "tokens.rotate", {"now": True}, desk.channels)
    revoked = await desk.do("tokens.revoke", made["token"]["id"])

    assert (made["token"]["scopes"], made["token"]["tenant"]) == (["read"], "main")
    assert made["token"]["expires_at"] == (engine.clock.now() + timedelta(seconds=60)).isoformat()
    assert changed["ended"] == 1
    assert revoked["token"]["revoked_by"] == "ana"
