"""What ``router plugins check openai`` runs."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import httpx
from pydantic import SecretStr

from router.plugin import (
    Completion,
    File,
    OutcomeUnknown,
    Passage,
    Prompt,
    PromptTurn,
    ProposedAction,
    Refused,
    Tool,
    ToolResult,
    Transcript,
    Unavailable,
    Usage,
)
from router.plugin.testing import AIBackendSuite, Complete, Expected, Transcribe, Upload
from router_openai.backend import OpenAI
from router_openai.config import OpenAIConfig

HOURS = Passage("horarios#1", "Horarios", "Abrimos de 9:00 a 19:00.", 0.8, "INFO")
PLACE = Passage("direccion#1", "Dirección", "Estamos en la Calle 45.", 0.3, "INFO")
QUESTION = Prompt(
    system="Answer the customers of a shop.",
    turns=(PromptTurn("user", "¿A qué hora abren?"),),
    passages=(HOURS, PLACE),
    language="es",
    categories=("OTHER", "INFO", "SALES"),
)
SORT = Prompt(
    system="",
    turns=(PromptTurn("user", "¿A qué hora abren?"),),
    categories=("OTHER", "INFO", "SALES"),
    task="classify",
)
QUOTE = Prompt(
    system="",
    turns=(PromptTurn("user", "Cotícenme dos sillas"),),
    tools=(Tool("quote", "Look a price up.", {"type": "object"}),),
)
QUOTED = replace(QUOTE, results=(ToolResult("quote", {"chairs": 2}, "120.000 COP"),))
USAGE = Usage(model="small-2", input_tokens=310, output_tokens=24)


def reply(
    content: object, *, finish: object = "stop", status: int = 200, **message: object
) -> httpx.Response:
    """Give a server's reply whose message holds a text, or JSON as a text."""
    text = content if content is None or isinstance(content, str) else json.dumps(content)
    body: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "small-2",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
        "usage": {"prompt_tokens": 310, "completion_tokens": 24, "total_tokens": 334},
    }
    return httpx.Response(status, json=body)


def error(status: int, code: str | None = None, **headers: str) -> httpx.Response:
    """Give a server's error."""
    body = {"error": {"message": "Words.", "type": "a_type", "param": None, "code": code}}
    return httpx.Response(status, json=body, headers=headers)


class OpenAIConformance(AIBackendSuite):
    """The backend's rows."""

    backend = OpenAI
    config = OpenAIConfig(
        base_url="https://ai.example/v1",
        api_key=SecretStr("sk-test-only-here"),
        headers={"X-Team": "support"},
        secret_headers={"X-Gateway": SecretStr("gateway-only-here")},
        model="small",
    )

    completes: ClassVar[Sequence[Complete]] = (
        Complete(
            "answer, category and citation",
            QUESTION,
            reply({"citations": ["horarios#1"], "answer": "A las 9:00.", "category": "INFO"}),
            expect=Completion(
                "A las 9:00.", category="INFO", citations=("horarios#1",), usage=USAGE
            ),
            requests=[
                Expected(
                    "POST",
                    "https://ai.example/v1/chat/completions",
                    headers={
                        "Authorization": "Bearer sk-test-only-here",
                        "Content-Type": "application/json",
                        "X-Gateway": "gateway-only-here",
                        "X-Team": "support",
                    },
                )
            ],
        ),
        Complete(
            "plain text",
            QUESTION,
            reply("A las 9:00. [horarios#1]"),
            expect=Completion("A las 9:00.", citations=("horarios#1",), usage=USAGE),
        ),
        Complete("does not know", QUESTION, reply("NONE"), expect=Completion("", usage=USAGE)),
        Complete(
            "what the prompt did not offer",
            QUESTION,
            reply({"citations": ["made-up"], "answer": "Sí.", "category": "SHOES"}),
            expect=Completion("Sí.", category="OTHER", usage=USAGE),
        ),
        Complete(
            "a category only",
            SORT,
            reply({"reason": "Asks for hours.", "category": "INFO"}),
            expect=Completion("Asks for hours.", category="INFO", usage=USAGE),
        ),
        Complete(
            "an action is proposed",
            QUOTE,
            reply(
                None,
                finish="tool_calls",
                tool_calls=[
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "quote", "arguments": '{"chairs": 2}'},
                    }
                ],
            ),
            expect=Completion("", proposals=(ProposedAction("quote", {"chairs": 2}),), usage=USAGE),
        ),
        Complete(
            "an answer from what was looked up",
            replace(QUOTED, last=True),
            reply("Cuestan 120.000."),
            expect=Completion("Cuestan 120.000.", usage=USAGE),
        ),
        Complete(
            "cut off", QUESTION, reply("A las", finish="length"), raises=Refused(code="length")
        ),
        Complete(
            "filtered",
            QUESTION,
            reply("", finish="content_filter"),
            raises=Refused(code="content_filter"),
        ),
        Complete(
            "declined", QUESTION, reply(None, refusal="I cannot."), raises=Refused(code="refusal")
        ),
        Complete(
            "wrong key",
            QUESTION,
            error(401, "invalid_api_key"),
            raises=Refused(code="invalid_api_key"),
        ),
        Complete(
            "throttled",
            QUESTION,
            error(429, "rate_limit_exceeded", **{"Retry-After": "20"}),
            raises=Unavailable(code="429", retry_after=20.0),
        ),
        Complete(
            "no credit",
            QUESTION,
            error(429, "insufficient_quota"),
            raises=Refused(code="insufficient_quota"),
        ),
    )


VOICE = File("audio/ogg", b"OggS")
PICTURE = File("image/jpeg", b"\xff\xd8\xff")
PRICES = File("application/pdf", b"%PDF-")
SHOWN = Prompt(
    system="Answer the customers of a shop.",
    turns=(PromptTurn("user", "¿Tienen esta?"),),
    passages=(HOURS,),
    files=(PICTURE,),
)


class SeesAndHearsConformance(OpenAIConformance):
    """The rows of a table whose models take pictures, documents and voice notes."""

    config = OpenAIConfig(
        base_url="https://ai.example/v1",
        api_key=SecretStr("sk-test-only-here"),
        headers={"X-Team": "support"},
        secret_headers={"X-Gateway": SecretStr("gateway-only-here")},
        model="small",
        vision=True,
        documents=True,
        transcription_model="whisper-1",
    )

    completes = (
        *OpenAIConformance.completes,
        Complete(
            "a picture",
            SHOWN,
            reply({"citations": [], "answer": "Sí."}),
            expect=Completion("Sí.", usage=USAGE),
        ),
        Complete(
            "a document",
            replace(SHOWN, files=(PRICES,)),
            reply({"citations": [], "answer": "Sí."}),
            expect=Completion("Sí.", usage=USAGE),
        ),
    )

    transcribes = (
        Transcribe(
            "a voice note",
            VOICE,
            httpx.Response(200, json={"text": " ¿A qué hora abren? ", "language": "es"}),
            language="es-CO",
            expect=Transcript("¿A qué hora abren?", "es"),
            requests=[
                Expected(
                    "POST",
                    "https://ai.example/v1/audio/transcriptions",
                    headers={
                        "Authorization": "Bearer sk-test-only-here",
                        "X-Gateway": "gateway-only-here",
                        "X-Team": "support",
                    },
                    multipart={
                        "model": "whisper-1",
                        "response_format": "json",
                        "language": "es",
                        "file": Upload("voice.ogg", "audio/ogg", b"OggS"),
                    },
                )
            ],
        ),
        Transcribe(
            "nobody knows the language",
            VOICE,
            httpx.Response(200, json={"text": ""}),
            expect=Transcript(""),
        ),
        Transcribe(
            "without a text",
            VOICE,
            httpx.Response(200, json={"task": "transcribe"}),
            raises=OutcomeUnknown,
        ),
        Transcribe(
            "too large",
            VOICE,
            error(413, "audio_too_large"),
            raises=Refused(code="audio_too_large"),
        ),
        Transcribe(
            "throttled",
            VOICE,
            error(429, "rate_limit_exceeded", **{"Retry-After": "20"}),
            raises=Unavailable(code="429", retry_after=20.0),
        ),
    )
