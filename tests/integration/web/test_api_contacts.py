"""One person's data over the API: given to whoever may have it, and erased once."""

import base64
import json

import anyio
import pytest
import sqlalchemy as sa

from router.errors import NotFound
from router.storage.media import use
from router.storage.objects import Objects
from router.storage.store import Tx
from router.storage.tables import api_answer, inbox_event, media, message
from tests.integration.web.api_site import DRAFT, REPLY, TICKET, Site


async def test_a_person_is_exported_and_erased(site: Site) -> None:
    things = await site.said(REPLY, DRAFT, TICKET)
    other = await site.said(REPLY)
    async with site.client() as client:
        before = await client.get(f"contacts/{things.address}/export")
        listed = (await client.get("conversations")).json()["items"]

        erased = await client.delete(f"contacts/{things.address}?by=eva")

        after = await client.get(f"contacts/{things.address}/export")
        again = await client.delete(f"contacts/{things.address}")
        left = (await client.get("conversations")).json()["items"]
        made = (await client.get("erasures")).json()["items"]
        theirs = await client.get(f"contacts/{other.address}/export")

    assert before.is_success, before.text
    document = before.json()
    assert document["address"] == things.address
    assert [it["id"] for it in document["conversations"]] == [things.conversation]
    assert {it["author"] for it in document["messages"]} == {"customer", "rule"}
    assert erased.is_success, erased.text
    assert [after.status_code, again.status_code] == [404, 404]
    assert len(listed) == len(left) + 1
    assert made == [erased.json()["erasure"]]
    assert made[0]["by"] == "eva"
    assert made[0]["counts"]["conversation"] == 1
    assert things.address not in str(made)
    assert theirs.is_success


async def test_the_files_of_who_was_erased_are_removed_right_after(site: Site) -> None:
    things = await site.said(REPLY)
    objects = Objects(site.daemon.router.settings.media.store)
    digest = await objects.put("main", f"a picture of {things.address}".encode())

    def send(tx: Tx) -> None:
        use(tx.connection, "main", digest, content_type="image/png", size=9, now=tx.now)
        line = sa.update(message).where(message.c.conversation == things.conversation)
        values = {"attachments": [{"kind": "image", "digest": digest}]}
        tx.connection.execute(line.where(message.c.direction == "in").values(values))

    await site.write(send)
    async with site.client() as client:
        erased = await client.delete(f"contacts/{things.address}")

    assert erased.json()["erasure"]["counts"]["media"] == 1
    with anyio.fail_after(60):
        while await site.daemon.router.store.read(_files):  # noqa: ASYNC110
            await anyio.sleep(0.02)
    with pytest.raises(NotFound):
        await objects.get("main", digest)


def _files(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(media)).scalar_one()


async def test_an_erasure_with_a_key_is_done_once_and_its_answer_names_nobody(site: Site) -> None:
    things = await site.said(REPLY)
    key = {"Idempotency-Key": "crm-1"}
    async with site.client() as client:
        path = f"contacts/{things.address}"
        first = await client.delete(path, headers=key)
        again = await client.delete(path, headers=key)
        other = await client.delete("contacts/tel:+573000000009", headers=key)
        fresh = await client.delete(path, headers={"Idempotency-Key": "crm-2"})

    assert first.is_success, first.text
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert [other.status_code, fresh.status_code] == [422, 404]

    def kept(tx: Tx) -> list[str]:
        return [str(tuple(row)) for row in tx.connection.execute(api_answer.select())]

    (answer,) = await site.daemon.router.store.write(kept)
    assert things.address[5:] not in answer


@pytest.mark.parametrize("scopes", [("read", "write"), ("conversations:read", "write")])
async def test_these_scopes_are_given_by_name(site: Site, scopes: tuple[str, ...]) -> None:
    things = await site.said(REPLY)
    async with site.client("main", *scopes) as client:
        refused = [
            await client.get(f"contacts/{things.address}/export"),
            await client.delete(f"contacts/{things.address}"),
            await client.get("erasures"),
        ]
    async with site.client("main", "contacts:read") as client:
        given = [
            await client.get(f"contacts/{things.address}/export"),
            await client.get("erasures"),
        ]

    assert [it.status_code for it in refused] == [403] * 3
    assert "contacts:write" in refused[1].json()["detail"]
    assert [it.status_code for it in given] == [200, 200]


async def test_a_request_that_nobody_read_is_deleted_only_if_that_is_asked_for(
    site: Site,
) -> None:
    things = await site.said(REPLY)
    text = f"De {things.address[4:]} y de otros".encode()
    payload = json.dumps({"body": base64.b64encode(text).decode(), "error": "no"})
    row = {"lane": "main/raw:phone", "seq": 7000, "tenant": "main", "source": "main/phone"}
    row |= {"external_id": "raw:7000", "type": "unparsed", "payload": payload}
    row |= {"outcome": "unparsed"}

    def put(tx: Tx) -> None:
        tx.connection.execute(inbox_event.insert().values(**row, received_at=tx.now))

    await site.daemon.router.store.write(put)
    async with site.client() as client:
        path = f"contacts/{things.address}"
        document = (await client.get(f"{path}/export")).json()
        refused = await client.delete(path)
        erased = await client.delete(f"{path}?with_unread=true")

    assert [it["id"] for it in document["named_in"]] == ["main/raw:phone#7000"]
    assert refused.status_code == 409
    assert "main/raw:phone#7000" in refused.json()["detail"]
    assert erased.is_success, erased.text


@pytest.mark.parametrize("address", ["Ana", "+", "tel:"])
async def test_an_address_that_is_none_is_refused(site: Site, address: str) -> None:
    async with site.client() as client:
        answers = [
            await client.get(f"contacts/{address}/export"),
            await client.delete(f"contacts/{address}"),
        ]

    for answer in answers:
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["parameter"] == "address"
