"""ElevenLabs's API as far as calls are looked up in it. One question each, never repeated here."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)

from router import plugin
from router_elevenlabs_calls.config import ApiConfig
from router_elevenlabs_calls.conversations import Conversation

if TYPE_CHECKING:
    import httpx

Read = TypeVar("Read", bound=BaseModel)

#: The most that one page may have.
PAGE = 100
#: The status of what was deleted.
GONE = "404"
#: The status of a key that opens nothing.
_NO_KEY = "401"
#: What a question ends with that may be answered later.
LATER = (plugin.Unavailable, plugin.OutcomeUnknown)


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


def _readable(model: type[BaseModel], entries: Any, info: ValidationInfo[plugin.Log]) -> Any:
    """Leave out of a listing what cannot be read: it must not hide the others.

    Where there are others, and none can be read, the listing itself is another than we know.
    """
    if not isinstance(entries, list):
        return entries
    found = []
    for entry in entries:
        try:
            found.append(model.model_validate(entry, context=info.context))
        except ValidationError as error:
            info.context.warning("entry of a listing not read", reason=_where(error))
    return found if found or len(entries) < 2 else entries


class Listed(_Model):
    """A conversation in a listing."""

    conversation_id: str = Field(min_length=1, max_length=200)
    start_time_unix_secs: int = 0
    status: str = ""


class Page(_Model):
    """A page of conversations, the newest first."""

    conversations: Annotated[Sequence[Listed], BeforeValidator(partial(_readable, Listed))] = ()
    next_cursor: str | None = None
    has_more: bool = False


class Recipient(_Model):
    """Somebody of a batch."""

    status: str = ""
    updated_at_unix: int = 0
    conversation_id: str | None = None


class Batch(_Model):
    """A batch; its recipients only where it was asked for by its id."""

    id: str = Field(min_length=1, max_length=200)
    name: str = ""
    agent_id: str | None = None
    status: str = ""
    last_updated_at_unix: int = 0
    recipients: Annotated[Sequence[Recipient], BeforeValidator(partial(_readable, Recipient))] = ()


class Batches(_Model):
    """A page of batches."""

    batch_calls: Annotated[Sequence[Batch], BeforeValidator(partial(_readable, Batch))] = ()
    next_doc: str | None = None
    has_more: bool = False


async def ask(
    http: "httpx.AsyncClient",
    config: ApiConfig,
    path: str,
    **query: str | int,
) -> Any:
    """Ask once; give the JSON.

    :raises ProviderError: for anything but an answer of ElevenLabs's.
    """
    response = await http.get(config.url(path), params=query, headers=config.headers)
    raise_for_answer(response, config)
    return _json(response)


def raise_for_answer(response: "httpx.Response", config: ApiConfig) -> None:
    """Raise what a status means, with what ElevenLabs says of it where it does.

    Three shapes of errors are known: a list of mistakes, a table with a message, and a text.
    """
    try:
        plugin.raise_for_status(response)
    except plugin.ProviderError as error:
        words = _words(response, config.secrets)
        if words and isinstance(error, plugin.Refused):
            raise plugin.Refused(f"{error.reason}: {words}", code=error.code) from None
        raise


async def readable(
    context: plugin.PluginContext, config: ApiConfig, name: str
) -> Conversation | None:
    """Give a conversation with all that was said; ``None`` for one that is gone, or unreadable.

    Such a one must not hide those behind it.

    :raises Unavailable: it may be readable later.
    :raises OutcomeUnknown: so may this one.
    :raises Refused: nothing is readable, because the key is not accepted.
    """
    try:
        values = await ask(context.http, config, f"conversations/{name}")
        return Conversation.model_validate(values)
    except ValidationError as error:
        reason = type(error).__name__
    except Exception as error:  # noqa: BLE001 - whatever it is, it is about this one
        meaning = plugin.classify(error)
        if isinstance(meaning, LATER) or meaning.code == _NO_KEY:
            raise meaning from None
        reason = "it is gone" if meaning.code == GONE else meaning.reason
    context.log.warning("call not read", call=name, reason=reason)
    return None


async def listing(
    context: plugin.PluginContext,
    config: ApiConfig,
    agent: str,
    *,
    after: int,
    cursor: str | None,
) -> Page:
    """Give a page of an agent's calls that began after a moment."""
    query: dict[str, str | int] = {
        "agent_id": agent,
        "call_start_after_unix": after,
        "page_size": PAGE,
        "text_only": "false",
    }
    if cursor is not None:
        query["cursor"] = cursor
    return _read(Page, await ask(context.http, config, "conversations", **query), context)


async def batches(
    context: plugin.PluginContext, config: ApiConfig, last: str | None = None
) -> Batches:
    """Give a page of the workspace's batches."""
    query: dict[str, str | int] = {"limit": PAGE}
    if last is not None:
        query["last_doc"] = last
    return _read(
        Batches, await ask(context.http, config, "batch-calling/workspace", **query), context
    )


async def batch(context: plugin.PluginContext, config: ApiConfig, name: str) -> Batch:
    """Give a batch with its recipients."""
    return _read(Batch, await ask(context.http, config, f"batch-calling/{name}"), context)


def _read(model: type[Read], values: Any, context: plugin.PluginContext) -> Read:
    try:
        return model.model_validate(values, context=context.log)
    except ValidationError as error:
        where = _where(error)
        raise plugin.OutcomeUnknown(
            f"ElevenLabs answered something else than expected, at {where}. Correct base_url"
        ) from None


def _where(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return ".".join(map(str, first["loc"])) or "all of it"


def _json(response: "httpx.Response") -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        raise plugin.OutcomeUnknown(
            f"{response.request.url.host} does not answer as ElevenLabs does. Correct base_url"
        ) from None


def _words(response: "httpx.Response", secrets: Iterable[str]) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    if isinstance(detail, Mapping):
        detail = detail.get("message") or detail.get("status")
    if isinstance(detail, list):
        said = [it.get("msg") for it in detail if isinstance(it, Mapping)]
        detail = "; ".join(each for each in said if isinstance(each, str))
    if not isinstance(detail, str):
        return ""
    for secret in secrets:
        detail = detail.replace(secret, "***")
    return " ".join(detail.split())[:300]
