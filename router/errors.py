"""The errors of the router, one tree.

RouterError
├── ConfigError            mistakes in router.toml or in rules files, all of them at once
├── PluginError            a plugin cannot be loaded, or breaks the contract
├── StorageError           the database refuses
│   ├── DatabaseLocked     another process owns the SQLite file
│   ├── SchemaMismatch     the schema is not the one this version needs
│   └── StorageUnavailable the database is away or full; the same call may work later
├── ActRefused             what a person asked for cannot be done as things stand
│   └── NotFound           what it was asked for does not exist
├── DaemonUnreachable      the running daemon does not answer on its control socket
├── InvalidSignature       a webhook that its provider did not sign
│   └── NotSigned          it carries no signature at all: it may be anybody's
└── ProviderError          what went wrong at somebody else's server
    ├── Unavailable        certainly not taken: safe to try again
    │   └── NoConnection   it never left: this process has too many calls under way
    ├── Refused            certainly not taken, and never will be
    └── OutcomeUnknown     may have been taken: never repeated blindly
        └── SocketClosed   a WebSocket ended; what was sent last may have been taken
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from traceback import extract_tb

#: So many places are named of an error of ours, the innermost last.
_PLACES = 8


class RouterError(Exception):
    """Something the router expected could go wrong, in words for an operator."""


class ConfigError(RouterError):
    """The configuration has mistakes.

    :param problems: every mistake found, in the order of files and lines. Each prints itself as
        ``file:line:column: what is wrong. What to do``.
    """

    def __init__(self, problems: Sequence[object]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PluginError(RouterError):
    """A plugin cannot be loaded, or does not keep the contract."""

    #: The single-file plugin that is at fault; ``None`` for another, or where none is known.
    file: Path | None = None


class StorageError(RouterError):
    """The database refused."""


class DatabaseLocked(StorageError):
    """Another process owns the database file; the message names it."""


class SchemaMismatch(StorageError):
    """The database's schema is not the one that this version needs."""


class StorageUnavailable(StorageError):
    """The database is away or full. Nothing was kept; the same call may work later."""


class ActRefused(RouterError):
    """What a person asked for cannot be done as things stand. Nothing was changed."""


class NotFound(ActRefused):
    """There is no such thing. Nothing was changed."""


class DaemonUnreachable(RouterError):
    """The running daemon does not answer on its control socket."""


class InvalidSignature(RouterError):
    """The request was not signed by the channel's provider.

    The message goes to the operator's log, never to the sender: say which check failed
    (missing header, too old, no secret matched), and never a secret or a computed signature.
    """


class NotSigned(InvalidSignature):
    """The request carries no signature, or no key, where the provider puts one.

    Strangers send such requests, and providers that were not told to sign. It is refused like any
    other; only what the operator is told of it differs.
    """


class ProviderError(RouterError):
    """A call to a provider did not succeed.

    :param reason: a sentence for the operator.
    :param code: the provider's own error code, if it gave one.
    """

    def __init__(self, reason: str = "", *, code: str | None = None) -> None:
        super().__init__(reason or type(self).__doc__ or "")
        self.reason = str(self)
        self.code = code


class Unavailable(ProviderError):
    """The provider certainly did not take the call. It is tried again later.

    :param retry_after: seconds the provider asked us to wait, or ``None``.
    """

    def __init__(
        self, reason: str = "", *, code: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(reason, code=code)
        self.retry_after = retry_after


class NoConnection(Unavailable):
    """No connection, or thread, of ours was free for the call. It is no fault of the provider's."""


class Refusal(StrEnum):
    """Refusals that say something about the customer, and not only about one message.

    .. versionadded:: 1.0
    """

    #: The customer wrote too long ago for free text; only templates are taken until they write.
    WINDOW_CLOSED = "window_closed"
    #: The customer told the provider that they want no messages of this sender.
    OPTED_OUT = "opted_out"


class Refused(ProviderError):
    """The provider refused the call for good. It is never tried again.

    :param why: what it says about the customer; the host acts on it: it corrects the
        conversation's window, or notes that the customer opted out and withdraws what waits.
    """

    def __init__(
        self, reason: str = "", *, code: str | None = None, why: Refusal | None = None
    ) -> None:
        super().__init__(reason, code=code)
        self.why = why


class OutcomeUnknown(ProviderError):
    """Nobody can tell whether the provider took the call. It is never repeated blindly."""


class SocketClosed(OutcomeUnknown):
    """A WebSocket has ended.

    :param close_code: the protocol's number for it (RFC 6455, section 7.4), 1006 where the
        connection was lost without a word. ``code`` is the same, as text.
    :param said: the server's own words; empty where it gave none.

    .. versionadded:: 1.1
    """

    def __init__(self, close_code: int, said: str = "", *, who: str = "the server") -> None:
        ending = "lost the connection" if close_code == 1006 else f"closed with {close_code}"
        super().__init__(f"{who} {ending}{f': {said}' if said else ''}", code=str(close_code))
        self.close_code = close_code
        self.said = said


def words_of(error: BaseException) -> str:
    """Say of an error what kind it is, and its words, where it has any that can be printed.

    A plugin's need not be printable: some libraries' expect values that they were not given.
    """
    name = type(error).__name__
    try:
        return f"{name}: {error}".removesuffix(": ")
    except Exception:  # noqa: BLE001 - somebody else's code, which has failed already
        return name


def place_of(error: BaseException) -> str:
    """Give the place of an error of ours for whoever mends it: what called, and what failed."""
    frames = extract_tb(error.__traceback__)
    return " > ".join(f"{Path(it.filename).name}:{it.lineno} {it.name}" for it in frames[-_PLACES:])
