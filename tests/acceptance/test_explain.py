"""``router explain`` tells the whole story of a message, and tells it again after kill -9."""

import os
import re
from pathlib import Path

import pytest

from tests.acceptance import provider as providers
from tests.acceptance.daemon import ARTICLES, Daemon, folder_of, router_toml, wait_for

GOLDEN = Path(__file__).parent / "golden"
#: ROUTER_GOLDEN=write takes what is told now for right. Read the difference before you commit it.
WRITE = os.environ.get("ROUTER_GOLDEN") == "write"

RULES = """
[default]
answer = "assistant"

[category.INFO]
risk = "low"

[category.LEGAL]
risk = "high"

[[rule]]
id = "legal"
when.text.words = ["abogado", "demanda"]
unless.contact.tag = "prensa"
then.set = { category = "LEGAL", priority = "urgent" }
then.escalate = { to = "legal", because = "legal threat", say = "Un momento, por favor." }

[[rule]]
id = "greeting"
when.text.words = ["hola", "buenas"]
unless.text.contains = "?"
then.reply = { text = "¡Hola{% if contact.name %}, {{ contact.name }}{% endif %}!" }

[[rule]]
id = "question"
when.text.contains = "?"
then.set.category = "INFO"
then.tag = "asked"

[[guardrail]]
id = "unsure"
when.answer.confidence.below = 0.5
then.ticket = { queue = "support" }
"""

TENANT = """
[tenants.clinica.policy]
mode = "assisted"

[tenants.clinica.knowledge]
folders = ["articles"]

[tenants.clinica.channels.recepcion]
type = "ledger"
base_url = "http://127.0.0.1:9"
secret = { env = "LEDGER_SECRET" }
"""

#: The golden file, which is also the message's id, the channel's path, and what is written.
MESSAGES = [
    ("fixed-reply", "ledger", "Buenas"),
    ("answer", "ledger", "¿Cuánto cuesta el envío?"),
    ("escalation", "ledger", "Los voy a demandar, dice mi ABOGADO"),
    ("does-not-know", "ledger", "¿Venden elefantes?"),
    ("assisted-draft", "clinica/recepcion", "¿Cuánto cuesta el envío?"),
]

NAMES = [name for name, _, _ in MESSAGES]

_ID = re.compile(r"\b[0-9a-hjkmnp-tv-z]{26}\b")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b")
_SECONDS = re.compile(r"(?m)^(  seconds +)[0-9.]+$")
_HASH = re.compile(r'"[0-9a-f]{12,64}"')


def normalised(text: str) -> str:
    """Put a fixed word for what is another in each run, and leave everything else as it is.

    Ids of our own are numbered as they appear; times, how long a model took, and the hashes of
    rules and settings (which know the provider's port) lose their value.
    """
    names: dict[str, str] = {}
    text = _ID.sub(lambda found: names.setdefault(found[0], f"ID-{len(names) + 1}"), text)
    text = _TIME.sub("TIME", text)
    text = _SECONDS.sub(r"\1SECONDS", text)
    return _HASH.sub('"HASH"', text)


def settled(daemon: Daemon) -> bool:
    ((left,),) = daemon.rows(
        "SELECT (SELECT count(*) FROM inbox_event"
        "  WHERE outcome IS NULL OR outcome IN ('waiting', 'asking'))"
        " + (SELECT count(*) FROM outbox WHERE state != 'done')"
    )
    return bool(left == 0)


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Give what is told about each message, before the daemon was killed and after."""
    folder = tmp_path_factory.mktemp("explain")
    with providers.running() as provider:
        config = router_toml(provider.url, policy='debounce = "100ms"', more=TENANT)
        with folder_of(folder, config, {"rules.toml": RULES, **ARTICLES}) as daemon:
            daemon.start()
            for number, (name, channel, text) in enumerate(MESSAGES):
                message = {"id": name, "from": f"tel:+57300000000{number}", "text": text}
                assert daemon.post({**message, "name": "Ana"}, channel).status_code == 200
                # One after another, so that the provider's ids are the same in each run.
                wait_for(lambda: settled(daemon), "settled")
            before = [daemon.command("explain", name) for name in NAMES]
            daemon.kill()
            daemon.start()
            after = [daemon.command("explain", name) for name in NAMES]
            assert daemon.stop() == 0
    return dict(zip(NAMES, zip(before, after, strict=True), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_story_of_a_message_is_told(
    stories: dict[str, tuple[str, str]], name: str
) -> None:
    told, _ = stories[name]
    golden = GOLDEN / f"{name}.txt"
    if WRITE:
        golden.write_text(normalised(told))

    assert normalised(told) == golden.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_story_is_told_after_kill_9(
    stories: dict[str, tuple[str, str]], name: str
) -> None:
    before, after = stories[name]

    assert after == before
