"""The API of a whole router, on each database: what a request gets, whoever asks, however often."""

import base64
import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import sqlalchemy as sa

from router.pipeline.people.acts import perform
from router.storage.idempotency import once
from router.storage.store import Tx
from router.storage.tables import api_answer
from tests.integration.web.api_site import (
    DRAFT,
    EVERYTHING,
    REPLY,
    SQLITE,
    TICKET,
    Site,
    problem,
    sent,
)

if TYPE_CHECKING:
    import httpx


async def test_why_it_was_answered_so_is_told_of_an_event_and_of_an_item(site: Site) -> None:
    async with site.client() as client:
        things = await site.said(REPLY)

        of_event = (await client.get("explain", params={"id": things.event})).json()
        of_item = (await client.get("explain", params={"id": things.item})).json()

        assert of_event["decision"]["rule"] == "horario"
        assert of_event["event"]["event"] == things.event
        assert [it["id"] for it in of_event["items"]] == [things.item]
        assert of_item["item"]["id"] == things.item
        assert of_item["decision"] == of_event["decision"]
        assert of_item["trace"] == of_event["trace"]
        assert "horario" in json.dumps(of_event["trace"])


# Lists ────────────────────────────────────────────────────────────────────────────────────────


async def test_pages_follow_each_other_to_the_end(site: Site) -> None:
    made = [await site.said(REPLY, REPLY) for _ in range(3)]
    async with site.client() as client:
        for path, number in (("conversations", 3), ("events", 6), ("outbox", 6)):
            whole = (await client.get(path)).json()
            found, cursor = [], ""
            while cursor is not None:
                page = await client.get(f"{path}?limit=1{cursor and f'&cursor={cursor}'}")
                found += page.json()["items"]
                cursor = page.json()["next"]
            assert len(found) == number
            assert (found, whole["next"]) == (whole["items"], None)
        path = f"conversations/{made[0].conversation}/messages"
        first = (await client.get(f"{path}?limit=3")).json()
        rest = (await client.get(f"{path}?limit=3&cursor={first['next']}")).json()

        every = (await client.get(path)).json()["items"]
    assert len(first["items"]) == 3
    assert [*first["items"], *rest["items"]] == every
    assert [it["author"] for it in every].count("customer") == 2
    assert (every[-1]["author"], every[-1]["text"]) == ("customer", REPLY)


def cursor(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@SQLITE
async def test_what_is_no_cursor_of_a_list_is_refused(site: Site) -> None:
    moment = 1_800_000_000_000_000
    wrong = [
        "",
        "x",
        "ñ",
        "====",
        "eyJ9",
        cursor(),
        cursor("drafts", moment, "a"),
        cursor("conversations"),
        cursor("conversations", moment),
        cursor("conversations", moment, 1),
        cursor("conversations", "1", "a"),
        cursor("conversations", True, "a"),
        cursor("conversations", 1.5, "a"),
        cursor("conversations", 10**30, "a"),
        cursor("conversations", 2**63 - 1, "a"),
        cursor("conversations", moment, "a\0"),
        cursor("conversations", moment, "\ud800"),
        cursor("conversations", moment, "a", "b"),
        base64.urlsafe_b64encode(b"[" * 1400).decode(),
    ]
    async with site.client() as client:
        for each in wrong:
            answer = await client.get("conversations", params={"cursor": each})
            errors = problem(answer, 400)["errors"]
            assert errors == [{"detail": "it is no cursor of this list", "parameter": "cursor"}], (
                each
            )
        fine = await client.get(f"conversations?cursor={cursor('conversations', moment, 'a')}")
        assert fine.json() == {"items": [], "next": None}


# What is wrong with a request ─────────────────────────────────────────────────────────────────


@SQLITE
@pytest.mark.parametrize(
    "query, places",
    [
        ("limit=0", {"limit"}),
        ("limit=201", {"limit"}),
        ("limit=many", {"limit"}),
        ("limit=1&limit=2", {"limit"}),
        ("state=odd&stat=pending", {"state", "stat"}),
        ("conversation=%00", {"conversation"}),
        ("&".join(f"a{n}=1" for n in range(200)), set()),
    ],
)
async def test_what_is_wrong_with_a_query_is_named(
    site: Site, query: str, places: set[str]
) -> None:
    async with site.client() as client:
        found = problem(await client.get(f"drafts?{query}"), 400)

    assert {it["parameter"] for it in found.get("errors", ())} == places


@SQLITE
async def test_a_query_where_there_is_none_is_refused(site: Site) -> None:
    async with site.client() as client:
        assert problem(await client.get("status?verbose=1"), 400)


@SQLITE
@pytest.mark.parametrize(
    "body, kind, status, errors",
    [
        (b"", "application/json", 422, [("/text", "field required")]),
        (b"{}", "application/json", 422, [("/text", "field required")]),
        (b"{", "application/json", 400, [("", "it is no JSON")]),
        (b"\xff\xfe", "application/json", 400, [("", "it is no JSON")]),
        (b'{"text": "\\ud800"}', "application/json", 400, [("", "it is no JSON")]),
        (b"[" * 10_000, "application/json", 400, [("", "it is no JSON")]),
        (b"null", "application/json", 422, None),
        (b"[]", "application/json", 422, None),
        (b'"text"', "application/json", 422, None),
        (b'{"text": 1}', "application/json", 422, [("/text", "input should be a valid string")]),
        (
            b'{"text": "a\\u0000"}',
            "application/json",
            422,
            [("/text", "it holds nothing to read, or a NUL")],
        ),
        (
            b'{"text": "", "a/b~c": 1, "by": " "}',
            "application/json",
            422,
            [
                ("/by", "it holds nothing to read, or a NUL"),
                ("/text", "string should have at least 1 character"),
                ("/a~1b~0c", "extra inputs are not permitted"),
            ],
        ),
        (b"text=hola", "application/x-www-form-urlencoded", 415, None),
        (b'{"text": "hola"}', "text/plain", 415, None),
        (b'{"text": "hola"}', "application/merge-patch+json; charset=utf-8", 404, None),
        (b'{"text": "hola"}', "Application/JSON", 404, None),
    ],
)
async def test_what_is_wrong_with_a_body_is_named(
    site: Site, body: bytes, kind: str, status: int, errors: list[tuple[str, str]] | None
) -> None:
    async with site.client() as client:
        answer = await client.post(
            "conversations/nobody/messages", content=body, headers={"Content-Type": kind}
        )
        found = problem(answer, status)

    if errors is not None:
        assert [(it["pointer"], it["detail"]) for it in found["errors"]] == errors


@SQLITE
async def test_a_text_that_may_be_empty_holds_no_nul_either(site: Site) -> None:
    async with site.client() as client:
        answer = await client.post("drafts/x/reject", json={"because": "a\0b"})

    assert problem(answer, 422)["errors"] == [
        {"detail": "a text may hold no NUL", "pointer": "/because"}
    ]


@SQLITE
@pytest.mark.parametrize("key", ["", " ", "a b", "ñ".encode(), "x" * 256])
async def test_a_key_has_a_form(site: Site, key: str | bytes) -> None:
    async with site.client() as client:
        headers = {b"Idempotency-Key": key if isinstance(key, bytes) else key.encode()}
        answer = await client.post("drafts/x/approve", headers=headers)

    assert problem(answer, 400)["errors"][0]["header"] == "Idempotency-Key"


@SQLITE
async def test_too_much_is_too_much(site: Site) -> None:
    async with site.client() as client:
        answer = await client.post("drafts/x/approve", content=b" " * (1 << 20) + b"{}")

    assert problem(answer, 413)


@SQLITE
@pytest.mark.parametrize(
    "method, path, status, allow",
    [
        ("GET", "nothing", 404, None),
        ("GET", "drafts/", 404, None),
        ("GET", f"drafts/{'x' * 601}", 404, None),
        ("GET", "drafts/%00", 404, None),
        ("GET", "drafts/x%0a", 404, None),
        ("GET", "drafts/%ff", 404, None),
        ("GET", "events/x", 404, None),
        ("GET", "tickets/99999999999999999999", 404, None),
        ("DELETE", "drafts/x", 405, "GET, HEAD"),
        ("GET", "drafts/x/approve", 405, "POST"),
        ("POST", "events/a%2Fb%231", 405, "GET, HEAD"),
        ("GET", "events/a%2Fb%231/retry", 405, "POST"),
        ("POST", "stats", 405, "GET, HEAD"),
    ],
)
async def test_a_path_that_is_none(
    site: Site, method: str, path: str, status: int, allow: str | None
) -> None:
    async with site.client() as client:
        answer = await client.request(method, path)

    problem(answer, status)
    assert answer.headers.get("allow") == allow


@SQLITE
async def test_head_gives_what_get_gives_without_the_body(site: Site) -> None:
    async with site.client() as client:
        for path in ("drafts", "drafts/x"):
            got, head = await client.get(path), await client.head(path)
            assert (head.status_code, head.content) == (got.status_code, b"")
            assert head.headers["content-length"] == got.headers["content-length"]


# Who asks ─────────────────────────────────────────────────────────────────────────────────────


@SQLITE
@pytest.mark.parametrize(
    "header, challenge",
    [
        (None, "Bearer"),
        ("", "Bearer"),
        ("Bearer", "Bearer"),
        ("Bearer  ", "Bearer"),
        ("Basic YTpi", "Bearer"),
        ("Bearer x", 'Bearer error="invalid_token"'),
        ("Bearer a.b.c", 'Bearer error="invalid_token"'),
        ("bearer ñ", 'Bearer error="invalid_token"'),
    ],
)
async def test_without_a_token_nothing_is_told(
    site: Site, header: str | None, challenge: str
) -> None:
    async with site.daemon.client() as client:  # from this machine: that is no token, either
        headers = {} if header is None else {"Authorization": header.encode()}
        answer = await client.get("/api/v1/drafts", headers=headers)  # type: ignore[arg-type]

    problem(answer, 401)
    assert answer.headers["www-authenticate"] == challenge


async def test_a_token_ends_when_it_is_revoked(site: Site) -> None:
    router = site.daemon.router
    async with site.client() as client:
        token = (await client.get("token")).json()
        around = router.surroundings
        given = {"id": token["id"], "by": "eva"}
        await perform(router.store, "tokens.revoke", given, around)
        after = await client.get("token")

    assert (token["tenant"], token["name"], token["scopes"]) == ("main", "crm", sorted(EVERYTHING))
    assert problem(after, 401)["detail"] == "The token was revoked."


@SQLITE
async def test_a_token_of_a_tenant_that_is_gone_is_worth_nothing(site: Site) -> None:
    async with site.client("nobody") as client:
        answer = await client.get("token")

    assert "not in router.toml any more" in problem(answer, 401)["detail"]


@SQLITE
async def test_numbers_are_the_tokens_own_or_of_all_on_this_machine(site: Site) -> None:
    await site.said(REPLY)
    await site.said(REPLY, tenant="clinica")
    async with site.client("clinica") as client, site.daemon.client() as here:
        own = (await client.get("stats?since=1h")).json()
        every = (await here.get("/api/v1/stats")).json()
        other = await client.get("stats?tenant=main")
        wrong = await client.get("stats?since=yesterday")
        status = (await client.get("status")).json()

    assert (own["tenant"], own["messages_in"]) == ("clinica", 1)
    assert (every["tenant"], every["messages_in"]) == (None, 2)
    assert list(own) == list(every)
    assert problem(other, 404)
    assert problem(wrong, 400)["errors"][0]["parameter"] == "since"
    assert [it["name"] for it in status["instances"]] == ["clinica/channels.telefono"]
    assert (status["ready"], status["draining"]) == (True, False)


# Once ─────────────────────────────────────────────────────────────────────────────────────────


async def test_of_many_at_the_same_moment_one_has_an_effect(site: Site) -> None:
    async with site.client() as client:
        things = await site.said(DRAFT)
        answers: list[httpx.Response] = []

        async def approve() -> None:
            key = {"Idempotency-Key": "a-key"}
            answers.append(await client.post(f"drafts/{things.draft}/approve", headers=key))

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(approve)

        assert {(it.status_code, it.text) for it in answers} == {(202, answers[0].text)}
        replayed = [it for it in answers if "idempotency-replayed" in it.headers]
        assert len(replayed) == 7
        assert await sent(site, client, things.conversation) == ["Le devolvemos el dinero."]


async def test_a_refusal_is_not_kept(site: Site) -> None:
    async with site.client() as client:
        things = await site.said(TICKET)
        path, key = f"tickets/{things.ticket}", {"Idempotency-Key": "k"}
        body = {"state": "NEW"}

        refused = await client.patch(path, json=body, headers=key)
        other = await client.patch(path, json={"state": "RESOLVED"}, headers=key)

        assert problem(refused, 409)
        assert other.json()["ticket"]["state"] == "RESOLVED"


async def test_one_tokens_key_is_not_anothers(site: Site) -> None:
    things = await site.said(TICKET)
    key = {"Idempotency-Key": "k"}
    for n in range(2):
        async with site.client() as client:
            path = f"tickets/{things.ticket}/notes"
            answer = await client.post(path, json={"text": "Llamé."}, headers=key)
            assert "idempotency-replayed" not in answer.headers
            assert len(answer.json()["ticket"]["entries"]) == 2 + n


async def test_what_is_kept_is_gone_after_its_time(site: Site) -> None:
    from router.storage.idempotency import LIFE, RequestKey

    request = RequestKey(tenant="main", token="t", route="r", key="k", digest="d")

    def later(tx: Tx) -> tuple[dict[str, Any], bool]:
        assert once(tx, request, lambda: {"n": 1}) == ({"n": 1}, False)
        tx.connection.execute(sa.update(api_answer).values(created_at=tx.now - LIFE))
        return once(tx, request, lambda: {"n": 2})

    assert await site.daemon.router.store.write(later) == ({"n": 2}, False)
