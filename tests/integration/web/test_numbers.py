"""/api/v1/stats and /metrics of a whole router, after a customer was answered."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.web.daemon import CONFIG, Daemon, running

SECRET = "s3cret-of-the-pager"
PAGER = """
[actions.pager]
type = "webhook"
url = "http://127.0.0.1:1/nobody-listens-here"
secret = { env = "PAGER_SECRET" }

[queues.billing]

[queues.support]

[queues.legal]
notify = ["pager"]
"""


@pytest.fixture
async def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Daemon]:
    monkeypatch.setenv("PAGER_SECRET", SECRET)
    async with running(tmp_path, config=CONFIG + PAGER) as daemon:
        yield daemon


async def say(client: httpx.AsyncClient, id: str, text: str, path: str = "phone") -> httpx.Response:
    body = {"id": id, "from": "+573001234567", "text": text}
    return await client.post(f"/hooks/{path}", json=body)


async def until(daemon: Daemon, **events: int) -> None:
    """Wait until so many decisions of each outcome are on disk, and nothing is left to send."""
    with anyio.fail_after(40):
        while True:
            answer = await stats(daemon)
            settled = set(answer["outbox"].get("message", {})) <= {"done"}
            if answer["decisions"] == events and settled:
                return
            await anyio.sleep(0.02)


async def stats(daemon: Daemon, **query: str) -> dict[str, Any]:
    async with daemon.client() as fresh:  # a fresh app keeps no answers
        response = await fresh.get("/api/v1/stats", params=query)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def scrape(client: httpx.AsyncClient, **headers: str) -> dict[tuple[str, ...], float]:
    """Give every sample by its name and the values of its labels."""
    response = await client.get("/metrics", headers=headers)
    assert response.status_code == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_numbers_of_a_day(daemon: Daemon) -> None:
    async with daemon.client() as client:
        await say(client, "1", "¿Cuál es el horario?")
        await say(client, "1", "¿Cuál es el horario?")
        await until(daemon, reply=1)
        await say(client, "2", "¿Cuánto tarda un envío?")
        await until(daemon, reply=2)
        await say(client, "3", "mi abogado les escribirá")
        await until(daemon, reply=2, escalate=1)
        await say(client, "4", "horario", path="clinica/telefono")
        await until(daemon, reply=3, escalate=1)

    everything, clinic = await stats(daemon), await stats(daemon, tenant="clinica")
    recent, nothing = await stats(daemon, since="1h"), await stats(daemon, since="0s")

    assert everything["conversations"] == 2
    assert (everything["active"], everything["escalated"], everything["closed"]) == (1, 1, 0)
    assert everything["messages_in"] == 4
    assert everything["messages"] == everything["messages_in"] + everything["messages_out"]
    assert everything["averages"]["messages_in"] == 2.0
    assert everything["decisions"] == {"reply": 3, "escalate": 1}
    assert everything["events"]["message"] == {"reply": 3, "escalate": 1}
    assert everything["ai"]["assistant"]["calls"] == 1
    assert everything["open"]["escalations"] == 1
    assert everything["open"]["drafts"] == 0
    queue = everything["queue"]
    assert set(queue) == {"waiting", "active", "completed", "failed", "late", "parked"}
    assert (queue["failed"], queue["late"], queue["parked"]) == (0, 0, 0)
    assert queue["waiting"] + queue["active"] == 1  # the pager, which nobody answers
    assert (clinic["tenant"], clinic["conversations"], clinic["messages_in"]) == ("clinica", 1, 1)
    assert recent["decisions"] == everything["decisions"]
    assert (nothing["conversations"], nothing["averages"]["messages"]) == (0, None)
    assert nothing["lanes"] == everything["lanes"]


async def test_what_the_process_counted_is_scraped(daemon: Daemon) -> None:
    async with daemon.client() as client:
        await say(client, "1", "¿Cuál es el horario?")
        await say(client, "1", "¿Cuál es el horario?")
        await say(client, "2", "¿Cuánto tarda un envío?")
        await client.get("/hooks/nobody")
        await until(daemon, reply=2)
        found = await scrape(client)

    for name, value in [
        (("router_webhooks_total", "phone", "200", "main"), 3),
        (("router_webhooks_total", "", "404", ""), 1),
        (("router_duplicates_total", "phone", "main"), 1),
        (("router_intake_seconds_count", "phone", "main"), 3),
        (("router_decisions_total", "reply", "main"), 2),
        (("router_events_total", "reply", "main", "message"), 1),
        (("router_events_total", "reply", "main", "answer"), 1),
        (("router_events_total", "asking", "main", "message"), 1),
        (("router_decided_seconds_count", "reply", "main"), 2),
        (("router_attempts_total", "phone", "message", "done", "main"), 2),
        (("router_attempt_seconds_count", "phone", "message", "main"), 2),
        (("router_sent_seconds_count", "phone", "main"), 2),
        (("router_ai_calls_total", "assistant", "done", "main"), 1),
        (("router_ai_seconds_count", "assistant", "main"), 1),
        (("router_instance_up", "simulator", "channels.phone"), 1),
        (("router_instance_up", "simulator", "clinica/channels.telefono"), 1),
        (("router_instance_trouble", "simulator", "channels.phone"), 0),
        (("router_ready",), 1),
        (("router_draining",), 0),
        (("router_database_trouble",), 0),
        (("router_outbox", "waiting", "main"), 0),
        (("router_lanes", "in", "late", "main"), 0),
        (("router_open", "main", "escalations"), 0),
        (("router_settings_info", daemon.router.settings.hash), 1),
    ]:
        assert (name, found.get(name)) == (name, value)
    assert found["router_sent_seconds_sum", "phone", "main"] > 0
    assert any(name[0] == "process_resident_memory_bytes" for name in found)


async def test_provider_that_is_away_is_counted_by_its_code(daemon: Daemon) -> None:
    async with daemon.client() as client:
        await say(client, "1", "mi abogado les escribirá")
        with anyio.fail_after(40):
            while True:
                found = await scrape(client)
                errors = found.get(
                    ("router_provider_errors_total", "none", "pager", "action", "main")
                )
                if errors:
                    break
                await anyio.sleep(0.02)

    assert found["router_attempts_total", "pager", "action", "waiting", "main"] == errors


async def test_neither_has_a_secret_or_a_customer_in_it(daemon: Daemon) -> None:
    async with daemon.client() as client:
        await say(client, "1", "mi abogado les escribirá")
        await until(daemon, escalate=1)
        texts = [(await client.get(path)).text for path in ("/metrics", "/api/v1/stats")]

    for text in texts:
        for private in (SECRET, "573001234567", "abogado", str(daemon.router.settings.path)):
            assert private not in text


async def test_prometheus_may_ask_for_openmetrics(daemon: Daemon) -> None:
    async with daemon.client() as client:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        response = await client.get("/metrics", headers=accept)
        head = await client.head("/metrics")

    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path, content_type",
    [("/metrics", "text/plain; charset=utf-8"), ("/api/v1/stats", "application/problem+json")],
)
async def test_strangers_are_refused(daemon: Daemon, path: str, content_type: str) -> None:
    async with daemon.client("203.0.113.7") as stranger:
        refused = await stranger.get(path)
        posted = await stranger.post(path)

    assert (refused.status_code, posted.status_code) == (403, 405)
    assert refused.headers["content-type"] == content_type
    assert posted.headers["allow"] == "GET, HEAD"


async def test_metrics_may_be_public(tmp_path: Path) -> None:
    config = CONFIG + '\n[server]\nmetrics = "public"\n'
    async with running(tmp_path, config=config) as daemon, daemon.client("203.0.113.7") as client:
        metrics = await client.get("/metrics")
        numbers = await client.get("/api/v1/stats")

    assert (metrics.status_code, numbers.status_code) == (200, 403)


@pytest.mark.parametrize(
    "path, status, detail",
    [
        ("/api/v1/stats?tenant=nobody", 404, "There is no such tenant in router.toml."),
        (
            "/api/v1/stats?since=yesterday",
            400,
            'since must be a duration such as "15s", "2m", "24h" or "7d".',
        ),
        ("/api/v1/other", 404, "The API has no such path."),
        ("/api/", 404, "The API has no such path."),
    ],
)
async def test_mistakes_are_told_as_problems(
    daemon: Daemon, path: str, status: int, detail: str
) -> None:
    async with daemon.client() as client:
        response = await client.get(path)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = json.loads(response.text)
    assert (problem["status"], problem["detail"]) == (status, detail)
    assert problem["title"]


async def test_label_that_needs_escaping_is_escaped(daemon: Daemon) -> None:
    code = 'a "quoted"\nline \\ñ'
    daemon.router.metrics.provider_errors.count("main", "message", "phone", code)
    async with daemon.client() as client:
        found = await scrape(client)

    assert found["router_provider_errors_total", code, "phone", "message", "main"] == 1


async def test_a_breaker_that_is_open_is_seen_everywhere(daemon: Daemon) -> None:
    pager = daemon.router.configuration.instances.actions["pager"]
    pager.breaker.after = 1
    async with daemon.client() as client:
        await say(client, "1", "mi abogado les escribirá")
        with anyio.fail_after(40):
            while True:
                opened = (await stats(daemon))["breakers"]
                if opened:
                    break
                await anyio.sleep(0.02)
        found = await scrape(client)
        ready = await client.get("/health/ready")

    assert [(it["tenant"], it["instance"]) for it in opened] == [("main", "actions.pager")]
    assert found["router_breaker_open", pager.kind, "actions.pager"] == 1
    assert found["router_breaker_open", "simulator", "channels.phone"] == 0
    assert found["router_breakers_opened_total", pager.kind, "pager", "main"] == 1
    assert (ready.status_code, ready.json()["breakers_open"]) == (200, ["actions.pager"])
    status = daemon.router.status()
    assert "actions.pager fails: circuit breaker open" in status["trouble"]
    (shown,) = [it for it in status["instances"] if it["name"] == "actions.pager"]
    assert shown["breaker"]["error"] == opened[0]["error"]
