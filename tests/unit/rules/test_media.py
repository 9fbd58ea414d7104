"""Which addresses of files a rule or a person may name, and what is known of the file."""

import pytest

from router.domain.message import Attachment
from router.rules.media import file_at

HOST = "https://shop.example"


@pytest.mark.parametrize(
    "path, kind, content_type, name",
    [
        ("/a.jpg", "image", "image/jpeg", "a.jpg"),
        ("/A.JPEG?size=2", "image", "image/jpeg", "A.JPEG"),
        ("/fotos/a.png#top", "image", "image/png", "a.png"),
        ("/nota.ogg", "audio", "audio/ogg", "nota.ogg"),
        ("/nota.opus", "audio", "audio/ogg", "nota.opus"),
        ("/v.mp4", "video", "video/mp4", "v.mp4"),
        ("/lista%20de%20precios.pdf", "document", "application/pdf", "lista de precios.pdf"),
        ("/cat%C3%A1logo.pdf", "document", "application/pdf", "catálogo.pdf"),
        ("/a%2Fb.pdf", "document", "application/pdf", "a_b.pdf"),
        ("/a%0D%0Ab.pdf", "document", "application/pdf", "ab.pdf"),
        ("/factura", "document", None, "factura"),
        ("/.pdf", "document", None, ".pdf"),
        ("/a.exe", "document", None, "a.exe"),
        ("/factura/", "document", None, None),
        ("", "document", None, None),
        ("?file=a.pdf", "document", None, None),
    ],
)
def test_what_a_file_is_follows_from_how_its_name_ends(
    path: str, kind: str, content_type: str | None, name: str | None
) -> None:
    url = HOST + path

    assert file_at(url) == Attachment(kind=kind, url=url, content_type=content_type, name=name)


@pytest.mark.parametrize(
    "host",
    [
        "shop.example:8443",
        "xn--caf-dma.example",
        "8.8.8.8",
        "[2606:4700:4700::1111]",
        "a.b.c.shop.example.",
        "local.example",
        "10.example",
    ],
)
def test_any_host_of_the_public_internet_will_do(host: str) -> None:
    assert file_at(f"https://{host}/a.pdf").url == f"https://{host}/a.pdf"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "shop",
        "files.localhost",
        "printer.local",
        "vault.internal",
        "nas.lan",
        "1.0.0.127.in-addr.arpa",
        "127.0.0.1",
        "127.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "10.1.2.3",
        "192.168.0.1:8443",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "999.1.1.1",
        "[::1]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::a00:1]",
        "[2002:7f00:1::]",
        "...",
    ],
)
def test_an_address_that_leads_into_somebodys_own_network_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is not on the public internet"):
        file_at(f"https://{host}/a.pdf")


@pytest.mark.parametrize(
    "url, words",
    [
        ("http://shop.example/a.pdf", "begins with https://"),
        ("ftp://shop.example/a.pdf", "begins with https://"),
        ("HTTPS://shop.example/a.pdf", "begins with https://"),
        ("shop.example/a.pdf", "begins with https://"),
        ("//shop.example/a.pdf", "begins with https://"),
        ("https:///a.pdf", "begins with https://"),
        ("https://", "begins with https://"),
        ("https://[::1/a.pdf", "begins with https://"),
        ("https://shop.example:99999/a.pdf", "begins with https://"),
        ("https://shop.example:0/a.pdf", "begins with https://"),
        ("https://ana:clave@shop.example/a.pdf", "credentials"),
        ("https://ana@shop.example/a.pdf", "credentials"),
        ("https://@shop.example/a.pdf", "credentials"),
        ("https://shop.example/lista de precios.pdf", "percent-encoded"),
        ("https://shop.example/catálogo.pdf", "percent-encoded"),
        ("https://shop.example/{{ text }}.pdf", "percent-encoded"),
        ("https://shop.example\\@127.0.0.1/a.pdf", "percent-encoded"),
        ("https://shop.example/\n", "percent-encoded"),
        ("https://shop.example/\x00", "percent-encoded"),
        ("", "percent-encoded"),
        ("https://shop.example/" + "a" * 2000, "2,000 characters"),
    ],
)
def test_what_no_provider_could_fetch_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        file_at(url)
