"""The templates of an account, with their approval, by Twilio's Content API.

https://www.twilio.com/docs/content/content-api-resources#fetch-content-and-approval-status
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from router import plugin
from router_twilio.config import TwilioConfig
from router_twilio.errors import failure

if TYPE_CHECKING:
    import httpx

_PATH = "/v1/ContentAndApprovals"
_PAGE_SIZE = "500"
_MOST_PAGES = 20
#: Types that need approval even within the 24 hours after the customer's last message.
#: https://www.twilio.com/docs/content/content-types-overview
_ALWAYS_APPROVED = frozenset(
    (
        "twilio/call-to-action",
        "twilio/card",
        "twilio/carousel",
        "whatsapp/card",
        "whatsapp/authentication",
    )
)
_PLACES = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")


async def list_templates(
    http: "httpx.AsyncClient", config: TwilioConfig, now: datetime
) -> list[plugin.TemplateInfo]:
    """List every template of the account.

    :raises ProviderError: if Twilio cannot be asked, or its answer does not tell.
    """
    url, query = f"{config.content_url}{_PATH}", {"PageSize": _PAGE_SIZE}
    found: list[plugin.TemplateInfo] = []
    for _ in range(_MOST_PAGES):
        response = await http.get(url, params=query or None, auth=config.credentials)
        error = failure(response, now, config.secrets)
        if error is not None:
            raise error
        page = _page(response)
        found += [_template(one) for one in page["contents"] if isinstance(one, dict)]
        following = (page.get("meta") or {}).get("next_page_url")
        if not following:
            return found
        # The credentials go to nobody else.
        if not isinstance(following, str) or not following.startswith(config.content_url + "/v1/"):
            raise plugin.OutcomeUnknown("Twilio's list of templates goes on at a strange address")
        url, query = following, {}
    raise plugin.OutcomeUnknown("Twilio lists more templates than can be read")


def _page(response: "httpx.Response") -> dict[str, Any]:
    try:
        page = json.loads(response.content)
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, dict) or not isinstance(page.get("contents"), list):
        raise plugin.OutcomeUnknown("Twilio answered something else than a list of templates")
    meta = page.get("meta")
    if meta is not None and not isinstance(meta, dict):
        raise plugin.OutcomeUnknown("Twilio answered something else than a list of templates")
    return page


def _template(listed: Mapping[str, Any]) -> plugin.TemplateInfo:
    approval = listed.get("approval_requests")
    approval = approval if isinstance(approval, dict) else {}
    variables = listed.get("variables")
    # The defaults may leave some out; what stands in the text counts as well.
    places = _PLACES.findall(json.dumps(listed.get("types") or {}, ensure_ascii=False))
    named = variables if isinstance(variables, dict) else {}
    types = listed.get("types")
    return plugin.TemplateInfo(
        ref=_text(listed, "sid"),
        name=_text(approval, "name") or _text(listed, "friendly_name"),
        language=_text(listed, "language"),
        status=_text(approval, "status").lower() or "unsubmitted",
        category=_text(approval, "category").lower(),
        variables=frozenset({*places, *map(str, named)}),
        reason=_text(approval, "rejection_reason"),
        # The richest of several types is what is sent, so one that needs it is enough.
        in_window=isinstance(types, dict)
        and bool(types)
        and types.keys().isdisjoint(_ALWAYS_APPROVED),
    )


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""
