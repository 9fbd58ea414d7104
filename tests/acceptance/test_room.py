"""One provider answers late: what is made of it, with as much under way as there may be."""

from pathlib import Path

import httpx

from router.pipeline.attempts.room import SHARE
from tests.acceptance import provider as providers
from tests.acceptance.daemon import ARTICLES, TLS, folder_of, router_toml, signed, wait_for

RULES = """
[default]
answer = "assistant"

[category.INFO]
risk = "low"

[[rule]]
id = "repeat"
when.text.starts_with = "repite"
then.reply = { text = "{{ text }}" }
"""
#: Longer than connecting may take, and shorter than an answer.
LATE = 7.0


def test_a_busy_channel_that_answers_late_is_not_taken_for_broken(
    tmp_path: Path,
) -> None:
    config = {"rules.toml": RULES, **ARTICLES}
    with (
        providers.running() as provider,
        folder_of(tmp_path, router_toml(provider.url), config) as daemon,
    ):
        provider.mood = lambda it: providers.slow(LATE) if "tarde" in it["text"] else None
        daemon.start()
        with httpx.Client(verify=TLS) as client:
            for number in range(SHARE + 8):
                sender = f"tel:+57300{number:07}"
                body, headers = signed({"id": f"m{number}", "from": sender, "text": "repite tarde"})
                url = f"{daemon.url}/hooks/ledger"
                assert client.post(url, content=body, headers=headers).status_code == 200
        daemon.say("fast", "tel:+573019999999", "repite ya", "safe")
        wait_for(lambda: any("ya" in it.text for it in provider.received()), "the other channel")
        wait_for(lambda: len(provider.received()) == SHARE + 9, "all of them")
        done = [("done", SHARE + 9)]
        wait_for(
            lambda: daemon.rows("SELECT state, count(*) FROM outbox GROUP BY 1") == done, "done"
        )

        assert "attempt failed" not in daemon.log
        assert "circuit breaker opened" not in daemon.log
        assert daemon.stop() == 0
