"""The API of a whole router, on each database."""

import base64
import json
from typing import Any

import anyio
import httpx
import jsonschema
import pytest

from router.pipeline.acts import perform
from router.storage.idempotency import once
from router.storage.store import Tx
from router.web.api.app import resources, scopes
from router.web.api.docs import page_of
from router.web.api.openapi import document
from tests.integration.web.api_site import (
    DRAFT,
    ENDPOINTS,
    ESCALATION,
    EVERYTHING,
    REPLY,
    TICKET,
    Site,
)

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PROBLEM = "application/problem+json"


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Give a problem, checked to be one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    found: dict[str, Any] = response.json()
    assert (found["type"], found["status"]) == ("about:blank", status)
    assert found["title"]
    assert found["detail"].endswith(".")
    return found


# Acts ─────────────────────────────────────────────────────────────────────────────────────────


async def sent(site: Site, client: httpx.AsyncClient, conversation: str) -> list[str]:
    """Give what reached the customer, once nothing is on its way any more."""
    with anyio.fail_after(30):
        while True:
            listed = await client.get(f"outbox?conversation={conversation}&kind=message")
            items = listed.json()["items"]
            if not [it for it in items if it["state"] in ("waiting", "started")]:
                return [it["text"] for it in reversed(items) if it["state"] == "done"]
            await anyio.sleep(0.02)


async def test_a_draft_is_sent_as_it_stands_or_changed_or_not_at_all(site: Site) -> None:
    async with site.client() as client:
        as_it_is, changed, never = [await site.said(DRAFT) for _ in range(3)]

        approved = await client.post(f"drafts/{as_it_is.draft}/approve")
        edited = await client.post(
            f"drafts/{changed.draft}/approve", json={"text": "Mañana.", "by": "ana"}
        )
        rejected = await client.post(f"drafts/{never.draft}/reject", json={"because": "no"})
        again = await client.post(f"drafts/{never.draft}/approve")

        assert (approved.status_code, edited.status_code, rejected.status_code) == (202, 202, 200)
        drafts = [it.json()["draft"] for it in (approved, edited, rejected)]
        assert [(it["state"], it["resolved_by"]) for it in drafts] == [
            ("approved", "crm"),
            ("edited", "ana"),
            ("discarded", "crm"),
        ]
        assert await sent(site, client, as_it_is.conversation) == ["Le devolvemos el dinero."]
        assert await sent(site, client, changed.conversation) == ["Mañana."]
        assert await sent(site, client, never.conversation) == []
        assert "discarded already, by crm" in problem(again, 409)["detail"]


async def test_a_persons_message_makes_the_conversation_theirs(site: Site) -> None:
    async with site.client() as client:
        things = await site.said(DRAFT)
        path = f"conversations/{things.conversation}"

        said = await client.post(f"{path}/messages", json={"text": "Soy Ana.", "by": "ana"})
        (item,) = said.json()["items"]
        await sent(site, client, things.conversation)
        lines = (await client.get(f"{path}/messages")).json()["items"]
        outbox_item = (await client.get(f"outbox/{item}")).json()

        assert said.status_code == 202
        assert said.json()["conversation"]["owner"] == "ana"
        assert [(it["author"], it["text"]) for it in lines] == [
            ("person", "Soy Ana."),
            ("customer", DRAFT),
        ]
        assert (lines[0]["id"], outbox_item["state"]) == (item, "done")


async def test_a_persons_files_are_listed_with_their_text(site: Site) -> None:
    url = "https://shop.example/precios.pdf"
    async with site.client() as client:
        things = await site.said(DRAFT)
        path = f"conversations/{things.conversation}/messages"

        said = await client.post(path, json={"text": "Tome.", "media": [url], "by": "ana"})
        _, file = said.json()["items"]
        await sent(site, client, things.conversation)
        lines = (await client.get(path)).json()["items"]
        outbox_item = (await client.get(f"outbox/{file}")).json()
        refused = await client.post(path, json={"text": "x", "media": ["https://localhost/a"]})

        assert (said.status_code, said.json()["note"]) == (202, None)
        assert sorted(
            (it["text"], [each["name"] for each in it["attachments"]]) for it in lines
        ) == [
            ("", ["precios.pdf"]),
            ("Tome.", []),
            (DRAFT, []),
        ]
        assert (outbox_item["kind"], outbox_item["text"]) == ("message", url)
        assert problem(refused, 409)["detail"] == (
            'The file "https://localhost/a" cannot be sent: "localhost" is not on the public '
            "internet, where the provider fetches it."
        )


async def test_a_conversation_is_taken_handed_back_and_closed(site: Site) -> None:
    async with site.client() as client:
        things = await site.said(DRAFT)
        path = f"conversations/{things.conversation}"

        taken = await client.post(f"{path}/take", json={"by": "ana"})
        twice = await client.post(f"{path}/take", json={"by": "ana"})
        back = await client.post(f"{path}/release")
        closed = await client.post(f"{path}/close")
        after = await client.post(f"{path}/messages", json={"text": "¿Sigue ahí?"})
        draft = (await client.get(f"drafts/{things.draft}")).json()

        assert taken.json()["conversation"]["owner"] == "ana"
        assert taken.json()["under_way"] == []
        assert "ana's already" in problem(twice, 409)["detail"]
        assert back.json()["conversation"]["owner"] == "bot"
        assert closed.json()["conversation"]["status"] == "closed"
        assert "is closed" in problem(after, 409)["detail"]
        assert draft["state"] == "discarded"
        assert draft["because"].endswith("Rejected: crm closed the conversation")


async def test_what_a_closed_conversations_customer_writes_opens_another(site: Site) -> None:
    async with site.client() as client, site.daemon.client() as phone:
        things = await site.said(DRAFT)
        await client.post(f"conversations/{things.conversation}/close")

        body = {"id": "later", "from": things.address[4:], "text": REPLY}
        await phone.post("/hooks/phone", json=body)
        with anyio.fail_after(30):
            while True:
                thread = (await client.get(f"conversations/{things.address}")).json()
                if thread["id"] != things.conversation:
                    break
                await anyio.sleep(0.02)

        assert (thread["status"], thread["owner"]) == ("active", "bot")


async def test_nobody_writes_to_a_customer_who_wants_no_messages(site: Site) -> None:
    async with site.client() as client:
        things = await site.said(DRAFT)
        from router.storage.contacts import update_contact
        from router.storage.tables import conversation

        def opt_out(tx: Tx) -> None:
            row = tx.connection.execute(
                conversation.select().where(conversation.c.id == things.conversation)
            ).one()
            update_contact(tx.connection, "main", row.contact, {"opted_out": True})

        await site.write(opt_out)
        refused = await client.post(
            f"conversations/{things.conversation}/messages", json={"text": "Hola"}
        )

        assert problem(refused, 409)["detail"] == "The customer has asked for no more messages."


async def test_a_ticket_changes_in_both_ways_or_in_none(site: Site) -> None:
    async with site.client() as client:
        things = await site.said(TICKET)
        number = (await client.get(f"tickets/{things.ticket}")).json()["number"]

        both = await client.patch(
            f"tickets/{number}", json={"state": "IN_PROGRESS", "assignee": "ana", "by": "eva"}
        )
        neither = await client.patch(f"tickets/{number}", json={"state": "NEW", "assignee": "luis"})
        nobody = await client.patch(f"tickets/{number}", json={"assignee": None})
        nothing = await client.patch(f"tickets/{number}", json={})
        noted = await client.post(f"tickets/{number}/notes", json={"text": "Llamé."})
        closed = await client.patch(f"tickets/{number}", json={"state": "CLOSED"})
        late = await client.patch(f"tickets/{number}", json={"assignee": "ana"})

        ticket = both.json()["ticket"]
        assert (ticket["state"], ticket["assignee"]) == ("IN_PROGRESS", "ana")
        assert "cannot become NEW" in problem(neither, 409)["detail"]
        assert nobody.json()["ticket"]["assignee"] is None
        assert nothing.json() == nobody.json()
        trail = [(it["author"], it["what"]) for it in closed.json()["ticket"]["entries"]]
        assert trail[1:] == [
            ("eva", "assigned to ana"),
            ("eva", "NEW → IN_PROGRESS"),
            ("crm", "assigned to nobody"),
            ("crm", "Llamé."),
            ("crm", "IN_PROGRESS → CLOSED"),
        ]
        assert noted.status_code == 200
        assert "is closed" in problem(late, 409)["detail"]


async def test_calls_for_a_person_are_heard_once(site: Site) -> None:
    async with site.client() as client:
        things = await site.said(ESCALATION)
        path = f"escalations/{things.escalation}"

        before = (await client.get("escalations?open=true")).json()["items"]
        heard = await client.post(f"{path}/acknowledge", json={"by": "ana"})
        again = await client.post(f"{path}/acknowledge")
        after = (await client.get("escalations?open=true")).json()["items"]

        assert [it["id"] for it in before] == [things.escalation]
        assert heard.json()["escalation"]["acknowledged_by"] == "ana"
        assert "by ana" in problem(again, 409)["detail"]
        assert after == []


async def test_what_is_unknown_or_dead_gets_a_persons_word(site: Site) -> None:
    async with site.client() as client:
        things = await site.said(REPLY)
        await sent(site, client, things.conversation)
        early = await client.post(f"outbox/{things.item}/resolve", json={"verdict": "drop"})
        await site.lose(things.item)
        await site.give_up(things.event)

        known = await client.post(f"outbox/{things.item}/resolve", json={"verdict": "sent"})
        dead = (await client.get("events?dead=true")).json()["items"]
        name = things.event.replace("#", "%23").replace("+", "%2B")
        retried = await client.post(f"events/{name}/retry")

        assert "nothing to settle" in problem(early, 409)["detail"]
        assert known.json()["item"]["state"] == "done"
        assert [it["event"] for it in dead] == [things.event]
        assert retried.status_code == 202
        assert retried.json()["event"] == things.event
        assert len(retried.json()["entered_as"]) == 1


async def test_a_dead_letter_is_discarded_with_who_did_it_and_why(site: Site) -> None:
    async with site.client() as client:
        things = await site.said(REPLY)
        await site.give_up(things.event)
        name = things.event.replace("#", "%23").replace("+", "%2B")
        path = f"events/{name}/discard"

        bare = await client.post(path, json={"because": " "})
        first = await client.post(path, json={"because": "called them", "by": "ana"})
        again = await client.post(path, json={"because": "no reason", "by": "eva"})
        shown = (await client.get(f"events/{name}")).json()
        told = (await client.get("explain", params={"id": things.event})).json()
        retried = await client.post(f"events/{name}/retry")

        problem(bare, 422)
        assert first.status_code == 200
        event = first.json()["event"]
        assert (event["outcome"], event["dead_at"]) == ("discarded", None)
        discarded = {"at": event["discarded"]["at"], "by": "ana", "because": "called them"}
        assert event["discarded"] == discarded
        assert again.json() == first.json()
        assert shown["discarded"] == told["event"]["discarded"] == discarded
        assert "was discarded by ana" in problem(retried, 409)["detail"]


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
        first = once(tx.connection, request, lambda: {"n": 1}, tx.now)
        again = once(tx.connection, request, lambda: {"n": 2}, tx.now + LIFE)
        assert first == ({"n": 1}, False)
        return again

    assert await site.daemon.router.store.write(later) == ({"n": 2}, False)


# The document ─────────────────────────────────────────────────────────────────────────────────


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
