"""What the vendor's errors mean, and which setting to look at.

Its words are not passed on, because they may quote the prompt; its types, which are single words,
are, and the names of variables that it misses.
"""

import re
from typing import TYPE_CHECKING, Any, Final

from router import plugin

if TYPE_CHECKING:
    import httpx

#: What asking again does not mend (agent.asyncapi.yaml, ErrorType), and what does.
_FOR_GOOD: Final = {
    "override_error": "the agent does not allow an override. Allow it in the agent's security "
    "settings, or leave it out of overrides",
    "missing_dynamic_variable": "the agent wants dynamic variables that it was not given{names}. "
    "Set them in variables, or take them out of the agent's prompt",
    "missing_dynamic_variable_transfer": "the agent that was transferred to wants dynamic "
    "variables that it was not given{names}. Set them in variables",
    "missing_fields": "it misses a field in what it was sent",
    "invalid_message": "it does not understand what it was sent",
    "value_error": "it does not accept a value that it was sent",
    "telephony_agent_error": "the agent is made for telephone calls only",
    "mcp_tool_error": "a tool of the agent is set up wrongly",
    "mcp_https_error": "a tool of the agent is set up wrongly",
    "safety_violation": "its content policy stopped the conversation",
    "max_duration_exceeded": "the agent's longest duration is too short for an answer",
}
_PASSING: Final = {
    "llm_timeout": "its model took more than 20 seconds",
    "transport_receive_timeout": "it heard nothing for 60 seconds",
    "llm_error": "its model failed",
    "custom_llm_error": "the agent's own model failed",
    "cascade_brain_error": "all of its models failed",
}
_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NAMES: Final = re.compile(r"'([A-Za-z_][A-Za-z0-9_]{0,99})'")
_MOST_NAMES: Final = 5

#: The close code of input that the server does not accept, keys and signatures among it.
_CONTRACT: Final = 1008


def raised(host: str, event: Any) -> plugin.ProviderError:
    """Give what an ``error`` message means.

    :param event: its ``error_event``, of whatever shape.
    """
    details = event if isinstance(event, dict) else {}
    given = details.get("error_type")
    kind = given if isinstance(given, str) and _WORD.fullmatch(given) else ""
    if kind in _FOR_GOOD or (not kind and details.get("code") == _CONTRACT):
        words = _FOR_GOOD.get(kind, "it does not accept the conversation")
        found = list(dict.fromkeys(_NAMES.findall(str(details.get("message") or ""))))
        names = f": {', '.join(found[:_MOST_NAMES])}" if found else ""
        return plugin.Refused(f"{host}: {words.format(names=names)}", code=kind or str(_CONTRACT))
    words = _PASSING.get(kind, f"it failed{f' ({kind})' if kind else ''}")
    return plugin.Unavailable(f"{host}: {words}", code=kind or None)


def closed(host: str, error: plugin.SocketClosed) -> plugin.ProviderError:
    """Give what it means that the connection ended before there was an answer."""
    kind = next((word for word in _WORD.findall(error.said) if word in _FOR_GOOD), None)
    if kind is None and error.close_code == _CONTRACT:
        return plugin.Refused(
            f"{host} does not accept the conversation (1008). Check agent_id and api_key, and "
            "whether the agent is public where there is no key",
            code="1008",
        )
    if kind is not None:
        return raised(host, {"error_type": kind})
    return error


def raise_for_answer(response: "httpx.Response") -> None:
    """Raise what an answer to the question for a signed address means; do nothing for a good one.

    :raises ProviderError: saying which setting to look at.
    """
    try:
        plugin.raise_for_status(response)
    except plugin.Refused as error:
        advice = {
            "401": "the key is not accepted. Check api_key",
            "403": "the key may not use this agent. Check api_key and its permissions",
            "404": "there is no such agent. Check agent_id, and base_url for its region",
            "422": "there is no such agent. Check agent_id",
        }.get(error.code or "")
        if advice is None:
            raise
        host = response.request.url.host
        raise plugin.Refused(f"{host} answered {error.code}: {advice}", code=error.code) from None
