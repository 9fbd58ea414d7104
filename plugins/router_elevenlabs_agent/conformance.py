"""What ``router plugins check elevenlabs_agent`` runs."""

from pydantic import SecretStr

from router.plugin import Prompt, Refused
from router.plugin.testing import AIBackendSuite, Complete, Dialogue, Hears, Refuses
from router_elevenlabs_agent.backend import ElevenLabsAgent
from router_elevenlabs_agent.conformance_answers import ANSWERS
from router_elevenlabs_agent.conformance_failures import FAILURES
from router_elevenlabs_agent.conformance_steps import (
    ARRIVED,
    KEY,
    PUBLIC,
    QUESTION,
    answers,
    begins,
    hears,
    is_over,
    listens,
    part,
    table,
)

#: Tools do not depend on what these tables set.
ELSEWHERE = {"tools": "its rows stand in ElevenLabsAgentConformance"}


class ElevenLabsAgentConformance(AIBackendSuite):
    """The backend's rows."""

    backend = ElevenLabsAgent
    config = table(api_key=SecretStr(KEY), greeting_wait="0s")
    completes = (*ANSWERS, *FAILURES)


class GreetingConformance(AIBackendSuite):
    """An agent that is public and greets, and all of whose overrides are allowed but that one."""

    backend = ElevenLabsAgent
    config = table(
        overrides=("language", "prompt"),
        variables={"campaign": "spring", "contact_name": "señora"},
        greeting_wait="60s",
    )
    exempt = ELSEWHERE

    completes = (
        Complete(
            "the greeting is no answer, also where it is said twice",
            Prompt(system="Be brief.", turns=QUESTION.turns, language="pt-BR"),
            expect=ARRIVED,
            sockets=[
                Dialogue(
                    begins(
                        {
                            "campaign": "spring",
                            "contact_name": "señora",
                            "contact_language": "pt-BR",
                        },
                        agent={"language": "pt-br", "prompt": {"prompt": "Be brief."}},
                    ),
                    listens(),
                    part("start", number=1),
                    part("stop", "¡Hola!", number=1),
                    answers("¡Hola!", 1),
                    is_over(1),
                    Hears(
                        {
                            "type": "contextual_update",
                            "text": "The conversation is in writing: answer in plain text, "
                            "briefly, without markup. Answer in the customer's language; if in "
                            "doubt: pt-BR.",
                            "context_id": "channel_router",
                        }
                    ),
                    hears("¿Llegó mi pedido?"),
                    answers("Llega mañana."),
                    is_over(),
                    url=PUBLIC,
                )
            ],
        ),
        Complete(
            "an agent that is not public",
            QUESTION,
            raises=Refused(code="401"),
            sockets=[Dialogue(Refuses(401))],
        ),
    )


class SilentConformance(AIBackendSuite):
    """An agent whose first message is overridden, so that there is none to wait for."""

    backend = ElevenLabsAgent
    config = table(overrides=("text_only", "first_message", "language"), greeting_wait="60s")
    exempt = ELSEWHERE

    completes = (
        Complete(
            "nothing is waited for",
            QUESTION,
            expect=ARRIVED,
            sockets=[
                Dialogue(
                    begins(agent={"first_message": ""}, conversation={"text_only": True}),
                    listens(),
                    hears("¿Llegó mi pedido?"),
                    answers("Llega mañana.", 1),
                    is_over(1),
                    url=PUBLIC,
                )
            ],
        ),
    )
