"""A person takes over while nobody knows whether the bot's message was sent."""

from pathlib import Path

from tests.acceptance import provider as providers
from tests.acceptance.daemon import ARTICLES, folder_of, router_toml, wait_for

RULES = """
[default]
reply = { text = "Hola" }
"""

ANA = "tel:+573000000001"


def test_what_may_have_been_sent_is_not_called_withdrawn_when_a_person_takes_over(
    tmp_path: Path,
) -> None:
    with (
        providers.running() as provider,
        folder_of(tmp_path, router_toml(provider.url), {"rules.toml": RULES, **ARTICLES}) as daemon,
    ):
        provider.misbehave(providers.BROKEN)  # it takes the message, and answers 500
        daemon.start()
        daemon.say("m1", ANA, "hola", channel="safe")
        wait_for(
            lambda: daemon.rows("SELECT state, attempt FROM outbox") == [("waiting", 1)],
            "to be repeated, which does no harm",
        )

        echo = {"id": "e1", "echo": True, "to": ANA, "text": "Soy Eva"}
        assert daemon.post(echo).status_code == 200
        wait_for(lambda: daemon.rows("SELECT state FROM outbox") != [("waiting",)], "settled")

        # It cannot be repeated any more. The customer has it all the same: nobody may be told
        # that it never left.
        assert [one.text for one in provider.effects()] == ["Hola"]
        assert daemon.rows("SELECT state FROM outbox") == [("unknown",)]
        assert daemon.stop() == 0
