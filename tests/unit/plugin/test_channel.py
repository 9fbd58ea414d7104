"""A webhook's request as a plugin sees it."""

from datetime import UTC, datetime

import pytest

from router.plugin import WebhookRequest


def request(body: bytes = b"", query: str = "") -> WebhookRequest:
    return WebhookRequest(
        url=f"https://router.example/hooks/x{query}",
        headers={"x-signature": "abc"},
        body=body,
        received_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
    )


def test_a_header_is_found_whatever_its_case() -> None:
    assert request().header("X-Signature") == "abc"
    assert request().header("X-Other") is None


def test_query_and_form_keep_order_repeats_and_empty_values() -> None:
    assert request(query="?b=1&a=&b=%C3%B1+x").query == (("b", "1"), ("a", ""), ("b", "ñ x"))
    assert request(b"b=1&a=&b=%C3%B1+x").form == (("b", "1"), ("a", ""), ("b", "ñ x"))
    assert request().query == request().form == ()


@pytest.mark.parametrize("body", [b"\xff=1", b"a=%ff", b"&".join([b"a=1"] * 1001)])
def test_a_form_that_is_none_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        _ = request(body).form


@pytest.mark.parametrize("body", [b"", b"<xml/>", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        request(body).json()


def test_json_is_read() -> None:
    assert request(b'{"id": "1"}').json() == {"id": "1"}
