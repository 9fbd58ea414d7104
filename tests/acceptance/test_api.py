"""A program works through the API of a real daemon, which is killed in between."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.acceptance import provider as providers
from tests.acceptance.daemon import (
    ARTICLES,
    PATIENCE,
    Daemon,
    folder_of,
    router_toml,
    signed,
    wait_for,
)

RULES = """
[default]
ignore = "nobody asked"

[[rule]]
id = "help"
when.text.words = "ayuda"
then.draft = { text = "Ya le digo.", because = "a person looks at it" }
"""

ANA = "tel:+573000000001"


def program(daemon: Daemon, *words: str) -> httpx.Client:
    """Give a program that has a token."""
    token = daemon.command("token", "create", "--scopes", *words).strip()
    return httpx.Client(
        base_url=f"{daemon.url}/api/v1/",
        headers={"Authorization": f"Bearer {token}"},
        timeout=PATIENCE,
    )


def test_a_program_answers_once_though_the_daemon_dies(tmp_path: Path) -> None:
    with (
        providers.running() as provider,
        folder_of(tmp_path, router_toml(provider.url), {"rules.toml": RULES, **ARTICLES}) as daemon,
    ):
        daemon.start()
        daemon.say("m1", ANA, "¿Me ayuda?", channel="safe")
        wait_for(lambda: daemon.rows("SELECT id FROM draft") != [], "a draft")
        with program(daemon, "read,drafts:write", "--name", "crm") as crm:
            (draft,) = crm.get("drafts?state=pending").json()["items"]
            path, key = f"drafts/{draft['id']}/approve", {"Idempotency-Key": "approve-1"}
            first = crm.post(path, json={"text": "Claro que sí."}, headers=key)
            token = crm.headers["Authorization"]

        daemon.kill()
        daemon.start()

        with httpx.Client(
            base_url=f"{daemon.url}/api/v1/", headers={"Authorization": token}, timeout=PATIENCE
        ) as crm:
            again = crm.post(path, json={"text": "Claro que sí."}, headers=key)
            name = crm.get("token").json()["id"]
            taken = crm.post(f"conversations/{draft['conversation']}/take")
            wait_for(lambda: len(provider.effects()) == 1, "sent")
            daemon.command("token", "revoke", name)
            after = crm.get("token")

        assert (first.status_code, again.status_code) == (202, 202)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.text == first.text
        assert [one.text for one in provider.effects()] == ["Claro que sí."]
        assert taken.status_code == 403
        assert (after.status_code, after.json()["detail"]) == (401, "The token was revoked.")
        assert daemon.stop() == 0
        secret = token.removeprefix("Bearer ").split(".")[2]
        (key_row,) = daemon.rows("SELECT secret FROM api_key")
        for private in (secret, key_row[0]):
            assert private not in daemon.log + "".join(daemon.printed)


def test_a_flood_of_one_channel_stops_there(tmp_path: Path) -> None:
    config = router_toml("http://127.0.0.1:1").replace(
        "[channels.safe]", 'webhook_rate = "5/h"\n\n[channels.safe]'
    )
    with folder_of(tmp_path, config, {"rules.toml": RULES, **ARTICLES}) as daemon:
        daemon.start()
        refused = threading.Event()

        def flood(number: int) -> httpx.Response:
            body, headers = signed({"id": f"f{number}", "from": ANA, "text": "¡Hola!"})
            answer = httpx.post(
                f"{daemon.url}/hooks/ledger", content=body, headers=headers, timeout=PATIENCE
            )
            if answer.status_code == 429:
                refused.set()
            return answer

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(flood, range(40)))
            assert refused.is_set()
            daemon.say("other", "tel:+573000000002", "¿Me ayuda?", channel="safe")

        too_fast = [it for it in answers if it.status_code == 429]
        # Those that were under way at the same time as the fifth are let in.
        assert 30 <= len(too_fast) <= 35
        assert {it.status_code for it in answers} == {200, 429}
        assert all(1 <= int(it.headers["retry-after"]) <= 3600 for it in too_fast)
        ((stored,),) = daemon.rows("SELECT count(*) FROM inbox_event WHERE source = 'main/ledger'")
        assert stored == len(answers) - len(too_fast)
        numbers = httpx.get(f"{daemon.url}/metrics", timeout=PATIENCE).text
        limited = 'router_webhooks_limited_total{channel="ledger",limit="channel",tenant="main"}'
        assert f"{limited} {float(len(too_fast))}" in numbers
        assert daemon.stop() == 0
