"""Listings of templates are kept whole, for each channel its last one, on both databases."""

from datetime import timedelta

from router.plugin.templates import TemplateInfo
from router.storage.templates import StoredListing, keep_listing, listed_at, listings
from tests.databases import Database
from tests.unit.storage.conftest import NOW

FULL = TemplateInfo(
    ref="cita/pt_BR",
    name="cita",
    language="pt_BR",
    status="rejected",
    category="utility",
    variables=frozenset({"1", "nome"}),
    reason="no\x00\ud83d",
    aliases=frozenset({"cita"}),
    in_window=True,
)
BARE = TemplateInfo(ref="HX1", name="", language="", status="approved")


def test_a_listing_is_read_as_it_was_kept(database: Database) -> None:
    database.do(keep_listing, "main", "whatsapp", [FULL, BARE], NOW)

    expected = StoredListing(
        tenant="main", channel="whatsapp", listed_at=NOW, templates=(FULL, BARE)
    )
    assert database.do(listings, "main") == [expected]


def test_the_last_listing_of_a_channel_counts(database: Database) -> None:
    later = NOW + timedelta(minutes=1)
    database.do(keep_listing, "main", "whatsapp", [FULL], NOW)
    database.do(keep_listing, "main", "sms", [], NOW)
    database.do(keep_listing, "main", "whatsapp", [BARE], later)

    assert database.do(listed_at, "main") == {"whatsapp": later, "sms": NOW}
    (found,) = database.do(listings, "main", ["whatsapp"])
    assert found.templates == (BARE,)


def test_a_tenant_sees_its_own(database: Database) -> None:
    database.do(keep_listing, "acme", "whatsapp", [FULL], NOW)

    assert database.do(listings, "main") == []
    assert database.do(listed_at, "main") == {}
    assert [it.tenant for it in database.do(listings, "acme")] == ["acme"]
