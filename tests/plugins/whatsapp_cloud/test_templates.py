"""Templates are listed by Meta's Graph API, page by page, with their approval."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from router.plugin import OutcomeUnknown, ProviderError, Refused, TemplateInfo
from router.plugin.testing import FakeContext
from router.rules.definitions import PLACES
from router_whatsapp_cloud import WhatsAppCloud, WhatsAppCloudConfig
from router_whatsapp_cloud.conformance_templates import ACCOUNT, APPOINTMENT, LISTED, page


async def ask(*replies: httpx.Response, **changes: Any) -> tuple[Any, list[httpx.URL]]:
    secret = SecretStr("secret-of-nobody")
    values = {"business_account_id": ACCOUNT, "access_token": secret, "app_secret": secret}
    config = WhatsAppCloudConfig.model_validate(
        {"phone_number_id": "1", "verify_token": secret, **values, **changes}
    )
    async with FakeContext(*replies) as context:
        outcome: Any
        try:
            outcome = await WhatsAppCloud(config, context).templates()
        except ProviderError as error:
            outcome = error
        asked = context.requests
        assert all(it.headers["Authorization"] == "Bearer secret-of-nobody" for it in asked)
        assert all("secret" not in str(it.url) for it in asked)
        return outcome, [it.url for it in asked]


async def infos(*templates: Any, **changes: Any) -> list[TemplateInfo]:
    outcome, _ = await ask(page(*templates), **changes)
    assert isinstance(outcome, list)
    return outcome


BODY = {"type": "BODY", "text": "Hola {{1}}"}


@pytest.mark.parametrize(
    "components, variables",
    [
        ([BODY], {"1"}),
        ([{"type": "body", "text": "Hola {{ nombre_de_pila }} {{2}}"}], {"nombre_de_pila", "2"}),
        ([BODY, {"type": "HEADER", "format": "TEXT", "text": "Cita {{1}}"}], {"1", "header.1"}),
        ([{"type": "HEADER", "format": "DOCUMENT"}], {"header.document"}),
        ([{"type": "HEADER", "format": "LOCATION"}], {"header.location"}),
        ([{"type": "HEADER", "text": "sin formato"}], set()),
        ([{"type": "BUTTONS", "buttons": [{"type": "FLOW", "text": "Abrir"}]}], set()),
        ([{"type": "BUTTONS", "buttons": [{"type": "COPY_CODE"}]}], {"button.1"}),
        ([{"type": "BUTTONS", "buttons": [None, {"type": "OTP"}]}], {"button.2"}),
        ([{"type": "BUTTONS", "buttons": "x"}], set()),
        ([{"type": "CAROUSEL", "cards": []}], {"part.carousel"}),
        ([{"type": "LIMITED_TIME_OFFER"}], {"part.limited_time_offer"}),
        ([None, {"type": 1, "text": 2}, {"type": "BODY"}], set()),
        (None, set()),
    ],
)
async def test_a_rule_can_fill_in_the_text_and_nothing_else(
    components: list[Any] | None, variables: set[str]
) -> None:
    (found,) = await infos({**APPOINTMENT, "components": components})

    assert found.variables == variables
    unnameable = {name for name in variables if not PLACES.fullmatch("{{" + name + "}}")}
    assert unnameable == {name for name in variables if "." in name}


@pytest.mark.parametrize("status", ["PENDING", "PAUSED", "DISABLED", "IN_APPEAL", "new word"])
async def test_what_is_not_approved_keeps_metas_word_for_it(status: str) -> None:
    (found,) = await infos({**APPOINTMENT, "status": status, "rejected_reason": "NONE"})

    assert found.status == status.lower()
    assert not found.is_approved
    assert not found.in_window
    assert found.reason == ""


async def test_the_bare_name_is_the_template_of_the_default_language() -> None:
    argentine = {**APPOINTMENT, "language": "es_AR"}

    default = await infos(APPOINTMENT, argentine)
    chosen = await infos(APPOINTMENT, argentine, template_language="es_AR")

    assert [(it.ref, it.aliases) for it in default] == [
        ("cita/es", frozenset({"cita"})),
        ("cita/es_AR", frozenset()),
    ]
    assert [it.aliases for it in chosen] == [frozenset(), frozenset({"cita"})]


async def test_further_pages_are_asked_for_at_our_own_address() -> None:
    outcome, asked = await ask(
        page(APPOINTMENT, after="a&b="), page(APPOINTMENT, after="c"), page()
    )

    assert outcome == [LISTED, LISTED]
    assert {it.host for it in asked} == {"graph.facebook.com"}
    assert [it.params.get("after") for it in asked] == [None, "a&b=", "c"]
    assert {it.params["limit"] for it in asked} == {"100"}


async def test_a_list_without_end_is_given_up() -> None:
    endless = [page(after=str(number)) for number in range(100)]

    outcome, asked = await ask(*endless)

    assert isinstance(outcome, OutcomeUnknown)
    assert len(asked) == 100


@pytest.mark.parametrize(
    "reply, error, words",
    [
        (
            httpx.Response(400, json={"error": {"code": 100, "message": "not there"}}),
            Refused,
            "business_account_id. Correct it, or give",
        ),
        (
            httpx.Response(401, json={"error": {"code": 190, "message": "expired"}}),
            Refused,
            "access token not accepted",
        ),
        (httpx.Response(200, content=b"<html>"), OutcomeUnknown, "something else than a list"),
        (httpx.Response(200, content=b"[" * 100_000), OutcomeUnknown, "something else than"),
        (page({**APPOINTMENT, "status": None}), OutcomeUnknown, "without name, language or"),
        (page({**APPOINTMENT, "language": ""}), OutcomeUnknown, "without name, language or"),
        (
            httpx.Response(200, json={"data": [], "paging": {"next": "x", "cursors": []}}),
            OutcomeUnknown,
            "where its list of templates goes on",
        ),
    ],
)
async def test_what_does_not_tell_is_an_error(
    reply: httpx.Response, error: type[ProviderError], words: str
) -> None:
    outcome, asked = await ask(reply)

    assert isinstance(outcome, error)
    assert words in str(outcome)
    assert "secret-of-nobody" not in str(outcome)
    assert len(asked) == 1


@pytest.mark.parametrize("account, lists", [(None, False), (ACCOUNT, True)])
def test_nothing_is_listed_where_no_account_is_named(account: str | None, lists: bool) -> None:
    secret = SecretStr("secret-of-nobody")
    config = WhatsAppCloudConfig(
        phone_number_id="1",
        access_token=secret,
        app_secret=secret,
        verify_token=secret,
        business_account_id=account,
    )

    assert WhatsAppCloud(config, FakeContext()).capabilities.lists_templates is lists
