import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.content import UNKNOWN, agrees, content_type_of

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"GIF89a\x01\0\x01\0", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x18ftypheic", "image/heic"),
        (b"OggS\0\x02" + b"\0" * 20 + b"OpusHead", "audio/ogg"),
        (b"OggS\0\x02" + b"\0" * 20 + b"\x80theora", "video/ogg"),
        (b"ID3\x04\0\0", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"#!AMR\n", "audio/amr"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"\0\0\0\x20ftypM4A ", "audio/mp4"),
        (b"\0\0\0\x20ftypisom", "video/mp4"),
        (b"\0\0\0\x14ftyp3gp4", "video/3gpp"),
        (b"\x1aE\xdf\xa3\x01", "video/webm"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"PK\x03\x04\x14\0" + b"\0" * 24 + b"[Content_Types].xml" + b"word/document.xml", DOCX),
        (
            b"PK\x03\x04\x14\0" + b"\0" * 24 + b"mimetypeapplication/vnd.oasis.opendocument.text",
            "application/vnd.oasis.opendocument.text",
        ),
        (b"PK\x03\x04\x14\0" + b"\0" * 24 + b"fotos/1.jpg", "application/zip"),
        ("¿A qué hora abren?\r\n".encode(), "text/plain"),
        (b"MZ\x90\0\x03", UNKNOWN),
        (b"\x7fELF\x02", UNKNOWN),
        (b"RIFF\x24\0\0\0????", UNKNOWN),
        (b"\xff", UNKNOWN),
        (b"", UNKNOWN),
    ],
)
def test_a_file_is_known_by_its_first_bytes(data: bytes, expected: str) -> None:
    assert content_type_of(data) == expected


@given(st.binary(max_size=64))
def test_any_bytes_have_a_type(data: bytes) -> None:
    assert "/" in content_type_of(data)


@pytest.mark.parametrize(
    ("declared", "found", "expected"),
    [
        ("image/jpeg", "image/jpeg", True),
        ("IMAGE/JPEG; name=foto.jpg", "image/png", True),
        ("", "image/png", True),
        ("application/octet-stream", "application/pdf", True),
        ("audio/ogg; codecs=opus", "audio/ogg", True),
        ("video/mp4", "audio/mp4", True),
        ("audio/mpeg", "video/quicktime", False),
        ("text/csv", "text/plain", True),
        ("application/json", "text/plain", True),
        ("application/x-zip-compressed", "application/zip", True),
        ("image/png", "application/pdf", False),
        ("application/pdf", "application/zip", False),
        ("application/pdf", "text/plain", False),
        ("text/plain", UNKNOWN, False),
        ("image/jpeg", UNKNOWN, False),
    ],
)
def test_what_a_file_is_called_has_to_agree_with_its_bytes(
    declared: str, found: str, expected: bool
) -> None:
    assert agrees(declared, found) is expected
