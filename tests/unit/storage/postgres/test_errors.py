"""What the driver's errors mean: the database is away, or we were wrong."""

import asyncpg
import pytest
import sqlalchemy as sa

from router.storage.postgres.engine import in_words, is_away, may_go_well


def ended(reason: Exception) -> Exception:
    """Give what the driver raises for a session that the server ended in a statement."""
    message = f"connection was closed in the middle of operation: {reason}"
    error: Exception = asyncpg.ConnectionDoesNotExistError(message)
    error.__cause__ = reason
    return error


def wrapped(error: Exception, statement: str | None = "SELECT 1") -> Exception:
    """Give an error of the driver's as SQLAlchemy raises it; any other comes as it is.

    :param statement: ``None`` while connecting.
    """
    if not isinstance(error, asyncpg.PostgresError):
        return error
    return sa.exc.DBAPIError(statement, None, adapted(error))


def adapted(error: Exception) -> Exception:
    """Give an error of the driver's as SQLAlchemy's adapter raises it."""
    found = Exception(str(error))
    found.__cause__ = error
    return found


DISK = "could not write to log file: File too large"


@pytest.mark.parametrize(
    "error",
    [
        # The server gave an internal error of its own as the reason, and ended.
        ended(asyncpg.InternalServerError(DISK)),
        ended(asyncpg.AdminShutdownError("terminating connection")),
        asyncpg.DiskFullError(DISK),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.InvalidPasswordError("no"),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_database_is_away_however_that_is_told(error: Exception) -> None:
    assert is_away(error)
    assert is_away(wrapped(error))
    assert not may_go_well(error)


def test_a_server_that_fails_while_we_connect_is_away() -> None:
    error = asyncpg.InternalServerError("cache lookup failed")

    assert is_away(wrapped(error, statement=None))
    assert is_away(adapted(error))
    assert not is_away(wrapped(error))
    assert not is_away(error)


@pytest.mark.parametrize(
    "message",
    [
        "could not write init file: File too large",
        'could not extend file "base/5/16399": File too large',
        'could not write block 7 in file "base/5/16399": Disk quota exceeded',
    ],
)
def test_a_server_that_cannot_write_its_own_files_is_away(message: str) -> None:
    error = asyncpg.InternalServerError(message)

    assert is_away(error)
    assert is_away(wrapped(error))


@pytest.mark.parametrize(
    "error",
    [asyncpg.InternalServerError("cache lookup failed"), asyncpg.CheckViolationError("no"),
     ValueError("no"), asyncpg.DeadlockDetectedError("deadlock")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_an_error_in_what_we_asked_is_no_absence(error: Exception) -> None:
    assert not is_away(error)
    assert not is_away(wrapped(error))


def test_the_reason_that_the_server_gave_is_told() -> None:
    told = str(in_words(ended(asyncpg.InternalServerError(DISK))))
    assert told.startswith("PostgreSQL: ")
    assert told.endswith(DISK)
