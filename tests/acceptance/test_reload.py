"""A daemon reloads while webhooks come in: none is lost, each is decided by one configuration."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import httpx
import pytest

from router.rules.trace import unpacked
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
from tests.acceptance.provider import Provider

#: How often it is reloaded; `make reloads` asks for more.
RELOADS = int(os.environ.get("ROUTER_RELOADS", "100"))
#: Webhooks a second, whatever becomes of those before, and how many may be under way at once.
RATE = 50
SENDERS = 8
ANA = "tel:+573000000001"


def rules(word: str) -> str:
    """Give rules of which every part says which file it stands in."""
    return f"""
[default]
ignore = "nobody asked"

[category.{word}]
risk = "low"

[[rule]]
id = "sort"
then.set.category = "{word}"

[[rule]]
id = "{word}"
when.text.starts_with = "repite"
then.reply = {{ text = "{word} {{{{ text }}}}" }}
"""


@contextmanager
def running(folder: Path, *, watch: bool = False) -> Iterator[tuple[Provider, Daemon]]:
    with providers.running() as provider:
        config = router_toml(provider.url)
        if not watch:
            config = config.replace("[router]", "[router]\nwatch = false")
        with folder_of(folder, config, {"rules.toml": rules("A"), **ARTICLES}) as daemon:
            daemon.start()
            yield provider, daemon


def edit(daemon: Daemon, name: str, text: str) -> None:
    """Write a file as careful editors do: it is never half there."""
    draft = daemon.folder / f"{name}.new"
    draft.write_text(text)
    draft.replace(daemon.folder / name)


def metric(daemon: Daemon, name: str) -> str:
    """Give the line of a metric."""
    text = httpx.get(f"{daemon.url}/metrics", timeout=PATIENCE).text
    return next(line for line in text.splitlines() if line.startswith(name))


def said(provider: Provider) -> list[str]:
    return [each.text for each in provider.effects()]


def said_last(provider: Provider, text: str) -> bool:
    return said(provider)[-1:] == [text]


def reloaded(daemon: Daemon, times: int) -> bool:
    return daemon.log.count('"reloaded"') == times


@pytest.mark.timeout(120 + RELOADS)
def test_webhooks_that_come_in_while_it_reloads_are_neither_lost_nor_misrouted(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as (provider, daemon):
        stop, sent, refused = threading.Event(), [], []

        began = time.monotonic()

        def send(first: int) -> None:
            with httpx.Client(timeout=PATIENCE) as client:
                for number in count(first, SENDERS):
                    if stop.wait(max(0.0, began + number / RATE - time.monotonic())):
                        break
                    channel = ("ledger", "safe")[number % 2]
                    sender = f"tel:+57300{channel[0] == 's':d}{number % 40:06d}"
                    name = f"m{number}"
                    message = {"id": name, "from": sender, "text": f"repite {channel} {name}"}
                    body, headers = signed(message)
                    url = f"{daemon.url}/hooks/{channel}"
                    answer = client.post(url, content=body, headers=headers)
                    if answer.status_code != 200:
                        refused.append((name, answer.status_code))
                    sent.append((channel, name))

        senders = [threading.Thread(target=send, args=(first,)) for first in range(SENDERS)]
        for sender in senders:
            sender.start()
        try:
            hashes = {reload(daemon)}
            for number in range(RELOADS):
                word = "BA"[number % 2]
                edit(daemon, "rules.toml", rules(word))
                # Every fourth one makes new instances of both channels, too.
                timeout = 15 + number // 4 % 2
                table = f'[channels.safe]\ntimeout = "{timeout}s"'
                config = router_toml(provider.url).replace("[router]", "[router]\nwatch = false")
                edit(daemon, "router.toml", config.replace("[channels.safe]", table))
                hashes.add(reload(daemon))
        finally:
            stop.set()
            for sender in senders:
                sender.join()
        seconds = time.monotonic() - began

        assert refused == []
        wait_for(lambda: len(said(provider)) >= len(sent), "answered", 60)
        assert daemon.stop() == 0
        # Nothing twice, nothing lost, nothing through the other channel.
        texts = Counter(text.removeprefix(text[:2]) for text in said(provider))
        assert texts == Counter(f"repite {channel} {name}" for channel, name in sent)
        rows = daemon.rows("SELECT rule, body, trace FROM decision")
        assert len(rows) == len(sent)
        of_word: dict[str, set[str]] = {"A": set(), "B": set()}
        for rule, body, trace in rows:
            assert f'"category":"{rule}"' in body.replace(": ", ":")
            assert f"{rule} repite" in body
            of_word[rule].add(unpacked(trace)["settings"])
        assert of_word["A"]
        assert of_word["B"]
        assert not of_word["A"] & of_word["B"]
        assert of_word["A"] | of_word["B"] <= hashes
        assert "Traceback" not in daemon.log
        # For `make reloads`, which shows it.
        rate = len(sent) / seconds
        print(  # noqa: T201
            f"{RELOADS} reloads in {seconds:.0f} s, and {len(sent)} webhooks, {rate:.0f} a second:"
            " none dropped, none misrouted, each decided by one configuration"
        )


def reload(daemon: Daemon) -> str:
    """Let the daemon read its files; give the hash of what is in force then."""
    from router.pipeline.people.control import ask, socket_path

    load = ask(socket_path(daemon.database), "reload", {}, timeout=PATIENCE)
    assert load["applied"], load
    return str(load["hash"])


def test_a_hangup_reads_the_files_again(tmp_path: Path) -> None:
    with running(tmp_path) as (provider, daemon):
        before = metric(daemon, "router_settings_info")
        edit(daemon, "rules.toml", rules("B"))
        daemon.say("m1", ANA, "repite uno")
        wait_for(lambda: said(provider) == ["A repite uno"], "answered by the old rules")

        daemon.signal(signal.SIGHUP)
        wait_for(lambda: '"reloaded"' in daemon.log, "reloaded")
        daemon.say("m2", ANA, "repite dos")
        wait_for(lambda: said(provider)[1:] == ["B repite dos"], "answered by the new ones")

        assert metric(daemon, "router_settings_info") != before
        assert (
            metric(daemon, "router_reloads_total") == 'router_reloads_total{outcome="applied"} 1.0'
        )
        loaded = float(metric(daemon, "router_settings_loaded_timestamp_seconds").split()[1])
        assert time.time() - 120 < loaded <= time.time()


def test_a_file_that_is_written_is_read_again(tmp_path: Path) -> None:
    with running(tmp_path, watch=True) as (provider, daemon):
        for number, name in enumerate(("B", "C", "D")):
            edit(daemon, "rules.toml", rules(name))
            wait_for(partial(reloaded, daemon, number + 1), "reloaded")
            daemon.say(f"m{number}", ANA, "repite")
            wait_for(partial(said_last, provider, f"{name} repite"), "answered")
        # A broken file is told once, and is no longer the matter when it is mended.
        edit(daemon, "rules.toml", "[[[")
        wait_for(lambda: "not reloaded" in daemon.log, "refused")
        assert metric(daemon, "router_settings_last_load_applied").endswith(" 0.0")
        edit(daemon, "rules.toml", rules("E"))
        wait_for(partial(reloaded, daemon, 4), "reloaded")
        assert metric(daemon, "router_settings_last_load_applied").endswith(" 1.0")
        assert daemon.log.count("not reloaded") == 1


def test_an_article_that_is_written_is_known(tmp_path: Path) -> None:
    with running(tmp_path, watch=True) as (_, daemon):
        wait_for(lambda: daemon.rows("SELECT path FROM article") == [("envios.md",)], "known")
        edit(daemon, "articles/pagos.md", "# Pagos\n\nSe paga con tarjeta.\n")
        wait_for(lambda: len(daemon.rows("SELECT path FROM article")) == 2, "known, too")


def test_watching_can_be_switched_off_and_on(tmp_path: Path) -> None:
    with running(tmp_path) as (provider, daemon):
        config = router_toml(provider.url)
        edit(daemon, "router.toml", config)
        time.sleep(1.0)
        assert "reloaded" not in daemon.log
        assert "[router] watch: false → true" in daemon.command("reload")
        edit(daemon, "rules.toml", rules("B"))
        wait_for(lambda: '"by": "file"' in daemon.log, "reloaded")


def test_the_command_says_what_has_changed(tmp_path: Path) -> None:
    with running(tmp_path) as (_, daemon):
        config = (daemon.folder / "router.toml").read_text()
        edit(daemon, "rules.toml", rules("B"))
        edit(daemon, "router.toml", config.replace("[server]\n", "[server]\nport = 1\n"))

        told = daemon.command("reload")

        assert "rule.B: added" in told
        assert "rule.A: removed" in told
        assert "needs a restart  [server] port" in told
        assert "3 kept" in told
        status = daemon.command("status")
        assert "by command" in status
        assert "needs a restart  [server] port" in status


@pytest.mark.parametrize(
    "name, text, status, told",
    [
        ("rules.toml", "[[[", 2, "rules.toml:1:"),
        ("rules.toml", rules("B").replace("then.reply", "then.rply"), 2, 'Did you mean "reply"?'),
        (
            "router.toml",
            "[channels.x]\ntype = 'nothing'\n",
            2,
            'there is no channel kind "nothing"',
        ),
    ],
)
def test_files_with_mistakes_change_nothing(
    tmp_path: Path, name: str, text: str, status: int, told: str
) -> None:
    with running(tmp_path) as (provider, daemon):
        edit(daemon, name, text)

        assert told in daemon.command("reload", status=status)
        daemon.say("m1", ANA, "repite")
        wait_for(lambda: said(provider) == ["A repite"], "answered by the old rules")


def test_a_new_plugin_needs_a_restart_and_is_told_so(tmp_path: Path) -> None:
    with running(tmp_path) as (_, daemon):
        config = (daemon.folder / "router.toml").read_text()
        (daemon.folder / "more.py").write_text("")
        edit(
            daemon,
            "router.toml",
            config.replace("plugins = [", 'plugins = ["more.py", ')
            + '[channels.x]\ntype = "more"\n',
        )

        told = daemon.command("reload", status=2)

        assert 'there is no channel kind "more"' in told
        assert "[router] plugins has changed: restart the router" in told


def test_a_reload_that_recorded_traffic_speaks_against_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as (provider, daemon):
        for number in range(20):
            word = "repite" if number < 5 else "calla"
            daemon.say(f"m{number}", f"tel:+5730000001{number:02d}", f"{word} {number}")
        wait_for(
            lambda: daemon.rows("SELECT count(*) FROM decision") == [(20,)], "everything decided"
        )
        config = (daemon.folder / "router.toml").read_text()
        careful = 'reload_replay = { since = "7d", max_changed = "10%" }'
        edit(daemon, "router.toml", config.replace("[router]", f"[router]\n{careful}"))
        assert "[router] reload_replay: none → { since" in daemon.command("reload")
        edit(daemon, "rules.toml", rules("A").replace('"repite"', '"canta"'))

        told = daemon.command("reload", status=1)

        assert "5 of 20 decisions of the last 7d would come out differently (25.00%)" in told
        assert "5 x less careful: reply by A → ignore by (default)" in told
        assert "not reloaded: what runs goes on unchanged" in told
        assert "5 of 20 decisions" in daemon.log
        assert metric(daemon, "router_settings_last_load_applied").endswith(" 0.0")
        daemon.say("m20", ANA, "repite 20")
        wait_for(lambda: "A repite 20" in said(provider), "answered by the old rules")

        edit(
            daemon,
            "router.toml",
            config.replace("[router]", f"[router]\n{careful.replace('10%', '40%')}"),
        )
        assert "rule.A: changed" in daemon.command("reload")
        daemon.say("m21", ANA, "canta 21")
        wait_for(lambda: "A canta 21" in said(provider), "answered by the new rules")
        assert "Traceback" not in daemon.log
