"""Suite: rows that become cases, for pytest and for ``router plugins check``."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, SecretStr, ValidationError

from router.errors import ProviderError
from router.plugin.config import PluginConfig
from router.plugin.context import PluginContext
from router.plugin.http import classify
from router.plugin.instance import Instance
from router.plugin.registry import InstanceT_co
from router.plugin.testing.context import FakeContext, Reply
from router.plugin.testing.network import NetworkUsedError, no_network
from router.plugin.testing.rows import Expected, Raises
from router.plugin.testing.sockets import Dialogue

_SHORTEST_SECRET = 6
_LIBRARIES = (
    "aiohttp",
    "asyncio",
    "hypothesis",
    "httpcore",
    "httpx",
)  # what they log is the host's business


class CheckFailedError(AssertionError):
    """A plugin does not keep the contract; the text says in which way."""


def expect(condition: object, otherwise: str) -> None:
    """Fail with a sentence unless the condition holds.

    :raises CheckFailedError: with the sentence.
    """
    if not condition:
        raise CheckFailedError(otherwise)


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to check: of one row, or of the plugin as a whole where ``label`` is empty."""

    check: str
    label: str
    run: Callable[[Any], None]

    @property
    def name(self) -> str:
        return f"test_{self.check}[{self.label}]" if self.label else f"test_{self.check}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one call of a plugin.

    :param error: what it raised, as the host would take it.
    :param raw: what it raised.
    """

    context: FakeContext
    value: Any = None
    error: ProviderError | None = None
    raw: Exception | None = None


class Factory(Protocol[InstanceT_co]):
    """A class under test, or anything else that is called like one."""

    def __call__(self, config: Any, context: PluginContext, /) -> InstanceT_co: ...


class Suite(ABC):
    """What the suites for channels, AI backends and actions have in common.

    Subclass one of those; the class body holds rows, and each check of each row becomes a method
    named ``test_…`` that pytest collects by itself.
    """

    #: The configuration of the instance under test. Its secrets are looked for in everything the
    #: plugin says, so make them words that stand nowhere else.
    config: ClassVar[PluginConfig]

    #: Checks that do not apply, each with the reason.
    exempt: ClassVar[Mapping[str, str]] = {}

    #: One call of the plugin may take so long, in seconds; its provider answers at once.
    time_limit: ClassVar[float] = 30.0

    #: The names of the checks, which are what :attr:`exempt` names.
    checks: ClassVar[tuple[str, ...]] = ()

    #: The attribute that holds the class under test.
    _subject: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in [name for name in dir(cls) if name.startswith("test_") and "[" in name]:
            setattr(cls, name, None)  # a row of the parent class, which this one may not have
        if not cls.has_subject():
            return
        for case in cls.cases():
            if case.check not in cls.exempt:
                setattr(cls, case.name, _as_test(case))
        for check in cls.exempt:
            setattr(cls, f"test_{check}", None)

    @classmethod
    def cases(cls) -> list[Case]:
        """Give everything there is to check, exempt or not."""
        return [
            Case("exemptions", "", Suite.check_exemptions),
            Case("unknown_config_key", "", Suite.check_unknown_config_key),
            Case("secrets", "", Suite.check_secrets),
            *cls._rows(),
        ]

    @classmethod
    @abstractmethod
    def _rows(cls) -> list[Case]: ...

    @abstractmethod
    def _utterances(self) -> Iterator[object]:
        """Provoke the plugin in every way the rows know, and give what it says."""

    @classmethod
    def has_subject(cls) -> bool:
        """Say whether this suite is about a plugin, and not a base of such suites."""
        return bool(cls._subject) and hasattr(cls, cls._subject)

    @classmethod
    def subject(cls) -> Factory[Instance[Any]]:
        """Give the class under test, or the callable that makes instances."""
        factory: Factory[Instance[Any]] = getattr(cls, cls._subject)
        return factory

    def make(self, context: FakeContext | None = None) -> Any:
        """Make an instance of the class under test."""
        return self.subject()(self.config, context or FakeContext())

    def perform(
        self,
        replies: Sequence[Reply],
        call: Callable[[Any], Awaitable[Any]],
        sockets: Sequence[Dialogue] = (),
    ) -> Outcome:
        """Make an instance, live its lifespan and call it once in there.

        :raises CheckFailedError: if it asks for a reply that is not scripted, uses the network
            otherwise, or does not end.
        """
        return asyncio.run(self._perform(replies, call, sockets))

    async def _perform(
        self,
        replies: Sequence[Reply],
        call: Callable[[Any], Awaitable[Any]],
        sockets: Sequence[Dialogue],
    ) -> Outcome:
        async with FakeContext(*replies, sockets=sockets) as context:
            value, raw = None, None
            limit = asyncio.timeout(self.time_limit)
            try:
                with no_network():
                    instance = self.make(context)
                    async with limit, instance.lifespan():
                        value = await call(instance)
            except NetworkUsedError as error:
                raise CheckFailedError(str(error)) from error
            except Exception as error:  # a plugin call: any exception is an outcome
                if limit.expired():
                    raise CheckFailedError(
                        f"it did not end within {self.time_limit:g} s, though its provider answers"
                    ) from error
                raw = error
        if context.server.unexpected:
            message = (
                f"WebSocket number {len(context.opened)}, {context.opened[-1]}, is one too many: "
                "one call is one attempt, and the host repeats it"
            )
            raise CheckFailedError(message)
        if context.unexpected:
            one = context.unexpected[0]
            message = (
                f"request number {len(context.requests)}, {one.method} to {one.url.host}, is one "
                "too many: one call is one attempt, and the host repeats it"
            )
            raise CheckFailedError(message)
        return Outcome(context, value, None if raw is None else classify(raw), raw)

    def compare(
        self,
        outcome: Outcome,
        wanted: object,
        raises: Raises | None,
        requests: Sequence[Expected] | None,
    ) -> None:
        """Hold an outcome against what its row expects.

        :raises CheckFailedError: naming the first difference.
        """
        if raises is None:
            expect(
                outcome.raw is None,
                f"it raised {type(outcome.raw).__name__}: {outcome.raw}",
            )
            expect(
                wanted is None or outcome.value == wanted,
                f"expected {wanted!r}, got {outcome.value!r}",
            )
        else:
            _compare_errors(outcome, raises)
        if requests is not None:
            made = outcome.context.requests
            expect(len(made) == len(requests), f"expected {len(requests)} requests: {made}")
            for number, (wanted_request, request) in enumerate(
                zip(requests, made, strict=True), start=1
            ):
                difference = wanted_request.difference(request)
                expect(difference is None, f"request {number}, {difference}")
        left = len(outcome.context.unused)
        expect(not left, f"{left} of the scripted replies were never asked for")
        server = outcome.context.server
        expect(not server.problems, "; ".join(server.problems))
        left = len(server.unused)
        expect(not left, f"{left} of the scripted WebSockets were never opened")

    def check_exemptions(self) -> None:
        for check, reason in self.exempt.items():
            known = ", ".join(self.checks)
            expect(check in self.checks, f"there is no check {check!r} to exempt. Checks: {known}")
            expect(reason.strip(), f"say why {check!r} is exempt")

    def check_unknown_config_key(self) -> None:
        values = {name: getattr(self.config, name) for name in self.config.model_fields_set}
        refused: set[str] = set()
        try:
            type(self.config).model_validate({**values, "no_such_key": 1})
        except ValidationError as error:
            # Other keys may be refused as well: a duration is text in a table, seconds in here.
            refused = {".".join(map(str, item["loc"])) for item in error.errors()}
        expect(
            "no_such_key" in refused,
            "an unknown key in the table is accepted, so that a typing error would go unseen; "
            "leave extra='forbid' as PluginConfig has it",
        )

    def check_secrets(self) -> None:
        secrets = list(secrets_of(self.config))
        for secret in secrets:
            expect(
                len(secret) >= _SHORTEST_SECRET,
                f"give the suite's config secrets of at least {_SHORTEST_SECRET} characters, "
                "so that finding one in a text means something",
            )
        with _listening() as said:
            instance = self.make()
            said += [repr(instance), str(instance), repr(self.config), str(self.config)]
            for utterance in self._utterances():
                said.append(str(utterance))
                said.append(repr(utterance))
        for text in said:
            for secret in secrets:
                shown = text.replace(secret, "[SECRET]")
                expect(secret not in text, f"a secret shows in {shown!r}")


def spoken(outcome: Outcome) -> Iterator[object]:
    """Give what one call said: its log and its error."""
    yield from outcome.context.log.entries
    if outcome.raw is not None:
        yield outcome.raw
        yield outcome.error


def _as_test(case: Case) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        __tracebackhide__ = True
        case.run(self)

    test.__name__ = test.__qualname__ = case.name
    return test


def _compare_errors(outcome: Outcome, raises: Raises) -> None:
    kind = raises if isinstance(raises, type) else type(raises)
    expect(outcome.raw is not None, f"expected {kind.__name__}, got {outcome.value!r}")
    expect(
        isinstance(outcome.error, kind),
        f"expected {kind.__name__}, got {type(outcome.error).__name__}: {outcome.error}",
    )
    if isinstance(raises, type):
        return
    for name in ("code", "retry_after"):
        wanted, got = getattr(raises, name, None), getattr(outcome.error, name, None)
        expect(wanted == got, f"{name}: expected {wanted!r}, got {got!r}")


def secrets_of(model: BaseModel) -> Iterator[str]:
    """Give every secret of a config, those of nested tables too."""

    def walk(value: object) -> Iterator[str]:
        match value:
            case SecretStr():
                yield value.get_secret_value()
            case BaseModel():
                yield from secrets_of(value)
            case Mapping():
                for one in value.values():
                    yield from walk(one)
            case list() | tuple() | set() | frozenset():
                for one in value:
                    yield from walk(one)
            case _:
                pass

    for name in type(model).model_fields:
        yield from walk(getattr(model, name))


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect what goes to the standard library's loggers."""
    said: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not record.name.startswith(_LIBRARIES):
                said.append(record.getMessage())

    root, ear = logging.getLogger(), Ear()
    level = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    try:
        yield said
    finally:
        root.setLevel(level)
        root.removeHandler(ear)
