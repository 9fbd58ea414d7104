"""Acts through the API, on each database: what comes of them, and when they are refused."""

import anyio

from router.storage.store import Tx
from tests.integration.web.api_site import (
    DRAFT,
    ESCALATION,
    REPLY,
    TICKET,
    Site,
    problem,
    sent,
)


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
