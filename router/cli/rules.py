"""``router rules``: what the rules would do."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.cli import suites
from router.cli.options import ArgumentMistake, AsJson, project_of

if TYPE_CHECKING:
    from router.settings.model import TenantSettings

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="What the rules would do.",
)


@app.callback()
def rules() -> None:
    """Say what the rules would do."""


app.command("test", epilog="Example: router rules test --coverage --mutants")(suites.run_suites)


@app.command(epilog='Example: router rules explain --text "Nos vemos en juicio."')
def explain(
    ctx: typer.Context,
    *,
    text: Annotated[str, typer.Option(help="What the customer writes.")],
    channel: Annotated[
        str | None, typer.Option(help="Where. Default: the tenant's first channel.")
    ] = None,
    sender: Annotated[
        str, typer.Option("--as", help="Who: a telephone number, or scheme:value.")
    ] = "+573000000000",
    answer: Annotated[
        str | None, typer.Option(help="What a model answers, if it is asked: asks the guardrails.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="How sure the model is of it.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="The model's category for it.")] = None,
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Whose rules.")] = "main",
    as_json: AsJson = False,
) -> None:
    """Print each rule with its conditions and what they saw.

    The text is taken as a new customer's first message. Nothing is stored, nobody is asked or told.
    """
    from router.cli.output import print_json
    from router.rules.explain import render

    settings = project_of(ctx).settings()
    found = settings.tenants.get(tenant)
    if found is None:
        raise ArgumentMistake(
            f'there is no tenant "{tenant}". There are: {", ".join(settings.tenants)}'
        )
    trace = _trace(found, text, _channel(found, channel), sender, answer, confidence, category)
    trace["settings"] = settings.hash
    if as_json:
        print_json(trace)
    else:
        print(render(trace))


def _channel(tenant: "TenantSettings", name: str | None) -> str:
    if name is None:
        return next(iter(tenant.channels), "phone")
    if name not in tenant.channels:
        known = ", ".join(tenant.channels) or "none"
        raise ArgumentMistake(f'there is no channel "{name}". Configured: {known}')
    return name


def _trace(  # noqa: PLR0917 - each is an option of the command
    tenant: "TenantSettings",
    text: str,
    channel: str,
    sender: str,
    answer: str | None,
    confidence: float | None,
    category: str | None,
) -> dict[str, Any]:
    from router.cli.people import address_of
    from router.clock import SystemClock
    from router.domain.answer import Completion
    from router.domain.conversation import Contact, Conversation, Turn, TurnMessage
    from router.domain.identity import thread_key
    from router.pipeline.triage.facts import classified_facts, speaking, thread_facts, turn_facts
    from router.rules.decide import conclude
    from router.rules.engine import read
    from router.rules.grounds import weigh

    now = SystemClock().now()
    address = address_of(sender)
    conversation = Conversation(
        id="new",
        contact=Contact(id="new", key=thread_key(address)),
        channel=channel,
        address=address,
    )
    conversation = speaking(conversation, text, tenant.policy)
    base = thread_facts(
        conversation, tenant=tenant.name, policy=tenant.policy, new=True, now=now, opened=True
    )
    turn = Turn(messages=(TurnMessage(seq=1, text=text, received_at=now),))
    facts = turn_facts(turn, now, base)
    reading = read(tenant.rules, tenant.policy, facts, every=True)
    completion = Completion(answer or "", confidence, category)
    if reading.ask is not None and reading.ask.classify and category is not None:
        facts = facts.with_(classified_facts(completion))
        reading = read(tenant.rules, tenant.policy, facts, every=True)
    if reading.ask is None or reading.ask.classify or answer is None:
        return dict(reading.trace)
    grounds = weigh(answer, [text])
    conclusion = conclude(tenant.rules, tenant.policy, facts, reading, completion, grounds=grounds)
    return dict(conclusion.trace)
