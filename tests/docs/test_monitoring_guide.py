"""config/MONITORING.md names every number, with its labels."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pytest_httpserver import HTTPServer

from router.data import data_path
from router.metrics import Counter, Metrics
from tests.integration.web.daemon import Daemon, running
from tests.integration.web.test_poller_numbers import config, until

GUIDE = data_path("config", "MONITORING.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """Give the cells of the first table below a heading, without its head."""
    section = GUIDE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]


def names(cell: str) -> list[str]:
    return re.findall(r"`([a-z_]+)`", cell)


def shape(value: Any) -> Any:
    """Give the keys of JSON, and where they stand."""
    return {key: shape(inner) for key, inner in value.items()} if isinstance(value, dict) else None


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path) as daemon:
        yield daemon


@pytest.fixture
async def polling(tmp_path: Path, httpserver: HTTPServer) -> AsyncIterator[Daemon]:
    """A router with a channel whose poller has been at work."""
    async with running(tmp_path, config=config(httpserver, "main")) as daemon:
        await until(daemon, lambda it: it["failures"] > 0)
        yield daemon


async def test_every_metric_has_its_row_and_no_row_is_left_over(polling: Daemon) -> None:
    written = {names(name)[0]: names(labels) for name, labels, _ in table("`/metrics`")}
    counted = {
        f"{family.name}_total" if isinstance(family, Counter) else family.name: [*family.labels]
        for family in Metrics().families()
    }
    async with polling.client() as client:
        text = (await client.get("/metrics")).text
    gauges = {
        sample.name: sorted(sample.labels)
        for family in text_string_to_metric_families(text)
        if family.type == "gauge" and family.name.startswith("router_")
        for sample in family.samples
    }

    assert {name: sorted(labels) for name, labels in written.items()} == {
        **{name: sorted(labels) for name, labels in counted.items()},
        **gauges,
    }


async def test_numbers_have_the_documented_shape(daemon: Daemon) -> None:
    written = re.search(r"^```json\n(.*?)^```$", GUIDE, flags=re.DOTALL | re.MULTILINE)
    assert written is not None
    documented = json.loads(written[1])
    async with daemon.client() as client:
        await client.post("/hooks/phone", json={"id": "1", "from": "+573001234567", "text": "a"})
        answer = (await client.get("/api/v1/stats")).json()

    for open_ended in ("events", "decisions", "outbox", "ai"):
        documented.pop(open_ended)
        assert isinstance(answer.pop(open_ended), dict)
    assert shape(answer) == shape(documented)
    assert list(answer) == list(documented)


async def test_every_check_of_the_self_test_has_its_row(daemon: Daemon) -> None:
    async with daemon.client() as client:
        answer = (await client.get("/hooks/phone/test")).json()

    written = [names(row[0])[0] for row in table("`/hooks/{channel}/test`")]
    assert [check["check"] for check in answer["checks"]] == written


def test_alerts_use_metrics_that_exist() -> None:
    written = {names(name)[0] for name, _, _ in table("`/metrics`")}
    alerts = GUIDE.split("```yaml", 1)[1].split("```", 1)[0]
    used = set(re.findall(r"\brouter_[a-z_]+\b", alerts))

    assert used
    assert used <= written
