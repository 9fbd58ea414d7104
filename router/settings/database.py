"""The database's URL: what may be written, and the form that the rest of the router gets."""

from pathlib import Path
from urllib.parse import urlsplit

_SQLITE = ("sqlite", "sqlite+aiosqlite")
_POSTGRES = ("postgres", "postgresql", "postgresql+asyncpg")
_FORMS = '"sqlite+aiosqlite:///data/router.db" or "postgresql+asyncpg://host/name"'


def database_url(text: str, folder: Path) -> str:
    """Give the URL with its async driver and, for SQLite, an absolute path.

    :param folder: what a relative path is relative to.
    :raises ValueError: if it is none of the two databases' URLs; the message never quotes it.
    """
    scheme, separator, rest = text.partition("://")
    if separator and scheme in _POSTGRES and rest:
        try:
            urlsplit(text).port  # noqa: B018  reading it checks it
        except ValueError:
            message = f"must be a URL such as {_FORMS}"
            raise ValueError(message) from None
        return f"postgresql+asyncpg://{rest}"
    if separator and scheme in _SQLITE and rest.startswith("/") and rest != "/":
        if rest[1:] == ":memory:" or rest.startswith("/?"):
            message = "must name a file: what is only in memory is lost at the first stop"
            raise ValueError(message)
        path = (folder / rest[1:]).resolve()
        return f"sqlite+aiosqlite:///{path}"
    message = f"must be a URL such as {_FORMS}"
    raise ValueError(message)


def password_of(url: str) -> str | None:
    """Give the password that a URL holds."""
    try:
        return urlsplit(url).password
    except ValueError:
        return None
