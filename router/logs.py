"""Structured logs: JSON lines for machines, readable lines on a terminal, no secret in either.

No call of a log ends what it tells of, whatever it is given.
"""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, TextIO
from urllib.parse import quote, quote_plus, unquote


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Let an import think that a module is not installed, unless it is loaded already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


# For tracebacks that we print plainly it would load rich and pygments: a tenth of a start and of
# the memory of an idle process.
with _without("rich"):
    import structlog

#: What stands where a secret stood.
REDACTED = "[secret]"
#: The names that every line has of its own: no value is told by them.
OWN: Final = frozenset({"event", "level", "timestamp"})
#: Shorter values are too likely to be part of an innocent word.
_SHORTEST_SECRET = 4


class Redaction:
    """Blanks out the values of secrets in whatever is logged."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Learn more values, as a reload does."""
        known = {*self._secrets, *(spelled for text in secrets for spelled in _spellings(text))}
        # The longest first, so that one secret inside another leaves nothing behind.
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        if self._secrets:
            for name, value in event.items():
                event[name] = self.clean(value)
        return event

    def clean(self, value: Any) -> Any:
        """Give a value without secrets, whatever is inside it."""
        if isinstance(value, str):
            for secret in self._secrets:
                if secret in value:
                    value = value.replace(secret, REDACTED)
            return value
        if isinstance(value, dict):
            return {self.clean(key): self.clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.clean(item) for item in value]
        if value is None or isinstance(value, int | float):
            return value
        return self.clean(str(value))


def _spellings(secret: str) -> Iterator[str]:
    """Give a secret as it is, and as addresses, JSON and Python's errors write it.

    Whoever quotes it need not spell it as we were told it: a driver says the password that its
    URL has in percent signs, a provider the key in the address that it could not find. Of most
    secrets all of this is the same.
    """
    spelled = {
        secret,
        unquote(secret),
        quote(secret, errors="replace"),
        quote(secret, safe="", errors="replace"),
        quote_plus(secret, errors="replace"),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }
    if len(secret) >= _SHORTEST_SECRET:
        yield from (text for text in spelled if len(text) >= _SHORTEST_SECRET)


class _Logger(structlog.BoundLoggerBase):
    """Writes a line for each call; a value by a name that the line has already as ``name_``.

    structlog's own loggers would raise, or put the value in the place of what the line has.
    """

    def debug(self, event: str, /, **values: Any) -> None:
        self._write("debug", event, values)

    def info(self, event: str, /, **values: Any) -> None:
        self._write("info", event, values)

    def warning(self, event: str, /, **values: Any) -> None:
        self._write("warning", event, values)

    def error(self, event: str, /, **values: Any) -> None:
        self._write("error", event, values)

    def _write(self, level: str, event: str, values: dict[str, Any]) -> None:
        taken = OWN | self._context.keys()
        values = {f"{name}_" if name in taken else name: it for name, it in values.items()}
        try:
            line, _ = self._process_event(level, event, values)
        except Exception as error:  # noqa: BLE001 - a plugin's value need not be printable
            line, _ = self._process_event(level, event, {"unwritten": type(error).__name__})
        self._logger.msg(*line)


class _Brief(_Logger):
    """Keeps what is for developers to itself."""

    def debug(self, event: str, /, **values: Any) -> None:
        pass


class _Forward(logging.Handler):
    """Hands what libraries log to our own log."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                error = record.exc_info[1]
                text = f"{text}: {type(error).__name__}: {error}"
            level = "error" if record.levelno >= logging.ERROR else "warning"
            getattr(self._log, level)(text, library=record.name)
        except Exception:  # noqa: BLE001 - the protocol of logging.Handler
            self.handleError(record)


class _Lines:
    """Writes lines. One that cannot be written is lost: no work may fail for want of a log."""

    def __init__(self, out: TextIO, lost: Callable[[], None]) -> None:
        self._out = out
        self._lost = lost

    def msg(self, line: str) -> None:
        try:
            self._out.write(f"{line}\n")
            self._out.flush()
        except (OSError, ValueError):  # a full disk, a reader that is gone; a closed stream
            self._lost()


def configure(
    redaction: Redaction,
    *,
    stream: TextIO | None = None,
    debug: bool = False,
    lost: Callable[[], None] = lambda: None,
) -> Any:
    """Set up logging for this process; give the logger.

    :param lost: called for each line that cannot be written.
    """
    out = sys.stderr if stream is None else stream
    renderer: Any
    if out.isatty():
        renderer = structlog.dev.ConsoleRenderer(
            colors=True, exception_formatter=structlog.dev.plain_traceback
        )
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    log = structlog.wrap_logger(
        _Lines(out, lost),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redaction,
            renderer,
        ],
        wrapper_class=_Logger if debug else _Brief,
        context_class=dict,
    )
    root = logging.getLogger()
    root.handlers = [_Forward(log)]
    root.setLevel(logging.WARNING)
    for name in ("httpx", "httpcore"):
        # They write every address at INFO, and some providers' addresses hold a token.
        logging.getLogger(name).setLevel(logging.WARNING)
    return log.bind()
