"""Why a PostgreSQL cannot be used, for whoever set it up: which, what it says, what to do."""

import socket
from typing import TYPE_CHECKING, Final

from router.errors import StorageError, StorageUnavailable
from router.storage.postgres.engine import cause_of, state_of

if TYPE_CHECKING:
    import sqlalchemy as sa

#: What to do, by the beginning of a SQLSTATE.
_REMEDIES: Final = {
    "28": "Look at the user and the password in [router] database, and at pg_hba.conf.",
    "3D": "Make it: CREATE DATABASE \"{database}\" ENCODING 'UTF8' TEMPLATE template0.",
    "3F": 'Let its user make tables: GRANT CREATE ON SCHEMA public TO "{user}".',
    "42501": 'Let its user make tables: GRANT CREATE ON SCHEMA public TO "{user}".',
    "53300": "Give its user more connections, or let fewer nodes use it.",
    "25006": "Name the primary in [router] database, or let its user write.",
}


def in_words(url: "sa.URL", error: BaseException) -> StorageUnavailable:
    """Say why a database cannot be used, where it is, and what helps; never its password."""
    said = cause_of(error)
    if isinstance(said, TimeoutError):
        why = "it does not answer"
    else:
        why = (str(said).splitlines() or [type(said).__name__])[0]
    help_ = _remedy(state_of(error), said).format(
        database=url.database or url.username or "", user=url.username or ""
    )
    words = f"PostgreSQL cannot be used: {_place(url)}: {why}"
    return StorageUnavailable(f"{words.rstrip('.')}. {help_}" if help_ else words)


def _remedy(state: str, said: BaseException) -> str:
    if isinstance(said, socket.gaierror):
        return "Look at the host in [router] database."
    return next((it for start, it in _REMEDIES.items() if state.startswith(start)), "")


def _place(url: "sa.URL") -> str:
    """Give the database and its host as the address names them."""
    hosts = url.query.get("host", ())
    host = url.host or (hosts if isinstance(hosts, str) else ", ".join(hosts))
    port = f":{url.port}" if url.port else ""
    return f'"{url.database or url.username or ""}" at {host or "this machine"}{port}'


def check_encoding(connection: "sa.Connection") -> None:
    """See to it that a database keeps whatever customers write.

    :raises StorageError: if its encoding lacks some characters, or does not know what one is.
    """
    raw = connection.connection.driver_connection
    assert raw is not None  # noqa: S101 - for the type checker
    # The server told it as the connection was made.
    encoding = raw.get_settings().server_encoding
    if encoding != "UTF8":
        raise StorageError(
            f"the database's encoding is {encoding}, which cannot keep every text: an emoji, for "
            "one. Make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )
