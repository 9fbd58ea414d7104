"""Rows: the templates of an account, as Meta lists them."""

from typing import Any
from urllib.parse import urlencode

import httpx

from router.plugin import OutcomeUnknown, Refused, TemplateInfo, Unavailable
from router.plugin.testing import Expected, ListTemplates
from router_whatsapp_cloud.conformance_sending import problem

ACCOUNT = "102290129340398"
_QUERY = {"fields": "name,language,status,category,rejected_reason,components", "limit": "100"}
_PLACE = f"https://graph.facebook.com/v25.0/{ACCOUNT}/message_templates"
URL = f"{_PLACE}?{urlencode(_QUERY)}"
AFTER = "QVFIUjE="
NEXT = f"{_PLACE}?{urlencode({**_QUERY, 'after': AFTER})}"
_TOKEN = {"Authorization": "Bearer token-of-nobody"}


def page(*templates: Any, after: str | None = None) -> httpx.Response:
    """Give a page as Meta answers it; the address of the next one is somebody else's here."""
    paging: dict[str, Any] = {"cursors": {"before": "QVFIUjA=", "after": after or "QVFIUjk="}}
    if after is not None:
        paging["next"] = f"https://evil.example/?access_token=token-of-nobody&after={after}"
    return httpx.Response(200, json={"data": list(templates), "paging": paging})


APPOINTMENT: dict[str, Any] = {
    "name": "cita",
    "parameter_format": "POSITIONAL",
    "components": [
        {"type": "HEADER", "format": "TEXT", "text": "Su cita"},
        {
            "type": "BODY",
            "text": "Hola {{1}}, lo esperamos el {{2}}.",
            "example": {"body_text": [["Ana", "lunes"]]},
        },
        {"type": "FOOTER", "text": "Responda BAJA para no recibir más"},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "QUICK_REPLY", "text": "Confirmar"},
                {"type": "PHONE_NUMBER", "text": "Llamar", "phone_number": "+573001234567"},
                {"type": "URL", "text": "Ver", "url": "https://shop.example/citas"},
            ],
        },
    ],
    "language": "es",
    "status": "APPROVED",
    "category": "UTILITY",
    "id": "600000000000001",
}
_CATALOG: dict[str, Any] = {
    "name": "catalogo",
    "parameter_format": "NAMED",
    "components": [
        {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["https://x"]}},
        {"type": "BODY", "text": "Olá {{nome}}!"},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "QUICK_REPLY", "text": "Não"},
                {"type": "URL", "text": "Ver", "url": "https://shop.example/{{1}}"},
            ],
        },
    ],
    "language": "pt_BR",
    "status": "REJECTED",
    "category": "MARKETING",
    "rejected_reason": "PROMOTIONAL",
    "id": "600000000000002",
}
LISTED = TemplateInfo(
    ref="cita/es",
    name="cita",
    language="es",
    status="approved",
    category="utility",
    variables=frozenset({"1", "2"}),
    aliases=frozenset({"cita"}),
)
_REJECTED = TemplateInfo(
    ref="catalogo/pt_BR",
    name="catalogo",
    language="pt_BR",
    status="rejected",
    category="marketing",
    variables=frozenset({"nome", "header.image", "button.2"}),
    reason="PROMOTIONAL",
)

LISTS = (
    ListTemplates(
        "every page, by its cursor",
        page(APPOINTMENT, after=AFTER),
        page(_CATALOG),
        expect=[LISTED, _REJECTED],
        requests=[
            Expected("GET", URL, headers=_TOKEN),
            Expected("GET", NEXT, headers=_TOKEN),
        ],
    ),
    ListTemplates("none", httpx.Response(200, json={"data": []}), expect=[]),
    ListTemplates(
        "a cursor that does not move",
        page(APPOINTMENT, after=AFTER),
        page(APPOINTMENT, after=AFTER),
        raises=OutcomeUnknown,
    ),
    ListTemplates(
        "further pages without a cursor",
        httpx.Response(200, json={"data": [], "paging": {"next": "https://evil.example"}}),
        raises=OutcomeUnknown,
        requests=[Expected("GET", URL)],
    ),
    ListTemplates("no list", httpx.Response(200, json={"data": {}}), raises=OutcomeUnknown),
    ListTemplates("no template", page("cita"), raises=OutcomeUnknown),
    ListTemplates("permission missing", problem(403, 200), raises=Refused(code="200")),
    ListTemplates(
        "asked too often", problem(400, 80008), raises=Unavailable(code="80008", retry_after=60.0)
    ),
)
