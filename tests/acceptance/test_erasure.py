"""Somebody is erased beside the running router, and comes back only by writing again."""

import json
from pathlib import Path

from tests.acceptance import provider as providers
from tests.acceptance.daemon import ARTICLES, folder_of, router_toml, wait_for

RULES = """
[default]
reply = { text = "Hola" }
"""

ANA, LUIS = "tel:+573000000001", "tel:+573000000002"


def test_a_customer_is_erased_while_the_router_runs(tmp_path: Path) -> None:
    with (
        providers.running() as provider,
        folder_of(tmp_path, router_toml(provider.url), {"rules.toml": RULES, **ARTICLES}) as daemon,
    ):
        daemon.start()
        for number, who in enumerate((ANA, LUIS)):
            daemon.say(f"m{number}", who, f"marca-{number}")
        wait_for(
            lambda: daemon.rows("SELECT state FROM outbox") == [("done",), ("done",)], "answered"
        )
        document = json.loads(daemon.command("contacts", "export", ANA))
        assert [it["text"] for it in document["messages"]] == ["marca-0", "Hola"]
        daemon.command("contacts", "verify", ANA, "--name", "marca-0", status=1)

        told = daemon.command("contacts", "erase", ANA, "--yes", "--by", "eva")

        assert "1 conversation, 2 messages" in told
        told = daemon.command("contacts", "verify", ANA, "--name", "marca-0")
        assert "was not found in any table of main." in told
        assert daemon.rows("SELECT address FROM conversation") == [(LUIS,)]

        # Its provider sends once more what it was thanked for: that is no news.
        daemon.say("m0", ANA, "marca-0")
        daemon.say("m2", LUIS, "otra vez")
        wait_for(lambda: len(provider.effects()) == 3, "answered")
        assert [one.text for one in provider.effects()] == ["Hola"] * 3
        assert daemon.rows("SELECT address FROM conversation") == [(LUIS,)]
        # Who writes again is a customer like any other.
        daemon.say("m3", ANA, "de nuevo")
        wait_for(lambda: len(provider.effects()) == 4, "answered")
        assert daemon.stop() == 0
