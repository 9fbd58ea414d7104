"""Turns that end with an answer."""

from dataclasses import replace

from router.plugin import Completion, ProposedAction
from router.plugin.testing import Closes, Complete, Dialogue, Hears, Says
from router_elevenlabs_agent.conformance_steps import (
    ARRIVED,
    CALLED,
    KNOWN,
    LOOKED_UP,
    LOOKED_UP_TOLD,
    PLAIN,
    QUESTION,
    QUOTE,
    TOLD,
    answers,
    asked,
    begins,
    calls,
    hears,
    is_over,
    is_told,
    listens,
    part,
    signed,
    talk,
)

ANSWERS = (
    Complete(
        "answer",
        QUESTION,
        signed(),
        expect=ARRIVED,
        requests=[asked()],
        sockets=[talk(answers("Llega mañana."), is_over())],
    ),
    Complete(
        "the agent hangs up after its answer",
        QUESTION,
        signed(),
        expect=PLAIN,
        sockets=[talk(answers("Llega mañana."), Closes(1000))],
    ),
    Complete(
        "all that is known",
        KNOWN,
        signed(),
        expect=ARRIVED,
        sockets=[
            Dialogue(
                begins(
                    {
                        "contact_name": "Ana",
                        "contact_language": "es",
                        "history": "Business: Hola Ana, hablamos ayer.",
                        "history_summary": CALLED,
                        "knowledge": "Envíos\nTardan dos días.",
                        "last_call_summary": "Preguntó por el pedido A-17.",
                        "last_call_outcome": "success",
                        "last_call_at": "2026-03-01 15:30 UTC",
                        "last_call_id": "conv_7",
                        "last_call_order_id": "A-17",
                    }
                ),
                listens(),
                Hears(
                    {
                        "type": "contextual_update",
                        "text": TOLD.replace("{mark}", "f582184f9834"),
                        "context_id": "channel_router",
                    }
                ),
                hears("¿Llegó mi pedido?"),
                answers("Llega mañana."),
                is_over(),
            )
        ],
    ),
    Complete(
        "pings are answered at once",
        QUESTION,
        signed(),
        expect=ARRIVED,
        sockets=[
            Dialogue(
                begins(),
                Says({"type": "ping", "ping_event": {"event_id": 1, "ping_ms": None}}),
                Hears({"type": "pong", "event_id": 1}),
                listens(),
                hears("¿Llegó mi pedido?"),
                Says({"type": "ping", "ping_event": {"event_id": 2}}),
                Hears({"type": "pong", "event_id": 2}),
                answers("Llega mañana."),
                is_over(),
            )
        ],
    ),
    Complete(
        "a tool is proposed, and nothing more is heard",
        QUOTE,
        signed(),
        expect=Completion(
            "Un momento.",
            proposals=(ProposedAction("quote", {"chairs": 2}),),
            usage=PLAIN.usage,
        ),
        sockets=[
            talk(answers("Un momento."), calls("quote", chairs=2), question="Cotícenme dos sillas")
        ],
    ),
    Complete(
        "a tool whose result is known is answered at once",
        replace(QUOTE, results=(LOOKED_UP,)),
        signed(),
        expect=Completion("Un momento.\n\nCuestan 120.000.", usage=ARRIVED.usage),
        sockets=[
            Dialogue(
                begins(),
                listens(),
                Hears(
                    {
                        "type": "contextual_update",
                        "text": LOOKED_UP_TOLD,
                        "context_id": "channel_router",
                    }
                ),
                hears("Cotícenme dos sillas"),
                answers("Un momento."),
                calls("quote", chairs=2),
                is_told("120.000 COP"),
                # Neither a number of tokens nor what is said twice is what it says to that.
                is_over(),
                answers("Un momento."),
                answers("Cuestan 120.000.", 4),
                is_over(4),
            )
        ],
    ),
    Complete(
        "nothing more is looked up for the last answer",
        replace(QUOTE, last=True),
        signed(),
        expect=Completion("No lo sé.", usage=ARRIVED.usage),
        sockets=[
            talk(
                calls("quote", chairs=2),
                is_told(
                    "Nothing more can be looked up now. Answer with what is known.", failed=True
                ),
                answers("No lo sé.", 4),
                is_over(4),
                question="Cotícenme dos sillas",
            )
        ],
    ),
    Complete(
        "a tool that was not offered",
        QUESTION,
        signed(),
        expect=ARRIVED,
        sockets=[
            talk(
                calls("refund"),
                is_told("There is no such tool here. Answer without it.", failed=True),
                answers("Llega mañana.", 3),
                is_over(3),
            )
        ],
    ),
    Complete(
        "a correction counts",
        QUESTION,
        signed(),
        expect=ARRIVED,
        sockets=[
            talk(
                answers("Llegó ayer."),
                Says(
                    {
                        "type": "agent_response_correction",
                        "agent_response_correction_event": {
                            "original_agent_response": "Llegó ayer.",
                            "corrected_agent_response": "Llega mañana.",
                            "event_id": 2,
                        },
                    }
                ),
                is_over(),
            )
        ],
    ),
    Complete(
        "an answer in parts",
        QUESTION,
        signed(),
        expect=ARRIVED,
        sockets=[
            talk(
                part("start"),
                part("delta", "Llega "),
                part("delta", "mañana."),
                part("stop"),
                is_over(),
            )
        ],
    ),
    Complete(
        "what is sound, unknown or nonsense is passed over",
        QUESTION,
        signed(),
        expect=ARRIVED,
        sockets=[
            talk(
                Says({"type": "audio", "audio_event": {"audio_base_64": "AAAA"}}),
                Says({"type": "rich_content", "rich_content": {}}),
                Says({"type": "agent_response"}),
                Says([]),
                Says("<html>"),
                answers("Llega mañana."),
                is_over(),
            )
        ],
    ),
    Complete(
        "an agent that says nothing does not know",
        QUESTION,
        signed(),
        expect=Completion("", usage=ARRIVED.usage),
        sockets=[talk(answers(" "), is_over())],
    ),
)
