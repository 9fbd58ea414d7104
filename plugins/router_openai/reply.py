"""A server's reply as a completion, whatever the server and the model left out of it."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from router import plugin
from router_openai.request import NONE

# As the first word or the last, as it was asked for; written otherwise only where it stands alone.
_SAYS_NONE = re.compile(rf"[\W_]*{NONE}\b")
_ENDS_IN_NONE = re.compile(rf"\b{NONE}[\W_]*\Z")
_ALONE = re.compile(r"[\W_]*(none|null)[\W_]*", re.IGNORECASE)
# Only from where the spaces begin: looked at from each of them, many would take their square.
_BRACKETS = re.compile(r"(?<!\s)\s*[\[【]([^\[\]【】]{1,400})[\]】]")
_THOUGHTS: Final = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis", "<|channel|>final<|message|>"),
)
#: What a server should have taken off the end.
_ENDS: Final = ("</s>", "<|im_end|>", "<|end|>", "<|eot_id|>", "<|endoftext|>", "<|return|>")
# What models are trained to write for their servers, and the mark around a passage.
_INTERNAL = re.compile(
    r"<[|\uff5c]\w|</?(?:s|think|thinking|reasoning|tool_calls?|tool_response)>|<function=|[◁▷]"
    r"|\[/?(?:THINK|TOOL_CALLS|TOOL_RESULTS|INST)\]|(?:<<<|>>>) [0-9a-f]{12}\b"
)
_JSON_BEGINS = re.compile(r"(```\w*\s*)?\{\s*[\"'}]")
_MEMBER_BEGINS = re.compile(r"\{\s*\"")
#: What the host takes a category for that is not on its list.
_OTHER: Final = "OTHER"

#: How servers say that an answer is whole. A word that nobody knows is no such word.
_WHOLE: Final = frozenset(
    {"stop", "stop_sequence", "end_turn", "eos", "eos_token", "complete"}
    | {"tool_calls", "tool_use", "function_call"}
)
_CUT_OFF: Final = frozenset({"length", "model_length", "max_tokens", "max_output_tokens"})
_FILTERED: Final = frozenset(
    (
        "blocklist",
        "content_filter",
        "content_filtered",
        "guardrail_intervened",
        "prohibited_content",
        "recitation",
        "refusal",
        "safety",
        "sensitive",
    )
)


def completion(
    prompt: plugin.Prompt, given: Any, *, model: str, log: plugin.Log
) -> plugin.Completion:
    """Read the JSON of a 200.

    :param model: the model that was asked for, where the server does not say which answered.
    :raises Refused: what the model or the server's filter would not write, and what was cut off.
    :raises OutcomeUnknown: what cannot be understood; another attempt may bring something better.
    """
    choice = _first(given.get("choices")) if isinstance(given, dict) else None
    message = choice.get("message") if choice is not None else None
    if choice is None or not isinstance(message, dict):
        raise plugin.OutcomeUnknown("the server answered 200 without an answer in it")
    _check_finished(choice.get("finish_reason"), message)
    text = _without_thoughts(_text(message.get("content")))
    usage = _usage(given, model)
    if prompt.task == "classify":
        category, reason = _classified(text, prompt.categories)
        return plugin.Completion(reason, category=category, usage=usage)
    answer, category, cited = _answered(text, prompt.categories)
    ids = [passage.id for passage in prompt.passages]
    answer, marked = _without_marks(answer, ids)
    if _says_none(answer):
        answer = ""
    known = [one for one in ids if one in {*cited, *marked}]
    return plugin.Completion(
        answer,
        category=category,
        citations=tuple(dict.fromkeys(known)) if answer else (),
        proposals=tuple(_proposals(message.get("tool_calls"), prompt.tools, log)),
        usage=usage,
    )


def _check_finished(reason: Any, message: Mapping[str, Any]) -> None:
    ended = "stop" if reason is None or reason == "" else str(reason).casefold()
    if ended in _CUT_OFF:
        raise plugin.Refused(
            "the answer was cut off at the limit of tokens. Raise max_tokens, or choose a model "
            "that thinks less",
            code="length",
        )
    if ended in _FILTERED:
        raise plugin.Refused("the server's content filter stopped the answer", code=ended)
    if message.get("refusal"):
        raise plugin.Refused("the model refused to answer", code="refusal")
    if ended not in _WHOLE:
        raise plugin.OutcomeUnknown("the server failed half-way through the answer")


def _text(content: Any) -> str:
    """Give the text of a message: a string, nothing, or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") if isinstance(part, dict) else part for part in content)
    return "".join(part for part in parts if isinstance(part, str))


def _without_thoughts(text: str) -> str:
    text = text.strip()
    for begin, end in _THOUGHTS:
        if end in text:
            # Some servers leave the beginning in the template, and only the end arrives.
            text = text.rpartition(end)[2].strip()
        elif text.startswith(begin):
            return ""
    for end in _ENDS:
        text = text.removesuffix(end).rstrip()
    return text


def _answered(text: str, categories: Sequence[str]) -> tuple[str, str | None, list[str]]:
    """Give the answer, its category and the ids that it names.

    :raises OutcomeUnknown: for what was meant for the server, or is JSON that cannot be read.
    """
    if _INTERNAL.search(text):
        raise plugin.OutcomeUnknown("the answer holds marks of the model's own")
    found = _object(text, "answer")
    if found is None:
        return text, None, []
    answer = found["answer"]
    cited = found.get("citations")
    named = cited if isinstance(cited, list) else [cited]
    return (
        answer.strip() if isinstance(answer, str) else "",
        _category(found.get("category"), categories),
        [one.strip("[] ") for one in named if isinstance(one, str)],
    )


def _says_none(answer: str) -> bool:
    last = answer.rpartition("\n")[2]
    return bool(_SAYS_NONE.match(answer) or _ENDS_IN_NONE.search(answer) or _ALONE.fullmatch(last))


def _classified(text: str, categories: Sequence[str]) -> tuple[str | None, str]:
    """Give the category and the reason, of a model that may have written only a word."""
    found = _object(text, "category")
    if found is not None:
        reason = found.get("reason")
        category = _category(found["category"], categories)
        return category, reason.strip() if isinstance(reason, str) else ""
    by_name = {name.casefold(): name for name in categories}
    words = re.findall(r"[\w-]+", text.casefold())
    named = {by_name[word] for word in words if word in by_name}
    # "It is not SALES but INFO" names two: nobody can tell which is meant.
    return (named.pop() if len(named) == 1 else None), text


def _object(text: str, key: str) -> dict[str, Any] | None:
    """Give the JSON object that a model wrote, alone or with words or a fence around it.

    :returns: ``None`` for a text that is no attempt at JSON.
    :raises OutcomeUnknown: for one that is, and failed: no customer is sent pieces of JSON.
    """
    decoder = json.JSONDecoder(strict=False)
    tried = bool(_JSON_BEGINS.match(text)) or ("{" in text and f'"{key}"' in text)
    for begins in _MEMBER_BEGINS.finditer(text) if tried else ():
        try:
            found, _ = decoder.raw_decode(text, begins.start())
        except ValueError:
            continue
        except RecursionError:
            break  # nor can the objects in it be the answer, and to try each takes seconds
        if key in found:
            return dict(found)
    if tried:
        raise plugin.OutcomeUnknown("the model's answer is JSON that cannot be read")
    return None


def _category(given: Any, categories: Sequence[str]) -> str | None:
    if not isinstance(given, str) or not given.strip():
        return None
    by_name = {name.casefold(): name for name in categories}
    return by_name.get(given.strip().casefold(), _OTHER if _OTHER in categories else None)


def _without_marks(text: str, ids: Sequence[str]) -> tuple[str, set[str]]:
    """Take ``[an id]`` out of a text that a customer is to read, and say which ids it named."""
    named: set[str] = set()

    def take(match: re.Match[str]) -> str:
        inside = {one.strip() for one in re.split(r"[,;]", match[1])}
        if not inside <= {*ids}:
            return match[0]
        named.update(inside)
        return ""

    return _BRACKETS.sub(take, text).strip(), named


def _proposals(
    calls: Any, tools: Iterable[plugin.Tool], log: plugin.Log
) -> Iterable[plugin.ProposedAction]:
    names = {tool.name for tool in tools}
    for call in calls if isinstance(calls, list) and names else ():
        function = call.get("function") if isinstance(call, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        arguments = function.get("arguments") if isinstance(function, dict) else None
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except (ValueError, RecursionError):
                arguments = None
        if name in names and isinstance(arguments, dict):
            yield plugin.ProposedAction(name, arguments)
        else:
            log.warning("a tool call that cannot be used was left out")


def _usage(given: Mapping[str, Any], model: str) -> plugin.Usage:
    counts = given.get("usage")
    counts = counts if isinstance(counts, dict) else {}
    named = given.get("model")
    return plugin.Usage(
        model=named if isinstance(named, str) and named else model,
        input_tokens=_count(counts.get("prompt_tokens")),
        output_tokens=_count(counts.get("completion_tokens")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _first(choices: Any) -> dict[str, Any] | None:
    one = choices[0] if isinstance(choices, list) and choices else None
    return one if isinstance(one, dict) else None
