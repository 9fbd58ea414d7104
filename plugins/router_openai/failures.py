"""What a server's error means, and which setting to look at.

The server's own words are not passed on: several servers quote the prompt in them, or a part of
the key. Its codes, which are single words, are.
"""

import re
from typing import TYPE_CHECKING, Any, Final

from router import plugin
from router_openai.config import OpenAIConfig

if TYPE_CHECKING:
    import httpx

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.\[\]-]{0,63}")
_TOO_LONG = re.compile(
    r"context[ _](length|size|window)|maximum context|exceeds? the (available )?context"
    r"|prompt is too long|too many tokens|max_model_len",
    re.IGNORECASE,
)
_FORMAT = re.compile(r"response_format|json_schema|structured output|guided", re.IGNORECASE)
_TOOLS = re.compile(
    r"tool[ -]choice|tool-call-parser|supports? (?:tools?|function)\b|tools? is not supported",
    re.IGNORECASE,
)
#: Groq's: its "flex" capacity is taken, and the request was not worked.
#: https://console.groq.com/docs/flex-processing
_NO_CAPACITY: Final = 498
_OUT_OF_CREDIT = "insufficient_quota"
_MILLISECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class FormatRefusedError(Exception):
    """The server takes no JSON schema for the answer."""


def raise_for_error(
    response: "httpx.Response", given: Any, config: OpenAIConfig, *, structured: bool
) -> None:
    """Raise what a reply means that is no answer; do nothing for one that may be.

    :param given: the reply's JSON, ``None`` if it is none.
    :param structured: the request demanded the answer's form by a JSON schema.
    :raises FormatRefusedError: if that is what the server minds.
    """
    error = given.get("error") if isinstance(given, dict) else None
    status = response.status_code
    if response.is_success:
        if not error:
            return
        # Gateways forward a failure under a 200, with the status inside.
        inside = error.get("code") if isinstance(error, dict) else None
        if not isinstance(inside, int) or not 400 <= inside <= 599:
            raise plugin.OutcomeUnknown(f"{response.request.url.host} answered 200 with an error")
        status = inside
    words = _words(given)
    code, about = _codes(error if isinstance(error, dict) else given)
    if structured and status in {400, 422} and _FORMAT.search(words):
        raise FormatRefusedError
    reason = _reason(status, words, code, about, config)
    if reason is not None:
        host = response.request.url.host
        raise plugin.Refused(f"{host} answered {status}: {reason}", code=code or str(status))
    _raise_by_status(response, status)


def _raise_by_status(response: "httpx.Response", status: int) -> None:
    import httpx  # here, because it is not needed to start

    if status != response.status_code:
        response = httpx.Response(status, headers=response.headers, request=response.request)
    try:
        plugin.raise_for_status(response)
    except plugin.Unavailable as error:
        error.retry_after = (
            _retry_after(response) if error.retry_after is None else error.retry_after
        )
        raise
    except plugin.Refused as error:
        if status != _NO_CAPACITY:
            raise
        wait = _retry_after(response)
        raise plugin.Unavailable(error.reason, code=error.code, retry_after=wait) from None


def _reason(status: int, words: str, code: str, about: str, config: OpenAIConfig) -> str | None:
    """Say what a person has to change, or ``None`` where that is nothing or not known."""
    if _OUT_OF_CREDIT in code or status == 402:
        return "the account has no credit left. Top it up, or change api_key"
    if status == 401:
        if config.api_key is None and not config.secret_headers:
            return "the server wants a key. Set api_key"
        return "the server does not accept the key. Check api_key"
    if status == 403:
        return f'the key may not use the model "{config.model}". Check api_key and model'
    if status in {400, 404, 422} and (about in {"tools", "tool_choice"} or _TOOLS.search(words)):
        return (
            "the server or its model takes no tools. Leave tools out of the table, or set the "
            "server up for them (vLLM: --enable-auto-tool-choice and --tool-call-parser)"
        )
    if status == 404:
        return f'there is no model "{config.model}" here. Check model and base_url'
    if status == 413 or (status in {400, 422} and _TOO_LONG.search(f"{code} {words}")):
        return (
            "the prompt does not fit into the model's context. Choose a larger model, or lower "
            "max_tokens"
        )
    if status in {400, 422}:
        found = ", ".join(filter(None, (code, about)))
        found = f" ({found})" if found else ""
        return (
            f"the server does not understand the request{found}. Check model, temperature, "
            "max_tokens_parameter and structured"
        )
    return None


def _words(given: Any) -> str:
    """Give what the server said, to look for known phrases in; it goes nowhere else."""
    return str(given)[:4000] if isinstance(given, dict) else ""


def _codes(error: Any) -> tuple[str, str]:
    """Give the error's own code, and the parameter that it is about, where they are words."""
    if not isinstance(error, dict):
        return "", ""
    code = _word(error.get("code")) or _word(error.get("type"))
    return code, _word(error.get("param"))


def _word(value: Any) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _retry_after(response: "httpx.Response") -> float | None:
    value = response.headers.get("retry-after-ms", "").strip()
    return min(float(value) / 1000, 86_400.0) if _MILLISECONDS.fullmatch(value) else None
