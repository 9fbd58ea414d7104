from datetime import UTC, datetime, timedelta

import pytest

from router.metrics import LIMIT, OTHER, Counter, Histogram, Metrics, Since

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def test_counter_keeps_its_labels_apart() -> None:
    counter = Counter("name", "words", "channel", "status")
    counter.count("phone", "200")
    counter.count("phone", "200")
    counter.count("phone", "403")
    counter.count("sms", "200", by=5)

    assert counter.values == {("phone", "200"): 2, ("phone", "403"): 1, ("sms", "200"): 5}


@pytest.mark.parametrize(
    "seconds, place",
    [(0.0, 0), (1.0, 0), (1.001, 1), (2.0, 1), (2.001, 2), (9999.0, 2), (-3.0, 0)],
)
def test_histogram_puts_a_duration_below_its_bound(seconds: float, place: int) -> None:
    histogram = Histogram("name", "words", "channel", bounds=(1.0, 2.0))
    histogram.observe(seconds, "phone")

    expected = [0.0, 0.0, 0.0, max(seconds, 0.0)]
    expected[place] = 1
    assert histogram.values == {("phone",): expected}


def test_labels_from_outside_cannot_grow_without_end() -> None:
    counter = Counter("name", "words", "tenant", "code")
    histogram = Histogram("name", "words", "code", bounds=(1.0,))
    for number in range(LIMIT + 10):
        counter.count("main", str(number))
        histogram.observe(0.5, str(number))
    counter.count("main", "7")

    assert len(counter.values) == LIMIT + 1
    assert counter.values[OTHER, OTHER] == 10
    assert counter.values["main", "7"] == 2
    assert histogram.values[OTHER,] == [10, 0, 5.0]


def test_long_label_is_cut() -> None:
    counter = Counter("name", "words", "code")
    counter.count("x" * 1000)
    counter.count("x" * 1000)

    assert counter.values == {("x" * 64,): 2}


def test_moment_is_given_once_and_the_oldest_are_forgotten() -> None:
    since = Since(limit=2)
    for number in range(3):
        since.begin(number, NOON + timedelta(seconds=number))

    assert since.end(0) is None
    assert since.end(2) == NOON + timedelta(seconds=2)
    assert since.end(2) is None
    assert len(since) == 1


def test_names_are_a_promise() -> None:
    named = {family.name: family.labels for family in Metrics().families()}

    assert named == {
        "router_webhooks": ("tenant", "channel", "status"),
        "router_reloads": ("outcome",),
        "router_log_lines_lost": (),
        "router_intake_seconds": ("tenant", "channel"),
        "router_duplicates": ("tenant", "channel"),
        "router_events": ("tenant", "type", "outcome"),
        "router_event_failures": ("tenant",),
        "router_decisions": ("tenant", "outcome"),
        "router_decided_seconds": ("tenant", "outcome"),
        "router_attempts": ("tenant", "kind", "destination", "state"),
        "router_attempt_seconds": ("tenant", "kind", "destination"),
        "router_provider_errors": ("tenant", "kind", "destination", "code"),
        "router_breakers_opened": ("tenant", "name", "kind"),
        "router_sent_seconds": ("tenant", "channel"),
        "router_api_requests": ("method", "path", "status"),
        "router_poll_seconds": ("tenant", "channel", "poller"),
        "router_polls": ("tenant", "channel", "poller", "outcome"),
        "router_responses": ("tenant", "channel", "outcome"),
        "router_webhooks_limited": ("tenant", "channel", "limit"),
        "router_webhooks_unsigned": ("tenant", "channel"),
        "router_ai_calls": ("tenant", "backend", "state"),
        "router_ai_seconds": ("tenant", "backend"),
        "router_ai_tokens": ("tenant", "backend", "direction"),
    }
