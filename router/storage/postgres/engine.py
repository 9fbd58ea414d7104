"""Reaching PostgreSQL: engines, what an address may say, and the server's errors in words."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast
from weakref import WeakSet

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only

from router.errors import StorageError, StorageUnavailable

if TYPE_CHECKING:
    from asyncpg.connection import Connection as Raw

Result = TypeVar("Result")

#: Seconds until a connection has to be there, and until a statement has to be answered.
CONNECT = 10.0
STATEMENT = 60.0
#: Seconds that anybody waits for what another has locked, such as a table that is being rewritten:
#: less than a heartbeat has, so that the server says what is wrong before it counts as silent.
LOCKED = 5.0

#: Classes of SQLSTATE that say the server is away, full or busy, and not that we were wrong.
_AWAY = ("08", "53", "57", "58")
#: Single states that pass: a standby, a session that was ended, a lock that took too long, and a
#: table or a database that is not there, for it was at the start: a backup is being restored.
_PASSING = ("25006", "25P03", "25P04", "42P01", "55000", "55P03")
#: What may go well at the next try: serialization, deadlock, and a row that another node inserted.
_AGAIN = ("40001", "40P01", "23505")
_REJECTED = ("28", "3D", "42501")
#: What the server calls an error of its own.
_INTERNAL = "XX"
#: A file of the server's that it cannot write, for a reason that has no SQLSTATE of its own, such
#: as a quota or a limit of size; a full disk is 53100.
_FILE = re.compile(r"could not \w+ .*\bfile\b")

#: What comes of a database that cannot be used, whatever it is that is wrong with it.
UNUSABLE = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sa.exc.DBAPIError,
)

_OPTIONS = frozenset(
    {"host", "port", "user", "password", "database", "ssl", "passfile", "target_session_attrs"}
)


def parse(url: str) -> sa.URL:
    """Read a database's URL, as people have it from their provider.

    :raises StorageError: in words, if it has an option that the driver does not know.
    """
    parsed = sa.make_url(url).set(drivername="postgresql+asyncpg")
    query = dict(parsed.query)
    # What libpq calls it, and every hosted database writes.
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    query.pop("channel_binding", None)
    unknown = sorted(set(query) - _OPTIONS)
    if unknown:
        message = (
            f'the database\'s URL has an option "{unknown[0]}" that is not known. '
            f"Known: {', '.join(sorted(_OPTIONS | {'sslmode'}))}"
        )
        raise StorageError(message)
    return parsed.set(query=query)


class Sessions:
    """Sessions that can be given up all at once, whatever they wait for."""

    def __init__(self) -> None:
        self._raws: WeakSet[Raw[Any]] = WeakSet()

    def of(self, engine: AsyncEngine) -> AsyncEngine:
        """Mind what an engine opens from now on; give the engine."""
        sa.event.listen(engine.sync_engine, "connect", self._opened)
        return engine

    def _opened(self, adapted: Any, _record: object) -> None:
        self._raws.add(adapted.driver_connection)

    def cut(self) -> None:
        """Close every connection without a word. Whoever waits for one is told that it is lost."""
        for raw in tuple(self._raws):
            if not raw.is_closed():
                raw.terminate()


def make_engine(url: str, *, pooled: bool = False, connections: int | None = None) -> AsyncEngine:
    """Give an engine whose connections begin no transaction by themselves.

    :param pooled: there is a transaction pooler in between: nothing may stay behind in a session.
    :param connections: how many are kept; ``None`` keeps none.
    """
    arguments: dict[str, Any] = {"timeout": CONNECT, "command_timeout": STATEMENT}
    if pooled:
        arguments["statement_cache_size"] = 0
        arguments["prepared_statement_cache_size"] = 0
        # The unnamed statement: the next one of the same session may be somebody else's.
        arguments["prepared_statement_name_func"] = str
    else:
        arguments["server_settings"] = {
            "application_name": "channel-router",
            "jit": "off",
            # Whatever the role says: NULL in an array is no text.
            "array_nulls": "on",
        }
    options: dict[str, Any] = {"poolclass": NullPool}
    if connections is not None:
        options = {"pool_size": connections, "max_overflow": 0, "pool_timeout": STATEMENT}
    return create_async_engine(
        parse(url), connect_args=arguments, isolation_level="AUTOCOMMIT", **options
    )


async def raw_of(connection: AsyncConnection) -> "Raw[Any]":
    """Give the driver's own connection below one of SQLAlchemy's."""
    pooled = await connection.get_raw_connection()
    return cast("Raw[Any]", pooled.driver_connection)


_ARRAYS = re.compile(r"\$(\d+)::(text|bigint|int)\[\]")


@cache
def _sent(statement: str) -> tuple[str, tuple[tuple[int, bool], ...]]:
    """Give a statement as it is sent, and which of its values are arrays, and whether of texts.

    They go as one text each: the driver takes three times as long to write an array down.
    """
    places = {int(number) - 1: type_ == "text" for number, type_ in _ARRAYS.findall(statement)}
    return _ARRAYS.sub(r"$\1::text::\2[]", statement), tuple(sorted(places.items()))


def number_array(numbers: Sequence[int | None]) -> str:
    """Write an array of whole numbers as the server reads it."""
    if None in numbers:
        return f"{{{','.join('NULL' if it is None else str(it) for it in numbers)}}}"
    return f"{{{','.join(map(str, numbers))}}}"


def text_array(texts: Sequence[str | None]) -> str:
    """Write an array of texts as the server reads it."""
    if None not in texts:
        joined = '","'.join(cast("Sequence[str]", texts))
        if "\\" not in joined and joined.count('"') == 2 * (len(texts) - 1):
            return f'{{"{joined}"}}' if texts else "{}"
    return f"{{{','.join(map(_quoted, texts))}}}"


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class MovedOn(Exception):
    """A thread has changed under what was decided on it; to be done again, carefully."""


class Transaction:
    """What an operation works with: one transaction, synchronous inside SQLAlchemy's greenlet.

    :ivar sql: the connection for functions that are written once. It neither begins nor commits.
    :ivar me: this node's number, while it may lease; else ``None``.
    :ivar single: each statement is committed by itself; only the first may be one that has to
        happen, and whatever it leases is given up if one fails after it.
    :ivar careful: everything is locked before anything is changed.
    :ivar answered: how many statements were.
    :ivar published: what to hand out once the transaction is committed.
    """

    def __init__(
        self,
        raw: "Raw[Any]",
        sql: sa.Connection,
        me: int | None = None,
        *,
        single: bool = False,
        careful: bool = False,
    ) -> None:
        self.raw = raw
        self.sql = sql
        self.me = me
        self.single = single
        self.careful = careful
        self.answered = 0
        self.published: list[Any] = []

    def rows(self, statement: str, *values: Any) -> "list[asyncpg.Record]":
        """Run a statement and give what it returns.

        :param values: a list or a tuple for each array.
        """
        statement, places = _sent(statement)
        if places:
            sent = list(values)
            for place, texts in places:
                sent[place] = (text_array if texts else number_array)(values[place])
            values = tuple(sent)
        try:
            rows: list[asyncpg.Record] = await_only(self.raw.fetch(statement, *values))
        except asyncpg.DataError as error:
            # The driver's own name for what Python says better: a text that is none, for one.
            raise error.__cause__ or error from None
        self.answered += 1
        return rows

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let statements be one transaction where each would be one by itself."""
        if self.single:
            await_only(self.raw.execute("BEGIN"))
        yield
        if self.single:
            await_only(self.raw.execute("COMMIT"))


_ENDINGS = ("commit", "rollback", "begin", "begin_nested", "close")


def guard(connection: sa.Connection) -> None:
    """Keep functions from ending the transaction that they are part of."""
    if not connection.in_transaction():
        connection.begin()

    def forbidden(*_args: Any, **_options: Any) -> NoReturn:
        message = "the store commits: a stray commit or rollback would break its promises"
        raise RuntimeError(message)

    for name in _ENDINGS:
        setattr(connection, name, forbidden)


def _unguard(connection: sa.Connection) -> None:
    for name in _ENDINGS:
        delattr(connection, name)


async def in_transaction(
    engine: AsyncEngine, function: Callable[[Transaction], Result], beginning: str = "BEGIN"
) -> tuple[Result, Transaction]:
    """Run a function in a transaction of its own and commit it; give what it published, too.

    :param beginning: the statements that begin it; see :func:`begin`.
    """
    async with connected(engine) as (connection, raw):
        await raw.execute(beginning)
        try:
            result = await connection.run_sync(_guarded, function, raw)
            await raw.execute("COMMIT")
        except BaseException:
            await roll_back(raw)
            raise
        return result


async def roll_back(raw: "Raw[Any]") -> None:
    """End a transaction that broke; the error that broke it stays the one that is told.

    A cancellation above all: whoever waits for its end would wait for ever.
    """
    if not raw.is_closed():
        try:
            await raw.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - nobody may use it again; the server rolls back by itself
            raw.terminate()


def _guarded(
    sql: sa.Connection, function: Callable[[Transaction], Result], raw: "Raw[Any]"
) -> tuple[Result, Transaction]:
    guard(sql)
    tx = Transaction(raw, sql)
    try:
        return function(tx), tx
    finally:
        _unguard(sql)


@asynccontextmanager
async def connected(engine: AsyncEngine) -> "AsyncIterator[tuple[AsyncConnection, Raw[Any]]]":
    """Lend a connection of the pool, and the driver's own below it; one that broke is let go of."""
    async with engine.connect() as connection:
        raw = await raw_of(connection)
        while raw.is_closed():
            # It was idle when the server ended it.
            await connection.invalidate()
            raw = await raw_of(connection)
        try:
            yield connection, raw
        finally:
            if raw.is_closed():
                await connection.invalidate()


def cause_of(error: BaseException) -> BaseException:
    """Give what the driver said, below what SQLAlchemy made of it."""
    if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
        error = error.orig
    # SQLAlchemy's adapter raises errors of its own from the driver's. Of a session that the server
    # ended the driver says that it is gone, and gives what the server said last as the cause; that
    # alone does not tell that it is gone.
    below = None if isinstance(error, asyncpg.PostgresError) else error.__cause__
    return below if isinstance(below, asyncpg.PostgresError) else error


def state_of(error: BaseException) -> str:
    """Give the SQLSTATE of an error; empty if it has none."""
    return str(getattr(cause_of(error), "sqlstate", None) or "")


#: What comes of a connection that is lost. The driver is confused by one that a server which is
#: stopping cuts off in the middle of a statement; such a connection is of no use any more.
_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sa.exc.TimeoutError,
)


def is_away(error: BaseException) -> bool:
    """Tell whether the database is away, full or busy, and the same call may work later."""
    state = state_of(error)
    if state:
        away = state[:2] in _AWAY or state in _PASSING or state.startswith(_REJECTED)
        return away or (state.startswith(_INTERNAL) and _is_the_servers(error))
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    cause = cause_of(error)
    # The driver's complaints about our own arguments are interface errors, too.
    return not isinstance(cause, ValueError) and isinstance(cause, _LOST)


def _is_the_servers(error: BaseException) -> bool:
    """Tell whether an internal error is about the server's files, or came while connecting.

    There is no connection yet where SQLAlchemy has no statement to name, or hands its adapter's
    own error on because a lost connection is made anew.
    """
    if _FILE.match(str(cause_of(error))):
        return True
    if isinstance(error, sa.exc.DBAPIError):
        return error.statement is None
    return not isinstance(error, asyncpg.PostgresError)


def was_refused(error: BaseException, raw: "Raw[Any]") -> bool:
    """Tell whether a statement certainly did nothing.

    The server said so, and goes on; or it was never sent.
    """
    cause = cause_of(error)
    if isinstance(cause, asyncpg.PostgresError):
        return cause.severity_en == "ERROR" and not raw.is_closed()
    return isinstance(error, Exception) and not is_away(error) and not raw.is_closed()


def may_go_well(error: BaseException) -> bool:
    """Tell whether the same transaction may go well at once: others were in its way."""
    return state_of(error) in _AGAIN


def in_words(error: BaseException) -> StorageUnavailable:
    """Say that the database is away, and why."""
    cause = cause_of(error)
    if isinstance(cause, TimeoutError):
        return StorageUnavailable("PostgreSQL: it does not answer")
    text = (str(cause).splitlines() or [""])[0] or type(cause).__name__
    return StorageUnavailable(f"PostgreSQL: {text}")


def settings(values: Mapping[str, str], *, local: bool) -> str:
    """Give statements that change settings of the session, or of one transaction."""
    word = "SET LOCAL" if local else "SET"
    return "; ".join(f"{word} {name} = '{value}'" for name, value in values.items())


def patient(seconds: float) -> dict[str, str]:
    """Give the settings by which a transaction neither waits long nor keeps others waiting.

    :param seconds: for which it may say nothing; then the server ends its session.
    """
    return {
        "idle_in_transaction_session_timeout": f"{max(1, int(seconds * 1000))}ms",
        "lock_timeout": f"{LOCKED:g}s",
    }


def begin(patience: float, how: str = "BEGIN") -> str:
    """Give what begins a transaction outside of the flushers, in one command.

    A process that froze in it would keep its locks from everybody else.

    :param patience: see :func:`patient`.
    """
    return f"{how}; {settings(patient(patience), local=True)}"


async def keep_open(raw: "Raw[Any]", over: asyncio.Event, every: float) -> None:
    """Say something now and then in a transaction that has to outlast its patience.

    A process that froze says nothing, and loses it. Whoever set the event waits for the end of
    this: a connection does one thing at a time.

    :param every: seconds.
    """
    with suppress(Exception):  # the transaction is gone, and everything that goes with it
        while not over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await over.wait()
                    break
            await raw.execute("SELECT 1")
