"""The templates of an account, as Twilio's Content API lists them."""

import httpx

from router import plugin
from router.plugin.testing import Expected, ListTemplates

URL = "https://content.twilio.com/v1/ContentAndApprovals?PageSize=500"
NEXT = f"{URL}&Page=1&PageToken=x"


def _page(*contents: object, following: str | None = None) -> httpx.Response:
    meta = {"page": 0, "page_size": 500, "next_page_url": following, "key": "contents"}
    return httpx.Response(200, json={"contents": list(contents), "meta": meta})


_FOLLOW_UP = {
    "sid": "HX00000000000000000000000000000001",
    "account_sid": "AC00000000000000000000000000000001",
    "friendly_name": "Seguimiento",
    "language": "es",
    "variables": {"1": "Ana"},
    "types": {"twilio/text": {"body": "Hola {{1}}. Hablamos de: {{2}}"}},
    "approval_requests": {
        "name": "seguimiento",
        "category": "UTILITY",
        "content_type": "twilio/text",
        "status": "approved",
        "rejection_reason": "",
        "allow_category_change": True,
    },
}
_CARD = {
    "sid": "HX00000000000000000000000000000002",
    "friendly_name": "tarjeta",
    "language": "pt_BR",
    "variables": {},
    "types": {"twilio/card": {"title": "Oferta"}},
    "approval_requests": {
        "name": "tarjeta",
        "category": "MARKETING",
        "status": "rejected",
        "rejection_reason": "promotional",
    },
}
_LISTED = plugin.TemplateInfo(
    ref="HX00000000000000000000000000000001",
    name="seguimiento",
    language="es",
    status="approved",
    category="utility",
    variables=frozenset({"1", "2"}),
    in_window=True,
)
_REJECTED = plugin.TemplateInfo(
    ref="HX00000000000000000000000000000002",
    name="tarjeta",
    language="pt_BR",
    status="rejected",
    category="marketing",
    reason="promotional",
)

LISTS = (
    ListTemplates(
        "every page",
        _page(_FOLLOW_UP, following=NEXT),
        _page(_CARD),
        expect=[_LISTED, _REJECTED],
        requests=[Expected("GET", URL), Expected("GET", NEXT)],
    ),
    ListTemplates("none", _page(), expect=[]),
    ListTemplates(
        "an address that is somebody else's",
        _page(_FOLLOW_UP, following="https://evil.example/v1/ContentAndApprovals"),
        raises=plugin.OutcomeUnknown,
    ),
    ListTemplates(
        "no list", httpx.Response(200, json={"contents": 1}), raises=plugin.OutcomeUnknown
    ),
)
