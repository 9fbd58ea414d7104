"""Customers who are let back in: who may be, and what is kept of it."""

import pytest

from router.errors import ActRefused, NotFound
from router.storage import opt_ins
from router.storage.tables import alias, contact, opt_in
from tests.unit.storage.conftest import Shop

ANA = "tel:+573001234567"


def let_in(shop: Shop, name: str, tenant: str = "main", by: str = "eva") -> opt_ins.OptInView:
    return shop.database.do(
        opt_ins.let_in, tenant, name, by=by, because="asked for it", now=shop.now
    )


def test_a_customer_is_let_in_once_and_who_said_so_is_kept(shop: Shop) -> None:
    person = shop.contact(opted_out=True)
    closed = shop.thread(status="closed")
    thread = shop.thread()

    view = let_in(shop, thread)

    assert (view.contact, view.by, view.because, view.at) == (ANA, "eva", "asked for it", shop.now)
    (row,) = shop.database.rows(contact)
    assert row.opted_out is False
    (kept,) = shop.database.rows(opt_in)
    assert (kept.id, kept.tenant, kept.contact) == (view.id, "main", person)
    for each in (closed, thread):
        assert shop.database.do(opt_ins.opt_ins_of, "main", each) == [view]
        assert shop.database.do(opt_ins.opt_ins_of, "clinica", each) == []
    with pytest.raises(ActRefused, match=r"tel:\+573001234567 has not opted out"):
        let_in(shop, thread)


def test_who_never_wrote_is_let_in_by_any_address_of_theirs(shop: Shop) -> None:
    shop.contact(opted_out=True)
    row = {"tenant": "main", "address": "bsuid:CO.1", "key": ANA, "created_at": shop.now}
    shop.database.insert(alias, row)

    assert let_in(shop, "bsuid:CO.1").contact == ANA


def test_a_telephone_number_alone_is_an_address(shop: Shop) -> None:
    shop.contact(opted_out=True)

    assert shop.database.do(opt_ins.has_opted_out, "main", "+573001234567") is True
    assert let_in(shop, "+57 300 123 4567").contact == ANA


def test_of_several_contacts_with_one_address_the_one_that_opted_out_is_meant(shop: Shop) -> None:
    shop.contact("bsuid:CO.1")
    shop.contact(opted_out=True)
    row = {"tenant": "main", "address": "bsuid:CO.1", "key": ANA, "created_at": shop.now}
    shop.database.insert(alias, row)

    assert let_in(shop, "bsuid:CO.1").contact == ANA


def test_the_thread_of_one_contact_does_not_hide_another_with_the_same_address(shop: Shop) -> None:
    shop.contact("bsuid:CO.1", opted_out=True)
    shop.contact()
    shop.thread()
    row = {"tenant": "main", "address": "bsuid:CO.1", "key": ANA, "created_at": shop.now}
    shop.database.insert(alias, row)

    assert shop.database.do(opt_ins.has_opted_out, "main", "bsuid:CO.1") is True
    assert shop.database.do(opt_ins.has_opted_out, "clinica", "bsuid:CO.1") is False
    assert let_in(shop, "bsuid:CO.1").contact == "bsuid:CO.1"
    assert shop.database.do(opt_ins.has_opted_out, "main", "bsuid:CO.1") is False


def test_another_tenants_customer_is_nobody(shop: Shop) -> None:
    shop.contact(opted_out=True, tenant="clinica")
    thread = shop.thread(tenant="clinica")

    for name in (ANA, thread, "tel:+570"):
        with pytest.raises(NotFound):
            let_in(shop, name)
    (row,) = shop.database.rows(contact)
    assert row.opted_out is True


@pytest.mark.parametrize("name", ["bot", "nobody"])
def test_only_a_person_lets_somebody_in(shop: Shop, name: str) -> None:
    shop.contact(opted_out=True)

    with pytest.raises(ActRefused, match="is not a person"):
        let_in(shop, ANA, by=name)
    assert shop.database.rows(opt_in) == []


def test_the_newest_are_given_the_oldest_first(shop: Shop) -> None:
    person = shop.contact()
    thread = shop.thread()
    for hours in (1, 3, 2):
        values = {"id": f"in-{hours}", "tenant": "main", "contact": person, "by": "eva"}
        moment = {"because": "asked", "created_at": shop.ago(hours=hours)}
        shop.database.insert(opt_in, values | moment)

    found = shop.database.do(opt_ins.opt_ins_of, "main", thread, limit=2)

    assert [view.id for view in found] == ["in-2", "in-1"]
