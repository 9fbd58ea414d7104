"""The tables that plugins serve: the host's keys and the plugin's keys, told apart and checked."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from router.plugin.config import PluginConfig
from router.plugin.registry import Registration, Registry
from router.settings.annotations import keys_of
from router.settings.fingerprint import digest
from router.settings.model import Group, InstanceSettings, PromptText
from router.settings.secrets import References, Secrets, guarded
from router.settings.sentences import problems_of
from router.settings.sources import Table
from router.settings.tables import INSTANCES, ActionTable, AITable, ChannelTable, InstanceTable
from router.settings.validation import Findings
from router.settings.values import RESERVED
from router.toml import suggest

_NOUNS: Mapping[Group, str] = {"channels": "channel", "ai": "AI backend", "actions": "action"}


def host_keys(group: Group) -> Collection[str]:
    """Give the keys of a group's tables that never reach a plugin."""
    return keys_of(INSTANCES[group])


class Instances:
    """Reads the tables of ``[channels]``, ``[ai]`` and ``[actions]``.

    :param needed: the router is about to run: every secret must have a value.
    """

    def __init__(
        self, registry: Registry, secrets: Secrets, found: Findings, *, needed: bool
    ) -> None:
        self._kinds: Mapping[Group, Mapping[str, Registration[Any]]] = {
            "channels": registry.channels,
            "ai": registry.ai_backends,
            "actions": registry.actions,
        }
        self._failures = [str(failure) for failure in registry.failures.values()]
        self._secrets = secrets
        self._needed = needed
        self._found = found
        #: What each secret refers to, by the table's name and key.
        self.references: dict[str, str] = {}

    def kind(self, group: Group, table: Table) -> Registration[Any] | None:
        """Give the kind that a table names, if there is one."""
        kind = table.values.get("type")
        return self._kinds[group].get(kind) if isinstance(kind, str) else None

    def read(
        self, group: Group, tables: Mapping[str, Table], tenant: str
    ) -> dict[str, InstanceSettings]:
        """Read a group of tables; those with mistakes are left out."""
        read = (self._read(group, name, table, tenant) for name, table in tables.items())
        return {instance.name: instance for instance in read if instance is not None}

    def _read(self, group: Group, name: str, table: Table, tenant: str) -> InstanceSettings | None:
        before = len(self._found.problems)
        instance = self._checked(group, name, table, tenant)
        problems = self._found.problems[before:]
        # Beside a mistake there may stand a secret that is none of its business.
        self._found.problems[before:] = map(guarded, problems)
        return None if problems else instance

    def _checked(
        self, group: Group, name: str, table: Table, tenant: str
    ) -> InstanceSettings | None:
        self._found.check_name(table, name, _NOUNS[group])
        if group == "channels" and name == RESERVED:
            self._found.problems.append(
                table.place.problem(
                    f'a channel cannot be called "{name}": that is the endpoint of the self-test',
                    "Rename it.",
                )
            )
        mine = host_keys(group)
        values = {key: value for key, value in table.values.items() if key in mine}
        host = self._found.validated(Table(table.place, values), INSTANCES[group])
        prompt = self._prompt(host, table)
        registration = self.kind(group, table)
        if registration is None:
            self._unknown_kind(group, table)
            return None
        config = self._config(registration, table, mine, enabled=host.enabled)
        if config is None:
            return None
        return InstanceSettings(
            name=name,
            tenant=tenant,
            group=group,
            kind=registration.kind,
            enabled=host.enabled,
            required=host.required,
            timeout=host.timeout,
            config=config,
            registration=registration,
            position=table.place,
            breaker_after=host.breaker_after,
            breaker_pause=host.breaker_pause,
            on_unknown=host.on_unknown if isinstance(host, ChannelTable) else "ask",
            settle=host.settle if isinstance(host, ChannelTable) else 60.0,
            webhook_rate=host.webhook_rate if isinstance(host, ChannelTable) else None,
            templates_every=host.templates_every if isinstance(host, ChannelTable) else None,
            prompt=prompt,
            tools=tuple(dict.fromkeys(host.tools)) if isinstance(host, AITable) else (),
            tool_rounds=host.tool_rounds if isinstance(host, AITable) else 3,
            description=host.description.strip() if isinstance(host, ActionTable) else "",
        )

    def _unknown_kind(self, group: Group, table: Table) -> None:
        kind = table.values.get("type")
        if not isinstance(kind, str):
            return  # the host's own keys are reported already
        known = self._kinds[group]
        remedy = suggest(kind, known) or "Install the plugin that brings it."
        for other, kinds in self._kinds.items():
            if other != group and kind in kinds:
                remedy = f"It is a kind of [{other}.*]: move the table there."
        problem = (table.place / "type").problem(
            f'there is no {_NOUNS[group]} kind "{kind}"',
            remedy,
            part="value",
            notes=[
                f"the {_NOUNS[group]} kinds are: {', '.join(sorted(known)) or 'none'}",
                *(f"could not be loaded: plugin {failure}" for failure in self._failures),
            ],
        )
        self._found.problems.append(problem)

    def _config(
        self,
        registration: Registration[Any],
        table: Table,
        mine: Collection[str],
        *,
        enabled: bool,
    ) -> PluginConfig | None:
        model = registration.config
        references = References(self._secrets, table.place, needed=self._needed and enabled)
        values = references.replace(
            model, {key: value for key, value in table.values.items() if key not in mine}
        )
        self._found.problems += references.problems
        self._found.warnings += references.warnings if enabled else []
        for path, reference in references.names.items():
            self.references[f"{table.header}.{path}"] = reference
        try:
            return model.model_validate(values)
        except ValidationError as error:
            found = problems_of(
                error,
                Table(table.place, values),
                model,
                also=mine,
                hidden=references.paths,
                passed_over=references.unset,
            )
            # Plugins word some of these, and may quote what they were given.
            self._found.problems += map(self._secrets.blanked, found)
            # What only an unset secret has wrong is no mistake of the file.
            return None if found else model.model_construct(**values)

    def _prompt(self, host: InstanceTable, table: Table) -> PromptText | None:
        if not isinstance(host, AITable) or host.prompt is None:
            return None
        place = table.place / "prompt"
        path = place.folder / host.prompt
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            if "\n" in host.prompt:
                self._found.problems.append(
                    place.problem(
                        "prompt names a file, and this is a text",
                        'Put the text into a file, and write prompt = "prompt.md".',
                        part="value",
                    )
                )
                return None
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            self._found.problems.append(
                place.problem(
                    f'the prompt "{host.prompt}" cannot be read: {reason}',
                    "Check the path.",
                    part="value",
                )
            )
            return None
        return PromptText(path=path, text=text, hash=digest(text))
