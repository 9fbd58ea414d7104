"""Tenants: the top level of router.toml, and every ``[tenants.X]``."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.domain.identity import MAIN_TENANT
from router.rules.policy import Policy
from router.settings.model import InstanceSettings, RouterSettings, TenantSettings
from router.settings.sources import Place, Sources, Table
from router.settings.tables import KnowledgeTable, PolicyTable, TenantTable
from router.settings.validation import Findings, table_of
from router.settings.values import RESERVED

if TYPE_CHECKING:
    from router.rules.model import RuleSet

_DURATIONS = ("debounce", "debounce_cap", "handback_after", "idle_close", "keep", "silence_alarm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A tenant as it is written, its channels and rules not yet read.

    :param written: the tenant's own policy table.
    """

    name: str
    written: Table
    channels: Mapping[str, Table]
    policy: Policy
    rules: tuple[Path, ...]
    shared_rules: tuple[Path, ...]
    knowledge: tuple[Path, ...]
    timezone: str
    language: str

    def settings(
        self, channels: Mapping[str, InstanceSettings], rules: "RuleSet"
    ) -> TenantSettings:
        """Give the tenant with its channels and rules."""
        return TenantSettings(
            name=self.name,
            channels=channels,
            policy=self.policy,
            rules=rules,
            rule_files=(*self.shared_rules, *self.rules),
            knowledge_folders=self.knowledge,
            timezone=self.timezone,
            language=self.language,
        )


class Tenants:
    """Reads the tenants of a configuration; ``main`` is always the first."""

    def __init__(self, sources: Sources, found: Findings) -> None:
        self._sources = sources
        self._found = found
        self._shared: Mapping[str, Any] = {}

    def read(self, router: RouterSettings) -> list[Draft]:
        """Read every tenant; mistakes go to the findings."""
        written = table_of(self._sources, "policy")
        self._shared = self._policy_keys(written)
        self._check_namespace()
        main = Draft(
            name=MAIN_TENANT,
            written=written,
            channels=self._sources.named["channels"],
            policy=_policy(self._shared, router.language, router.timezone),
            rules=(),
            shared_rules=router.rules,
            knowledge=self._folders(table_of(self._sources, "knowledge")),
            timezone=router.timezone,
            language=router.language,
        )
        tenants = self._sources.named["tenants"].items()
        return [main, *(self._tenant(name, table, router) for name, table in tenants)]

    def _tenant(self, name: str, table: Table, router: RouterSettings) -> Draft:
        host = self._found.validated(table, TenantTable)
        language, timezone = host.language or router.language, host.timezone or router.timezone
        written = Table(table.place / "policy", host.policy)
        own = self._policy_keys(written)
        return Draft(
            name=name,
            written=written,
            channels=self._channels(table.place / "channels", host.channels),
            policy=_policy({**self._shared, **own}, language, timezone),
            rules=self._found.files(table.place / "rules", host.rules, "rules file"),
            shared_rules=router.rules,
            knowledge=self._folders(Table(table.place / "knowledge", host.knowledge)),
            timezone=timezone,
            language=language,
        )

    def _channels(self, place: Place, written: Mapping[str, Any]) -> dict[str, Table]:
        channels: dict[str, Table] = {}
        for name, values in written.items():
            if isinstance(values, dict):
                channels[name] = Table(place / name, values)
            else:
                header = Table(place / "NAME", {}).header
                self._found.problems.append(
                    (place / name).problem(
                        f'"{name}" must be a table', f"Write {header} above its keys."
                    )
                )
        return channels

    def _policy_keys(self, table: Table) -> dict[str, Any]:
        """Give the keys of a policy that are written, as :class:`Policy` wants them."""
        host = self._found.validated(table, PolicyTable)
        keys: dict[str, Any] = {key: getattr(host, key) for key in host.model_fields_set}
        for key in set(_DURATIONS) & keys.keys():
            if keys[key] is not None:
                keys[key] = timedelta(seconds=keys[key])
        if "autopilot_categories" in keys:
            keys["autopilot_categories"] = frozenset(keys["autopilot_categories"])
        return keys

    def _folders(self, table: Table) -> tuple[Path, ...]:
        folders: list[Path] = []
        for index, name in enumerate(self._found.validated(table, KnowledgeTable).folders):
            folder = table.place.folder / name
            wrong, remedy = f'there is no folder "{name}"', "Check the path."
            if folder.is_dir():
                if os.access(folder, os.R_OK | os.X_OK):
                    folders.append(folder.resolve())
                    continue
                wrong = f'the folder "{name}" cannot be read by this user'
                remedy = "Let the user that runs the router read it."
            self._found.problems.append(
                (table.place / "folders" / index).problem(wrong, remedy, part="value")
            )
        return tuple(folders)

    def _check_namespace(self) -> None:
        """See that /hooks/NAME can only mean one thing."""
        tenants, channels = self._sources.named["tenants"], self._sources.named["channels"]
        for name, table in tenants.items():
            self._found.check_name(table, name, "tenant")
            if name == MAIN_TENANT:
                self._found.problems.append(
                    table.place.problem(
                        f'"{name}" is the tenant of what stands at the top level',
                        f"Write its tables without tenants.{name}, or rename it.",
                    )
                )
            elif name == RESERVED:
                self._found.problems.append(
                    table.place.problem(
                        f'a tenant cannot be called "{name}": that is the endpoint of the '
                        "self-test",
                        "Rename it.",
                    )
                )
            elif other := channels.get(name):
                self._found.problems.append(
                    table.place.problem(
                        f'"{name}" is a channel, too ({other.place}): '
                        f"/hooks/{name} can only mean one of them",
                        "Rename one of the two.",
                    )
                )


def _policy(keys: Mapping[str, Any], language: str, timezone: str) -> Policy:
    return Policy(**keys, language=language, timezone=timezone)
