"""What the killed daemons are configured with: one of each sort of thing that leaves."""

from collections.abc import Mapping

from tests.acceptance.daemon import PLUGIN, SECRET
from tests.proof.provider import ACCOUNT, SENDER, TOKEN

#: Where providers believe the daemons to be; they sign it.
PUBLIC = "https://proof.example"

#: How long a daemon waits for an answer of the provider, in seconds.
TIMEOUT = 2.0

#: How long a node that is not heard of keeps what it has leased, in seconds.
LEASE = 3.0

#: What it takes to run a daemon on these files.
ENVIRONMENT: Mapping[str, str] = {"LEDGER_SECRET": SECRET, "TWILIO_AUTH_TOKEN": TOKEN}

#: Channels and the action whose provider offers a key or a query: there, nothing happens twice.
SURE = frozenset({"whatsapp", "safe", "crm"})
#: Those of them that can be asked what they have. A key only says that a repeat does nothing, and
#: what a person has overtaken is not repeated.
ASKED = frozenset({"whatsapp"})

#: How long the provider's list may lag, in seconds: it never does, but a frozen process may send
#: what it had begun when it wakes.
SETTLE = 10.0

# What a customer's message begins with says what becomes of it.
REPEAT, ORDER, QUESTION = "repite", "pedido", "¿Cuánto cuesta el envío?"
#: And a letter, of which no webhook tells: the provider has to be asked for it.
LETTER = "carta"
#: The channel that letters come by.
MAILBOX = "mailbox"

_CONFIG = """
[router]
database = "{database}"
lease = "{lease:g}s"
public_url = "{public}"
rules = ["rules.toml"]
language = "es"
plugins = ["{plugin}", "{mailbox}"]

[policy]
mode = "autopilot"
debounce = "50ms"
debounce_cap = "500ms"
handback_after = "never"
apology = "Ahora no podemos responder."

[knowledge]
folders = ["articles"]

[channels.whatsapp]
type = "twilio_whatsapp"
timeout = "{timeout:g}s"
breaker_pause = "2s"
account_sid = "{account}"
auth_token = {{ env = "TWILIO_AUTH_TOKEN" }}
sender = "{sender}"
base_url = "{provider}"
listing_is_complete = true
templates_every = "never"
settle = "{settle:g}s"

[channels.safe]
type = "ledger_idempotent"
timeout = "{timeout:g}s"
breaker_pause = "2s"
base_url = "{provider}/safe"
secret = {{ env = "LEDGER_SECRET" }}

[channels.ledger]
type = "ledger"
timeout = "{timeout:g}s"
breaker_pause = "2s"
base_url = "{provider}/ledger"
secret = {{ env = "LEDGER_SECRET" }}

[channels.{mailbox_name}]
type = "mailbox"
timeout = "{timeout:g}s"
base_url = "{provider}"
seconds = 0.2

[ai.assistant]
type = "openai"
timeout = "{timeout:g}s"
breaker_pause = "2s"
model = "proof"
base_url = "{provider}/v1"

[actions.crm]
type = "webhook"
timeout = "{timeout:g}s"
breaker_pause = "2s"
url = "{provider}/crm"
"""

_RULES = f"""
[default]
answer = "assistant"

[category.INFO]
risk = "low"

[[rule]]
id = "repeat"
when.text.starts_with = "{REPEAT}"
then.reply = {{ text = "{{{{ text }}}}" }}

[[rule]]
id = "order"
when.text.starts_with = "{ORDER}"
then.run = [{{ action = "crm", title = "{{{{ text }}}}" }}]
then.reply = {{ text = "{{{{ text }}}}" }}

[[rule]]
id = "letter"
when.text.starts_with = "{LETTER}"
then.ignore = "it is read, and that is all"

[[rule]]
id = "question"
when.text.contains = "?"
then.set.category = "INFO"
"""

_ARTICLE = """# Envíos

## ¿Cuánto cuesta el envío?

El envío cuesta $8.000 en Bogotá y $14.000 en otras ciudades principales.
"""


def files(*, database: str, provider: str) -> dict[str, str]:
    """Give the files of a configuration by their names, router.toml among them.

    :param database: the URL of the database.
    :param provider: the provider's address.
    """
    config = _CONFIG.format(
        database=database,
        lease=LEASE,
        public=PUBLIC,
        plugin=PLUGIN,
        mailbox=PLUGIN.with_name("mailbox.py"),
        mailbox_name=MAILBOX,
        timeout=TIMEOUT,
        account=ACCOUNT,
        sender=SENDER,
        settle=SETTLE,
        provider=provider,
    )
    return {"router.toml": config, "rules.toml": _RULES, "articles/envios.md": _ARTICLE}
