"""Turns that end without one."""

import httpx

from router.plugin import OutcomeUnknown, Prompt, Refused, SocketClosed, Unavailable
from router.plugin.testing import Closes, Complete, Dialogue, Drops, Refuses, Says
from router_elevenlabs_agent.conformance_steps import QUESTION, begins, fails, signed, talk

FAILURES = (
    Complete(
        "a key that is not accepted",
        QUESTION,
        httpx.Response(401, json={"detail": {"status": "invalid_api_key"}}),
        raises=Refused(code="401"),
    ),
    Complete(
        "an agent that is not there",
        QUESTION,
        httpx.Response(404, json={"detail": "not found"}),
        raises=Refused(code="404"),
    ),
    Complete("no address", QUESTION, httpx.Response(200, json={}), raises=OutcomeUnknown),
    Complete(
        "an address elsewhere",
        QUESTION,
        signed("wss://elsewhere.example/v1/convai/conversation"),
        raises=Refused,
    ),
    Complete(
        "an override that is not allowed",
        QUESTION,
        signed(),
        raises=Refused(code="override_error"),
        sockets=[Dialogue(begins(), *fails(1008, "override_error"))],
    ),
    Complete(
        "a variable that is missing",
        QUESTION,
        signed(),
        raises=Refused(code="missing_dynamic_variable"),
        sockets=[Dialogue(begins(), *fails(1008, "missing_dynamic_variable", "{'plan'}"))],
    ),
    Complete(
        "a content policy",
        QUESTION,
        signed(),
        raises=Refused(code="safety_violation"),
        sockets=[talk(*fails(1002, "safety_violation"))],
    ),
    Complete(
        "a guardrail of the agent's own",
        QUESTION,
        signed(),
        raises=Refused(code="guardrail_triggered"),
        sockets=[talk(Says({"type": "guardrail_triggered"}))],
    ),
    Complete(
        "somebody else took over",
        QUESTION,
        signed(),
        raises=Refused(code="external_agent_connected"),
        sockets=[talk(Says({"type": "external_agent_connected"}))],
    ),
    Complete(
        "the model took more than 20 seconds",
        QUESTION,
        signed(),
        raises=Unavailable(code="llm_timeout"),
        sockets=[talk(*fails(1002, "llm_timeout"))],
    ),
    Complete(
        "60 seconds without a word",
        QUESTION,
        signed(),
        raises=Unavailable(code="transport_receive_timeout"),
        sockets=[talk(*fails(1002, "transport_receive_timeout"))],
    ),
    Complete(
        "an error of a kind that is not known",
        QUESTION,
        signed(),
        raises=Unavailable(code="new_kind_of_error"),
        sockets=[talk(*fails(1011, "new_kind_of_error"))],
    ),
    Complete(
        "a signature that is not accepted",
        QUESTION,
        signed(),
        raises=Refused(code="1008"),
        sockets=[Dialogue(Closes(1008, "Invalid signature"))],
    ),
    Complete(
        "closed without a word of why",
        QUESTION,
        signed(),
        raises=Refused(code="override_error"),
        sockets=[Dialogue(begins(), Closes(1008, "override_error"))],
    ),
    Complete(
        "the connection dies",
        QUESTION,
        signed(),
        raises=SocketClosed,
        sockets=[talk(Drops())],
    ),
    Complete(
        "too many at once",
        QUESTION,
        signed(),
        raises=Unavailable(code="429", retry_after=7),
        sockets=[Dialogue(Refuses(429, {"Retry-After": "7"}))],
    ),
    Complete(
        "it only answers",
        Prompt(system="", turns=QUESTION.turns, categories=("INFO",), task="classify"),
        raises=Refused,
    ),
)
