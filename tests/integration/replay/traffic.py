"""A varied day through the real engine: rules, models, guardrails, drafts, people, silence."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from router import plugin
from router.domain.draft import DraftState
from router.domain.event import DeliveryReported, MessageReceived
from router.domain.identity import Address
from router.errors import Refusal, Refused
from router.pipeline.instances.configuration import Configuration
from router.plugin.testing import RecordingLog
from router.settings.loading import load_settings
from router.storage.drafts import list_drafts, resolve_draft
from router.storage.recordings import Recording, recorded
from router.storage.store import Tx
from tests.integration.engine.harness import ANA, LUIS
from tests.integration.engine.pipeline import (
    RULES,
    SETTINGS,
    Pipeline,
    Provider,
    instances_of,
    registry,
    running,
)

EVA = Address("tel", "+5215512345678")
SAM = Address("telegram", "4711")

MORE = """
[category.BILLING]
risk = "high"

[[rule]]
id = "greets"
when.text.starts_with = "buenas"
then.reply = { text = "Hola, {{ contact.name }}. Son las {{ clock.time }}." }

[[rule]]
id = "insists"
when.history.repeats.10m.at_least = 1
then.ticket = { queue = "legal", title = "Insiste: {{ text }}", say = "Ya vamos." }

[[rule]]
id = "marks"
when.text.words = "factura"
then.tag = "factura"
then.set = { category = "BILLING", conversation = { attribute = { tema = "dinero" } } }

[[rule]]
id = "marked"
when.conversation.attribute.tema = "dinero"
when.text.words = "otra vez"
then.draft = { because = "se repite", text = "Lo miramos." }

[[rule]]
id = "later"
on = "idle"
when.conversation.tag = "factura"
then.reply = { text = "¿Seguimos?" }

[[rule]]
id = "lost"
on = "delivery"
when.delivery.status = "failed"
then.ticket = { queue = "legal", title = "No llegó" }

[[rule]]
id = "person-writes"
on = "echo"
when.text.words = "llamo"
then.tag = "llamada"

[[guardrail]]
id = "stop"
stage = "input"
when.text.equals = "baja"
then.opt_out = { say = "De acuerdo." }

[[guardrail]]
id = "private"
stage = "input"
when.pii.any_of = ["email"]
then.redact = ["email"]

[[guardrail]]
id = "unsure"
when.answer.confidence.below = 0.5
then.draft = "poca confianza"

[[guardrail]]
id = "invented"
when.answer.prices.empty = false
unless.answer.text.equals = "Cuesta 5."
then.ticket = { queue = "legal" }
"""


@asynccontextmanager
async def day(name: str, folder: Path, *, debounce: str = "2s") -> AsyncIterator[Pipeline]:
    """Live through a day; the store stays open."""
    async with running(name, folder, debounce=debounce, rules=MORE) as pipeline:
        await _live(pipeline)
        yield pipeline


async def _say(
    pipeline: Pipeline, *texts: str, who: Address = ANA, name: str | None = None
) -> None:
    for text in texts:
        number = next(pipeline.engine.numbers)
        event = MessageReceived(f"in-{number}", who, text, name=name)
        await pipeline.engine.accept(pipeline.engine.event(event))
        await pipeline.think()


async def _turn(
    pipeline: Pipeline, *texts: str, who: Address = ANA, name: str | None = None
) -> None:
    await _say(pipeline, *texts, who=who, name=name)
    await pipeline.pass_time(3)


async def _live(pipeline: Pipeline) -> None:
    provider = pipeline.provider
    await _turn(pipeline, "buenas", who=ANA, name="Ana Gómez")
    await _turn(pipeline, "¿Cuál es el horario?", who=ANA)
    await _turn(pipeline, "Hola", "¿cuánto cuesta?", who=ANA)
    await _turn(pipeline, "clasifica esto", who=LUIS)
    provider.answer = plugin.Completion("Creo que sí.", confidence=0.3, category="INFO")
    await _turn(pipeline, "¿abren el lunes?", who=LUIS)
    provider.answer = plugin.Completion("Cuesta $900.", confidence=0.9, category="INFO")
    await _turn(pipeline, "soy Luis, mi correo es luis@example.com, ¿precio?", who=LUIS)
    provider.answer = plugin.Completion("", category="OTHER")
    await _turn(pipeline, "¿y esto?", who=EVA, name="Eva")
    provider.answer = plugin.Completion("Aquí está.", confidence=0.9, category="BILLING")
    await _turn(pipeline, "quiero mi factura", who=EVA)
    await _turn(pipeline, "otra vez lo mismo", who=EVA)
    await _turn(pipeline, "quiero mi factura", who=EVA)
    await _turn(pipeline, "hablo con mi abogado", who=SAM)
    await _turn(pipeline, "¿hola?", who=SAM)
    provider.answer = plugin.Completion("Cuesta 5.", confidence=0.9, category="INFO")
    # One who goes on writing while the model thinks, and one whom a rule answers meanwhile.
    await _say(pipeline, "una pregunta", who=LUIS)
    pipeline.engine.clock.advance(timedelta(seconds=2.5))
    while await pipeline.engine.store.fire_timers():
        pass
    await pipeline.think()
    await _say(pipeline, "y otra", "¿Cuál es el horario?", who=LUIS)
    await pipeline.settle()
    await pipeline.pass_time(3)
    # A person of the business, a report of a failure, and the end of it.
    await pipeline.engine.accept(pipeline.engine.echoed("te llamo", who=EVA))
    await pipeline.settle()
    await _turn(pipeline, "gracias", who=EVA)
    failed = DeliveryReported("ref-x", ANA, "failed", None, "63016", why=Refusal.WINDOW_CLOSED)
    await pipeline.engine.accept(pipeline.engine.event(failed, channel="phone/status"))
    await pipeline.settle()
    provider.script = [Refused("no")]
    await _turn(pipeline, "¿y ahora?", who=ANA)
    provider.script = []
    await _turn(pipeline, "baja", who=ANA)
    await _turn(pipeline, "¿sigue ahí?", who=ANA)
    # While a draft waits, its conversation stays open.
    await pipeline.engine.store.write(_reject_drafts)
    for _ in range(4):
        await pipeline.pass_time(25 * 3600)


def _reject_drafts(tx: Tx) -> None:
    for draft in list_drafts(tx.connection, "main"):
        resolve_draft(
            tx.connection, "main", draft.id, state=DraftState.DISCARDED, by="ana", now=tx.now
        )


async def recording(pipeline: Pipeline) -> Recording:
    """Give all that was recorded."""
    return await pipeline.engine.store.read(lambda it: recorded(it, ["main"], limit=1000))


def another(
    pipeline: Pipeline,
    folder: Path,
    *,
    debounce: str = "2s",
    tables: str = "",
    rules: str = RULES + MORE,
    policy: tuple[str, str] = ("", ""),
) -> Configuration:
    """Build another configuration, in a folder of its own."""
    there = folder / "another"
    there.mkdir(exist_ok=True)
    settings_text = SETTINGS.format(debounce=debounce, policy="").replace(*policy)
    (there / "router.toml").write_text(settings_text + tables)
    (there / "rules.toml").write_text(rules)
    settings = load_settings(there / "router.toml", registry(), run=False)
    return instances_of(settings, pipeline.engine.clock, RecordingLog(), Provider())
