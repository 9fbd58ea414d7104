"""A stop lets what is under way end, begins nothing more, and loses nothing."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance import provider as providers
from tests.acceptance.daemon import ARTICLES, Daemon, folder_of, router_toml, wait_for
from tests.acceptance.provider import Provider

RULES = """
[default]
answer = "assistant"

[category.INFO]
risk = "low"

[[rule]]
id = "repeat"
when.text.starts_with = "repite"
then.reply = { text = "{{ text }}" }

[[rule]]
id = "question"
when.text.contains = "?"
then.set.category = "INFO"
"""

ANA, EVA, LUZ = "tel:+573000000001", "tel:+573000000002", "tel:+573000000003"


@contextmanager
def running(folder: Path, *, drain: str = "50s") -> Iterator[tuple[Provider, Daemon]]:
    with providers.running() as provider:
        config = router_toml(provider.url, policy='debounce = "3s"', server=f'drain = "{drain}"')
        with folder_of(folder, config, {"rules.toml": RULES, **ARTICLES}) as daemon:
            daemon.start()
            yield provider, daemon


def test_a_stop_waits_for_what_is_leaving_and_keeps_what_waits(tmp_path: Path) -> None:
    with running(tmp_path) as (provider, daemon):
        provider.misbehave(providers.slow(3.0))
        daemon.say("m1", ANA, "repite uno")
        daemon.say("m2", ANA, "repite dos")  # waits behind the first
        daemon.say("m3", EVA, "¿Cuánto cuesta el envío?")  # waits for Eva to finish
        wait_for(lambda: len(provider.received()) == 1, "leaving")

        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        wait_for(lambda: daemon.health() == (503, ["draining"]), "draining")
        # Whoever still writes is heard, and answered after the restart.
        daemon.say("m4", LUZ, "repite tres")
        assert daemon.health() == (503, ["draining"])
        assert daemon.wait() == 0
        assert time.monotonic() - began < 40

        stored = dict(daemon.rows("SELECT json_extract(body, '$.text'), state FROM outbox"))
        assert stored == {"repite uno": "done", "repite dos": "waiting"}
        assert [one.text for one in provider.received()] == ["repite uno"]
        assert "unknown" not in daemon.log

        daemon.start()
        wait_for(lambda: len(provider.received()) == 4, "everybody has an answer")
        assert daemon.stop() == 0
        got = {(one.in_reply_to, one.to) for one in provider.received()}
        assert got == {("m1", ANA), ("m2", ANA), ("m3", EVA), ("m4", LUZ)}
        assert daemon.rows("SELECT DISTINCT state FROM outbox") == [("done",)]
        assert daemon.rows("SELECT DISTINCT outcome FROM inbox_event") == [("reply",)]


def test_a_stop_does_not_wait_longer_than_it_may(tmp_path: Path) -> None:
    with running(tmp_path, drain="1s") as (provider, daemon):
        provider.misbehave(providers.SILENT)
        daemon.say("m1", ANA, "repite uno")
        wait_for(lambda: len(provider.received()) == 1, "leaving")

        began = time.monotonic()
        assert daemon.stop() == 0
        assert 1 <= time.monotonic() - began < 40

        # It may have been sent, so it is not sent again: a person is asked.
        daemon.start()
        wait_for(lambda: daemon.rows("SELECT state FROM outbox") == [("unknown",)], "unknown")
        daemon.say("m2", EVA, "repite dos")
        wait_for(lambda: len(provider.received()) == 2, "others are served")
        assert [one.text for one in provider.received()] == ["repite uno", "repite dos"]
        assert daemon.stop() == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with running(tmp_path) as (provider, daemon):
        provider.misbehave(providers.SILENT)
        daemon.say("m1", ANA, "repite uno")
        wait_for(lambda: len(provider.received()) == 1, "leaving")

        daemon.signal(signal.SIGTERM)
        wait_for(lambda: daemon.health() == (503, ["draining"]), "draining")
        began = time.monotonic()
        assert daemon.stop() == 1
        assert time.monotonic() - began < 40
        assert "Traceback" not in daemon.log


def test_a_stop_with_nothing_under_way_is_quick(tmp_path: Path) -> None:
    with running(tmp_path) as (provider, daemon):
        daemon.say("m1", ANA, "repite uno")
        wait_for(lambda: daemon.rows("SELECT state FROM outbox") == [("done",)], "sent")

        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 40
        assert provider.received()[0].text == "repite uno"
        assert not daemon.database.with_name("router.db.sock").exists()
