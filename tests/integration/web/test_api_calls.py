"""Telephone calls and batches of them through the API, on each database."""

from typing import Any

import pytest

from tests.integration.web.api_site import REPLY, Site

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PEOPLE: list[dict[str, Any]] = [
    {"phone_number": "+57 300 999 9999", "variables": {"client_name": "Ana"}},
    {"phone_number": "+573009999998"},
]


async def test_a_call_is_listed_and_shown(site: Site) -> None:
    ana, luis = await site.said(REPLY), await site.said(REPLY)
    await site.called(ana)
    await site.called(luis)
    async with site.client() as client:
        first = (await client.get("calls?limit=1")).json()
        rest = (await client.get("calls", params={"cursor": first["next"]})).json()
        of_ana = await client.get(f"calls?conversation={ana.conversation}&status=done")
        failed = await client.get("calls?status=failed")
        of_a_batch = await client.get("calls?batch=btcal_1")
        shown = (await client.get(f"calls/{ana.call}")).json()
        nothing = await client.get("calls/nix")

    assert [it["id"] for it in first["items"] + rest["items"]] == [luis.call, ana.call]
    assert rest["next"] is None
    assert [it["id"] for it in of_ana.json()["items"]] == [ana.call]
    assert failed.json()["items"] == of_a_batch.json()["items"] == []
    assert (shown["party"], shown["conversation"]) == (ana.address, ana.conversation)
    assert (shown["origin"], shown["status"], shown["transcript"]) == ("api", "done", [])
    assert shown["recording"] is None
    assert nothing.json()["detail"] == 'There is no call "nix".'


async def test_a_batch_is_submitted_once_and_ended_once(site: Site) -> None:
    given = {"recipients": PEOPLE, "name": "Noviembre", "at": "2026-12-01T09:00:00-05:00"}
    async with site.client() as client:
        first = await client.post("call-batches", json=given)
        again = await client.post("call-batches", json=given)
        meant = await client.post("call-batches", json={**given, "again": True})
        (newest, oldest) = (await client.get("call-batches")).json()["items"]

    assert (first.status_code, again.status_code, meant.status_code) == (202, 409, 202)
    made = first.json()["batch"]
    assert (made["recipients"], made["name"], made["action"]) == (2, "Noviembre", "dial")
    assert made["at"] == "2026-12-01T09:00:00-05:00"
    assert f'as "{made["id"]}"' in again.json()["detail"]
    assert [oldest["id"], newest["id"]] == [made["id"], meant.json()["batch"]["id"]]


async def test_a_batch_that_the_provider_has_is_ended_there(site: Site) -> None:
    things = await site.said(REPLY)
    provider_ref = await site.dialled(things)
    async with site.client() as client:
        first = await client.post(f"call-batches/{things.batch}/cancel")
        again = await client.post(f"call-batches/{provider_ref}/cancel", json={"by": "eva"})
        item = (await client.get(f"outbox/{first.json()['item']}")).json()
        elsewhere = await client.post("call-batches/btcal_elsewhere/cancel")

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["item"] == again.json()["item"] == item["id"]
    assert first.json()["batch"]["cancel"] == item["id"]
    # One that is not known here may be another tenant's: only the command line may name it.
    assert elsewhere.status_code == 404


@SQLITE
@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({"recipients": []}, 422, "/recipients"),
        ({"recipients": [{"phone_number": "300"}]}, 422, "/recipients/0/phone_number"),
        ({"recipients": PEOPLE, "at": "2026-12-01T09:00:00"}, 422, "/at"),
        ({"recipients": [{**PEOPLE[0], "name": "Ana"}]}, 422, "/recipients/0/name"),
        ({"recipients": [PEOPLE[0]] * 2}, 409, "+573009999999 is there twice"),
        ({"recipients": PEOPLE, "through": "nix"}, 409, 'no action "nix" that makes calls: dial'),
    ],
)
async def test_a_batch_that_cannot_be_called_is_refused(
    site: Site, given: dict[str, Any], status: int, said: str
) -> None:
    async with site.client() as client:
        answer = await client.post("call-batches", json=given)
        listed = await client.get("call-batches")

    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert said in (problem["detail"], *(it["pointer"] for it in problem.get("errors", []))) or (
        said in problem["detail"]
    )
    assert listed.json()["items"] == []
