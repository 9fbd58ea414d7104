"""Turns that end with an answer."""

from router.plugin import Completion, ProposedAction
from router.plugin.testing import Closes, Complete, Dialogue, Hears, Says
from router_elevenlabs_agent.conformance_steps import (
    ARRIVED,
    CALLED,
    KNOWN,
    PLAIN,
    QUESTION,
    QUOTE,
    TOLD,
    answers,
    asked,
    begins,
    hears,
    is_over,
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
        "a tool is proposed, not run",
        QUOTE,
        signed(),
        expect=Completion(
            "Un momento.\n\nSe la preparan.",
            proposals=(ProposedAction("quote", {"chairs": 2}),),
            usage=ARRIVED.usage,
        ),
        sockets=[
            talk(
                answers("Un momento."),
                Says(
                    {
                        "type": "client_tool_call",
                        "client_tool_call": {
                            "tool_name": "quote",
                            "tool_call_id": "call_1",
                            "parameters": {"chairs": 2},
                            "event_id": 3,
                        },
                    }
                ),
                Hears(
                    {
                        "type": "client_tool_result",
                        "tool_call_id": "call_1",
                        "result": "Noted. The business decides about it; do not say that it is "
                        "done.",
                        "is_error": False,
                    }
                ),
                answers("Se la preparan.", 4),
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
                Says(
                    {
                        "type": "client_tool_call",
                        "client_tool_call": {
                            "tool_name": "refund",
                            "tool_call_id": "call_1",
                            "parameters": {},
                            "event_id": 2,
                        },
                    }
                ),
                Hears(
                    {
                        "type": "client_tool_result",
                        "tool_call_id": "call_1",
                        "result": "There is no such tool here. Answer without it.",
                        "is_error": True,
                    }
                ),
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
