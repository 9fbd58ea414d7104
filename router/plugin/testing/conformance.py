"""Running the suites that plugins ship, without pytest: what ``router plugins check`` prints."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from router.plugin.instance import Instance
from router.plugin.loading import file_module, import_file
from router.plugin.registry import Registration
from router.plugin.testing.cases import Suite


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the conformance table.

    :param label: the row that was checked; empty for a check of the plugin as a whole.
    :param outcome: ``missing`` means that the plugin ships nothing to check this kind with.
    :param reason: why it failed, is exempt or is missing.
    """

    check: str
    label: str
    outcome: Literal["passed", "failed", "exempt", "missing"]
    reason: str = ""


def conformance(registration: Registration[Instance[Any]]) -> list[CheckResult]:
    """Run the suites that a plugin ships for one of its kinds.

    A package ships them as its module ``conformance`` (``router_acme/conformance.py``), a
    single-file plugin as a file beside it (``acme_conformance.py``): subclasses of the suites
    whose class under test is the registered one. Contacts nobody; call it outside any event loop.

    :returns: a line for each row and check, in the order of the suites.
    """
    try:
        module = _shipped(registration)
    except Exception as error:  # noqa: BLE001 - a plugin call: the module is the plugin's
        return [CheckResult("conformance", "", "failed", f"{type(error).__name__}: {error}")]
    suites = [] if module is None else list(_suites(module, registration))
    if not suites:
        return [CheckResult("conformance", "", "missing", _how_to_ship(registration))]
    return [result for suite in suites for result in run_suite(suite)]


def run_suite(suite: type[Suite]) -> Iterator[CheckResult]:
    """Run one suite's cases, each on an instance of its own."""
    exempt = set()
    for case in suite.cases():
        if case.check in suite.exempt:
            if case.check not in exempt:
                exempt.add(case.check)
                yield CheckResult(case.check, "", "exempt", suite.exempt[case.check])
            continue
        try:
            case.run(suite())
        except Exception as error:  # noqa: BLE001 - a plugin call: it may break on anything
            reason = str(error) if isinstance(error, AssertionError) else repr(error)
            yield CheckResult(case.check, case.label, "failed", reason)
        else:
            yield CheckResult(case.check, case.label, "passed")


def _shipped(registration: Registration[Instance[Any]]) -> ModuleType | None:
    if registration.file is not None:
        return _shipped_beside(registration.file)
    package = registration.factory.__module__.partition(".")[0]
    name = f"{package}.conformance"
    if not hasattr(sys.modules.get(package), "__path__") or find_spec(name) is None:
        return None
    return import_module(name)


def _shipped_beside(file: Path) -> ModuleType | None:
    beside = _beside(file)
    if not beside.exists():
        return None
    # Its suites say `from acme import AcmeChannel`, and mean the class that is registered.
    hidden = sys.modules.get(file.stem)
    sys.modules[file.stem] = sys.modules[file_module(file)]
    try:
        return import_file(beside)
    finally:
        del sys.modules[file.stem]
        if hidden is not None:
            sys.modules[file.stem] = hidden


def _suites(module: ModuleType, registration: Registration[Instance[Any]]) -> Iterator[type[Suite]]:
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, Suite)
            and value.has_subject()
            and value.subject() is registration.factory
        ):
            yield value


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.stem}_conformance.py")


def _how_to_ship(registration: Registration[Instance[Any]]) -> str:
    if registration.file is not None:
        where = str(_beside(registration.file))
    else:
        where = registration.factory.__module__.partition(".")[0] + "/conformance.py"
    return f"no suite for {registration.kind!r}; write one in {where}"
