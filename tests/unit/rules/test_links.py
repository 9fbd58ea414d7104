"""Which hosts a text leads to: what a telephone would open, and what only looks like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rules.links import links


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        # Hosts that stand alone.
        ("Pague aquí: evil.vip/pago", {"evil.vip"}),
        ("evil.vip", {"evil.vip"}),
        ("en evil.company o evil.support", {"evil.company", "evil.support"}),
        ("EVIL.COM", {"evil.com"}),
        ("evil.com.", {"evil.com"}),
        ("evil.com,otro.zip!", {"evil.com", "otro.zip"}),
        ("(example.com.co/a)", {"example.com.co"}),
        ("*evil.com* _evil.io_ ~evil.pe~", {"evil.com", "evil.io", "evil.pe"}),
        ("[aquí](evil.top/x)", {"evil.top"}),
        ("«evil.app»", {"evil.app"}),
        ("ver//evil.com/x", {"evil.com"}),
        ("o/evil.com", {"evil.com"}),
        ("a.b.c.d.e.f.g.h.i.j.evil.com", {"a.b.c.d.e.f.g.h.i.j.evil.com"}),
        ("www.evil.x www.evil.com", {"evil.x", "evil.com"}),
        ("evil.com?x evil.io:8080", {"evil.com", "evil.io"}),
        ("Mire...evil.com", {"evil.com"}),
        ("evil.com/a/otro.com", {"evil.com"}),
        # A path makes a link of what nobody has heard of.
        ("evil.newest/pago evil.lan:8080/x", {"evil.newest", "evil.lan"}),
        ("factura.pdf/x 99.to/x @evil.com/x", {"factura.pdf", "99.to", "evil.com"}),
        # Addresses in numbers.
        ("1.2.3.4/x y 8.8.8.8", {"1.2.3.4", "8.8.8.8"}),
        # Schemes, whichever.
        ("https://EXAMPLE.com:8443/x?y#z, y http://[::1]/", {"example.com", "::1"}),
        (r"https://good.com\@evil.io", {"good.com"}),
        ("https://good.com@evil.io/x", {"evil.io"}),
        ("https:/evil.com https:///evil.io", {"evil.com", "evil.io"}),
        ("https://example.com* (https://example.org)", {"example.com", "example.org"}),
        ("Pague:https://evil ver.https://evil.com", {"evil", "evil.com"}),
        ("ftp://evil.com tg://resolve?domain=x upi://pay?pa=x", {"evil.com", "resolve", "pay"}),
        ("mailto:a@evil.com?cc=b@otro.io", {"evil.com", "otro.io"}),
        ("upi:pay?pa=x bitcoin:1A1zP1", {"pay", "1a1zp1"}),
        # Other scripts, and what is to be taken for a Latin letter or a stop.
        ("bücher.de/x ñandu.com", {"bücher.de", "ñandu.com"}),
        ("еvil.рф evil.xn--p1ai", {"еvil.рф", "evil.xn--p1ai"}),
        ("ev\u200bil.c\u00adom evil.com\u2060/x", {"evil.com"}),
        ("evil.c\ufe0fom e\u034fvil.io", {"evil.com", "evil.io"}),
        ("evil。com otro｡io más．pe", {"evil.com", "otro.io", "más.pe"}),
        ("ｅｖｉｌ．ｃｏｍ ｈｔｔｐｓ：／／ｅｖｉｌ．ｉｏ", {"evil.com", "evil.io"}),
        ("https://example.com\u00a0ya", {"example.com"}),
    ],
)
def test_what_leads_somewhere_counts(text: str, hosts: set[str]) -> None:
    assert links(text) == hosts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "https:// y www. y mailto:",
        # A space that is missing behind a full stop.
        "Hola.Gracias por escribir. Su pedido.Te llegará. nada que ver. Hola.como estas",
        "Listo.Está pago.Ótimo.Você pode. Order.Thanks",
        "Hola...gracias… ¿Sí?no",
        # Abbreviations.
        "p.ej. p.ex. e.g. i.e. v.gr. a.m. p.m. S.A.S. S.A. Ltda. D.C. EE.UU. RR.SS. RR.HH./Legal",
        "Sr./Sra. No.5 Cra.7 Tel.fijo lun.-vie./sáb. y/o km/h P.D.",
        # Numbers, times, dates, measures.
        "1.500 $1.500.000 3.5kg 3.5kg/día 10.30h 8.am 10.pm 5.kg 24.12.2025 24.12/2025 1.2.3",
        "1.er 2.do 4.to 9.no 1.comprar 2.Pagar 1.500.000.000",
        # Names of files, of things and of people.
        "factura.pdf menu.docx foto.jpg datos.xlsx Node.js",
        "ana@example.com, ana.perez@example.com.co. ana@example.com/x @tienda.com juan.perez",
        "+57 300 123 4567 57.300.123.4567 tel:+573001234567 Data:12/05 Horario:lunes",
        "你好。谢谢。好",
        "https: //, C:carpeta, a:b",
    ],
)
def test_what_only_looks_like_a_link_does_not(text: str) -> None:
    assert links(text) == set()


@given(st.text(max_size=150))
def test_any_text_can_be_looked_at(text: str) -> None:
    assert all(links(text))


def test_a_host_is_found_behind_any_number_of_labels() -> None:
    assert links(f"{'a.' * 5_000}com") == {f"{'a.' * 5_000}com"}
    assert links(f"{'9' * 5_000}.1.1.1 {'-' * 5_000}.com") == set()
