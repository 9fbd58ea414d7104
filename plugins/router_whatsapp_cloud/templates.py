"""The templates of a WhatsApp Business account, with their approval.

https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account/message_templates
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from router import plugin
from router_whatsapp_cloud.config import WhatsAppCloudConfig
from router_whatsapp_cloud.errors import failure

if TYPE_CHECKING:
    import httpx

_FIELDS = "name,language,status,category,rejected_reason,components"
_PAGE_SIZE = "100"
_MOST_PAGES = 100
#: Codes of a refusal that mean: this account is not to be seen with this token.
_NOT_SEEN = frozenset({"3", "10", "33", "100", "200"})
_PLACES = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
#: Parts and buttons that take values with each message, whatever they look like.
_FILLED_PARTS = frozenset({"CAROUSEL", "LIMITED_TIME_OFFER"})
_FILLED_BUTTONS = frozenset({"OTP", "COPY_CODE", "MPM"})


async def list_templates(
    http: "httpx.AsyncClient", config: WhatsAppCloudConfig
) -> list[plugin.TemplateInfo]:
    """List every template of the account.

    Further pages are asked for by their cursor. The address that Meta gives for them is not gone
    to: it holds the access token, and could be anybody's.

    :raises ProviderError: if Meta cannot be asked, or its answer does not tell.
    """
    found: list[plugin.TemplateInfo] = []
    query = {"fields": _FIELDS, "limit": _PAGE_SIZE}
    for _ in range(_MOST_PAGES):
        response = await http.get(config.templates_url, params=query, headers=config.authorization)
        error = failure(response, config.secrets)
        if error is not None:
            raise _named(error)
        page = _page(response)
        found += [_template(one, config) for one in page["data"]]
        after = _next(page)
        if after is None:
            return found
        if after == query.get("after"):
            raise plugin.OutcomeUnknown("Meta's list of templates goes round in a circle")
        query = {**query, "after": after}
    raise plugin.OutcomeUnknown("Meta lists more templates than can be read")


def _named(error: plugin.ProviderError) -> plugin.ProviderError:
    """Name the setting and the permission that count for this call, and for no other."""
    if isinstance(error, plugin.Refused) and error.code in _NOT_SEEN:
        return plugin.Refused(
            "Meta does not show the templates of business_account_id. Correct it, or give the "
            "system user of access_token the account and whatsapp_business_management",
            code=error.code,
        )
    return error


def _page(response: "httpx.Response") -> dict[str, Any]:
    try:
        page = json.loads(response.content)
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        raise plugin.OutcomeUnknown("Meta answered something else than a list of templates")
    return page


def _next(page: Mapping[str, Any]) -> str | None:
    """Give the cursor of what comes after a page; ``None`` after the last."""
    paging = _table(page.get("paging"))
    if not paging.get("next"):
        return None
    after = _table(paging.get("cursors")).get("after")
    if not isinstance(after, str) or not after:
        raise plugin.OutcomeUnknown("Meta does not tell where its list of templates goes on")
    return after


def _template(listed: object, config: WhatsAppCloudConfig) -> plugin.TemplateInfo:
    values = _table(listed)
    name, language = _text(values, "name"), _text(values, "language")
    status = _text(values, "status").lower()
    if not (name and language and status):
        raise plugin.OutcomeUnknown("Meta lists a template without name, language or status")
    reason = _text(values, "rejected_reason")
    return plugin.TemplateInfo(
        ref=f"{name}/{language}",
        name=name,
        language=language,
        status=status,
        category=_text(values, "category").lower(),
        variables=frozenset(_variables(values.get("components"))),
        reason="" if reason == "NONE" else reason,
        aliases=frozenset({name} if language == config.template_language else ()),
    )


def _variables(components: object) -> Iterator[str]:
    """Give what is filled in with each message.

    What stands outside the text gets a name that no rule can give, such as
    ``header.image``: this channel fills in the text alone, and Meta would refuse the message.
    """
    for one in components if isinstance(components, list) else ():
        part = _table(one)
        kind, text = _text(part, "type").upper(), _text(part, "text")
        if kind == "BODY":
            yield from _PLACES.findall(text)
        elif kind == "HEADER":
            if (what := _text(part, "format").upper()) not in {"", "TEXT"}:
                yield f"header.{what.lower()}"
            yield from (f"header.{name}" for name in _PLACES.findall(text))
        elif kind == "BUTTONS":
            yield from _buttons(part.get("buttons"))
        elif kind in _FILLED_PARTS:
            yield f"part.{kind.lower()}"


def _buttons(buttons: object) -> Iterator[str]:
    for number, one in enumerate(buttons if isinstance(buttons, list) else (), 1):
        button = _table(one)
        if _text(button, "type").upper() in _FILLED_BUTTONS or _PLACES.search(_text(button, "url")):
            yield f"button.{number}"


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""
