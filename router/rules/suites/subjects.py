"""Which rules a suite is about: a tenant's, or files that the suite names."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from router.rules.loading import load_rules
from router.rules.suites.model import Subject


class Subjects:
    """The rules of every tenant, and others as suites name them. Each is read once.

    :param tenants: by name, as the configuration has them.
    """

    def __init__(self, tenants: Mapping[str, Subject]) -> None:
        self.tenants = tenants
        # One file has one name, however a suite gets to it.
        self._names = {
            path.resolve(): path for subject in tenants.values() for path in subject.files
        }
        self._read: dict[tuple[str, tuple[Path, ...]], Subject] = {
            (subject.tenant, subject.files): subject for subject in tenants.values()
        }

    def of(self, tenant: str, files: tuple[Path, ...] | None) -> Subject:
        """Give a tenant's rules, or these files read with the tenant's names and policy.

        :raises KeyError: if there is no such tenant.
        :raises ConfigError: with every problem of the files.
        """
        subject = self.tenants[tenant]
        if files is None:
            return subject
        files = tuple(self._names.setdefault(path.resolve(), path) for path in files)
        known = self._read.get((tenant, files))
        if known is None:
            rules = load_rules(files, subject.names)
            known = self._read[tenant, files] = replace(subject, files=files, rules=rules)
        return known
