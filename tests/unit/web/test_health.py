import pytest

from tests.unit.web.world import FakeHost


@pytest.mark.parametrize(
    "missing, draining, status, body",
    [
        ([], False, 200, {"status": "ready", "because": []}),
        (["database"], False, 503, {"status": "not ready", "because": ["database"]}),
        ([], True, 503, {"status": "not ready", "because": ["draining"]}),
        (
            ["channels.whatsapp", "ai.assistant"],
            True,
            503,
            {"status": "not ready", "because": ["draining", "channels.whatsapp", "ai.assistant"]},
        ),
    ],
)
async def test_readiness_names_what_is_not_ready(
    missing: list[str], draining: bool, status: int, body: dict[str, object]
) -> None:
    host = FakeHost(missing=missing, draining=draining)
    async with host.client() as client:
        ready = await client.get("/health/ready")
        live = await client.get("/health/live")

    assert (ready.status_code, ready.json()) == (status, body)
    assert (live.status_code, live.json()["status"]) == (200, "live")
    assert ready.headers["cache-control"] == "no-store"
    assert ready.headers["content-type"] == "application/json"


@pytest.mark.parametrize("missing, status", [([], 200), (["channels.whatsapp"], 503)])
async def test_readiness_says_where_nothing_leaves_for_now(missing: list[str], status: int) -> None:
    async with FakeHost(missing=missing, failing=["channels.sms"]).client() as client:
        response = await client.get("/health/ready")

    assert response.status_code == status
    assert response.json()["breakers_open"] == ["channels.sms"]


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("HEAD", "/health/live", 200),
        ("HEAD", "/health/ready", 200),
        ("POST", "/health/live", 405),
        ("GET", "/health/", 404),
        ("GET", "/health/live/", 404),
        ("GET", "/health", 404),
    ],
)
async def test_other_questions_about_health(method: str, path: str, status: int) -> None:
    async with FakeHost().client() as client:
        response = await client.request(method, path)

    assert response.status_code == status
    if method == "HEAD":
        assert response.content == b""
