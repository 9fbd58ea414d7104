"""The document that describes the API, and the page that shows it."""

from typing import Any

import jsonschema

from router.web.api.app import resources, scopes
from router.web.api.docs import page_of
from router.web.api.openapi import document
from tests.integration.web.api_site import ENDPOINTS, SQLITE, Site


@SQLITE
async def test_the_document_is_there_for_everybody(site: Site) -> None:
    async with site.daemon.client("203.0.113.7") as client:
        described = await client.get("/api/openapi.json")
        page = await client.get("/api/docs")
        head = await client.head("/api/docs")
        posted = await client.post("/api/docs")
        style = await client.get("/static/api.css")

    assert described.headers["content-type"] == "application/json"
    assert described.json() == document(resources(), "http://127.0.0.1:8000")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    (policy,) = page.headers.get_list("content-security-policy")
    assert policy.startswith("default-src 'none'; style-src 'self'; ")
    assert "script" not in policy
    assert (head.status_code, head.content) == (200, b"")
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
    assert style.status_code == 200


def test_the_document_describes_each_endpoint() -> None:
    described = document(resources(), "https://router.example")

    operations = {
        (method.upper(), path): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) == {(it.method, f"/api/v1{it.template}") for it in ENDPOINTS}
    ids = [operation["operationId"] for operation in operations.values()]
    assert len(set(ids)) == len(ids)
    for each in operations.values():
        assert each["summary"].endswith(".")
        assert {"400", "401", "403", "503"} <= set(each["responses"])
    assert described["openapi"] == "3.1.0"
    assert described["servers"] == [{"url": "https://router.example"}]
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert {it["x-scope"] for it in operations.values() if "x-scope" in it} <= set(scopes())


def test_each_reference_of_the_document_leads_somewhere() -> None:
    described = document(resources(), "https://router.example")

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [it for inner in value.values() for it in references(inner)]
        if isinstance(value, list):
            return [it for inner in value for it in references(inner)]
        return []

    for reference in set(references(described)):
        found: Any = described
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


def test_the_page_shows_each_endpoint_and_each_field() -> None:
    described = document(resources(), "https://router.example/<b>")

    page = page_of(described)

    for endpoint in ENDPOINTS:
        assert f'<details id="{endpoint.id}">' in page
        assert f"<code>/api/v1{endpoint.template}</code>" in page
    for name in described["components"]["schemas"]:
        assert f'<details id="schema-{name}">' in page
    assert "https://router.example/&lt;b&gt;" in page
    assert "<b>" not in page
    assert "None" not in page
