"""Reading a whole configuration: every mistake in it at once, or settings that are right."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from router.domain.identity import MAIN_TENANT
from router.errors import ConfigError, PluginError
from router.plugin.loading import load_plugins
from router.plugin.registry import Registry
from router.rules.examples import run_examples
from router.rules.loading import load_rules
from router.rules.model import CallPerson, Decider, Names, Place, RuleSet, Verdict
from router.settings.database import database_url, password_of
from router.settings.fingerprint import fingerprint
from router.settings.idle import check_idle
from router.settings.instances import Instances
from router.settings.model import (
    MediaSettings,
    QueueSettings,
    ReloadReplay,
    RouterSettings,
    ServerSettings,
    Settings,
)
from router.settings.secrets import References, Secrets, readable_by_others
from router.settings.sources import Table, read_sources
from router.settings.tables import MediaTable, QueueTable, RouterTable, ServerTable
from router.settings.tenants import Draft, Tenants
from router.settings.tools import check_tools
from router.settings.validation import Findings, table_of, unconfigured
from router.settings.values import default_public_url
from router.toml import Problem, suggest

#: How the address of an object store begins.
STORES = ("s3://", "gs://", "az://")


def plugin_files(path: Path) -> list[Path]:
    """Give the single-file plugins that ``[router] plugins`` names.

    They are needed before anything else can be judged, so mistakes are passed over here;
    :func:`load_settings` reports them.
    """
    try:
        table = read_sources(path).single.get("router")
    except ConfigError:
        return []
    names = table.values.get("plugins") if table else None
    if table is None or not isinstance(names, list):
        return []
    files = (table.place.folder / name for name in names if isinstance(name, str))
    return [file for file in files if file.is_file()]


def load_registry(path: Path) -> Registry:
    """Load every installed plugin, and the single-file ones that a configuration names.

    :raises ConfigError: if one of those files breaks the contract; it says where it is named.
    :raises PluginError: if an installed plugin does.
    """
    try:
        return load_plugins(plugin_files(path))
    except PluginError as error:
        table = read_sources(path).single.get("router") if error.file else None
        if table is None:
            raise
        for index, name in enumerate(table.values["plugins"]):
            if isinstance(name, str) and table.place.folder / name == error.file:
                place = table.place / "plugins" / index
                raise ConfigError([place.problem(str(error), part="value")]) from error
        raise


def load_settings(
    path: Path,
    registry: Registry,
    *,
    run: bool,
    examples: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Read router.toml, everything it includes, and every rules file that it names.

    Validates everything, and contacts nobody. An example in a shared rules file is run as the
    tenant ``main``, one in a tenant's file as that tenant.

    :param registry: the kinds that plugins registered; single-file plugins among them.
    :param run: the router is about to run, so a secret that is not set is a mistake; else it is
        a warning.
    :param examples: run the rules' examples; one that fails is a mistake.
    :param environ: where ``{ env = … }`` looks first.
    :raises ConfigError: with every problem there is, in the order of files and lines.
    """
    return _Reading(path, registry, environ, run=run).settings(examples=examples)


class _Reading:
    """One reading of a configuration: collects problems on the way."""

    def __init__(
        self, path: Path, registry: Registry, environ: Mapping[str, str], *, run: bool
    ) -> None:
        self._path = path
        self._run = run
        self._sources = read_sources(path)
        self._found = Findings(self._sources.problems, self._sources.warnings)
        self._secrets = Secrets(path.parent, environ)
        self._registry = registry
        self._instances = Instances(registry, self._secrets, self._found, needed=run)

    def settings(self, *, examples: bool) -> Settings:
        named = self._sources.named
        server = self._server()
        router = self._router(server)
        ai = self._instances.read("ai", named["ai"], MAIN_TENANT)
        actions = self._instances.read("actions", named["actions"], MAIN_TENANT)
        check_tools(named["ai"], named["actions"], self._instances.kind, self._found)
        media = self._media(named["ai"])
        queues = {name: self._queue(name, table) for name, table in named["queues"].items()}
        drafts = Tenants(self._sources, self._found).read(router)
        channels = {
            draft.name: self._instances.read("channels", draft.channels, draft.name)
            for draft in drafts
        }
        names = self._names(drafts)
        rules = {draft.name: self._rules(router, draft, names) for draft in drafts}
        for draft in drafts:
            self._check_policy(draft, rules[draft.name])
            self._check_queues(rules[draft.name], names)
            check_idle(draft, rules[draft.name], self._instances.kind, self._found)
        if examples and not self._found.problems:
            for draft in drafts:
                self._run_examples(router, draft, rules[draft.name])
        self._found.warnings += filter(None, map(readable_by_others, self._secrets.files))
        if self._found.problems:
            raise ConfigError(self._in_order(self._found.problems, router, drafts))
        settings = Settings(
            path=self._path,
            hash="",
            router=router,
            server=server,
            media=media,
            tenants={
                draft.name: draft.settings(channels[draft.name], read)
                for draft in drafts
                if (read := rules[draft.name]) is not None
            },
            ai=ai,
            actions=actions,
            queues=queues,
            secrets=frozenset(self._secrets.values),
            warnings=tuple(self._in_order(self._found.warnings, router, drafts)),
            names=names,
        )
        return replace(settings, hash=fingerprint(settings, self._instances.references))

    def _server(self) -> ServerSettings:
        host = self._found.validated(table_of(self._sources, "server"), ServerTable)
        return ServerSettings(
            host=host.host,
            port=host.port,
            engine=host.engine,
            max_body=host.max_body,
            drain=host.drain,
            metrics=host.metrics,
            webhook_rate=host.webhook_rate,
        )

    def _router(self, server: ServerSettings) -> RouterSettings:
        table = table_of(self._sources, "router")
        host = self._found.validated(table, RouterTable)
        self._check_plugins(host.plugins, table)
        if host.public_url:
            self._check_public_url(host.public_url, table)
        return RouterSettings(
            public_url=host.public_url or default_public_url(server.host, server.port),
            database=self._database(host, table),
            rules=self._found.files(table.place / "rules", host.rules, "rules file"),
            language=host.language,
            timezone=host.timezone,
            trusted_proxies=tuple(host.trusted_proxies),
            plugins=self._found.files(table.place / "plugins", host.plugins, "plugin"),
            lease=host.lease,
            watch=host.watch,
            reload_replay=None
            if host.reload_replay is None
            else ReloadReplay(**host.reload_replay.model_dump()),
        )

    def _check_public_url(self, url: str, table: Table) -> None:
        """Warn of an address that was copied from a provider's page, with a webhook's path."""
        before, hooks, _ = f"{url}/".partition("/hooks/")
        if hooks:
            self._found.warnings.append(
                (table.place / "public_url").problem(
                    "public_url is the address of a webhook, and each webhook's path is put "
                    "behind it",
                    f'Write "{before}".',
                    part="value",
                )
            )

    def _check_plugins(self, names: Iterable[str], table: Table) -> None:
        """Report the plugins that could not be loaded; one that nobody named is only a warning."""
        failures = {
            failure.file or str(failure): failure for failure in self._registry.failures.values()
        }
        for index, name in enumerate(names):
            if failure := failures.pop(table.place.folder / name, None):
                self._found.problems.append(
                    (table.place / "plugins" / index).problem(
                        f'the plugin "{name}" cannot be loaded: {failure.cause}',
                        "Mend it, or take it out of the list.",
                        part="value",
                    )
                )
        self._found.warnings += [
            Problem(
                path=f"plugin {failure.source}",
                message=f"it cannot be loaded: {failure.cause}",
                remedy="Upgrade it, or uninstall it.",
            )
            for failure in failures.values()
        ]

    def _database(self, host: RouterTable, table: Table) -> str:
        place, written = table.place / "database", host.database
        if isinstance(written, dict):
            references = References(self._secrets, table.place, needed=self._run)
            written = references.secret(written, ("database",)).get_secret_value()
            self._found.problems += references.problems
            self._found.warnings += references.warnings
            self._instances.references.update(references.names)
            if references.unset:
                return ""
            # The URL as a whole may be shown, its password never.
            self._secrets.values.discard(written)
        elif isinstance(written, str) and password_of(written):
            self._found.problems.append(
                replace(
                    place.problem(
                        "database holds a password",
                        'Write database = { env = "DATABASE_URL" }, and put the URL there.',
                    ),
                    source_line=None,
                )
            )
            return ""
        try:
            url = database_url(str(written), place.folder)
        except ValueError as reason:
            self._found.problems.append(place.problem(f"database {reason}", part="value"))
            return ""
        if password := password_of(url):
            self._secrets.values.add(password)
        return url

    def _media(self, backends: Collection[str]) -> MediaSettings:
        table = table_of(self._sources, "media")
        host = self._found.validated(table, MediaTable)
        store = host.store
        if "://" not in store:
            store = str((table.place.folder / store).resolve())
        elif not store.startswith(STORES):
            self._found.problems.append(
                (table.place / "store").problem(
                    f'"{store}" is no place to keep files',
                    f"Name a folder, or an address that begins with {', '.join(STORES)}.",
                    part="value",
                )
            )
        if host.transcribe is not None and host.transcribe not in backends:
            place = table.place / "transcribe"
            self._found.problems.append(
                unconfigured(place, "AI backend", host.transcribe, "ai", backends)
            )
        return MediaSettings(
            store=store,
            fetch=host.fetch,
            max_size=host.max_size,
            types=tuple(each.strip().lower() for each in host.types),
            keep=host.keep,
            transcribe=host.transcribe,
            wait=host.transcribe_wait,
        )

    def _queue(self, name: str, table: Table) -> QueueSettings:
        host = self._found.validated(table, QueueTable)
        self._found.check_name(table, name, "queue")
        actions = self._sources.named["actions"]
        for index, action in enumerate(host.notify):
            if action not in actions:
                place = table.place / "notify" / index
                self._found.problems.append(
                    unconfigured(place, "action", action, "actions", actions)
                )
        return QueueSettings(name=name, title=host.title or name, notify=tuple(host.notify))

    def _names(self, drafts: Iterable[Draft]) -> Names:
        """Give every name that rules may use, of tables with mistakes too: one message each."""
        named = self._sources.named
        return Names(
            channels=frozenset(name for draft in drafts for name in draft.channels),
            backends=frozenset(named["ai"]),
            actions={
                name: kind.params if (kind := self._instances.kind("actions", table)) else None
                for name, table in named["actions"].items()
            },
            queues=frozenset(named["queues"]) or None,
        )

    def _rules(self, router: RouterSettings, draft: Draft, names: Names) -> RuleSet | None:
        names = replace(names, default_language=draft.language)
        try:
            return load_rules((*router.rules, *draft.rules), names)
        except ConfigError as error:
            self._found.problems += [p for p in error.problems if isinstance(p, Problem)]
            return None

    def _check_policy(self, draft: Draft, rules: RuleSet | None) -> None:
        """Look at what a policy says of the rules, and of itself."""
        policy, place, written = draft.policy, draft.written.place, draft.written.values
        if policy.debounce_cap < policy.debounce and {"debounce", "debounce_cap"} & written.keys():
            key = "debounce" if "debounce" in written else "debounce_cap"
            self._found.warnings.append(
                (place / key).problem(
                    "debounce is longer than debounce_cap, which therefore is the whole wait",
                    "Raise debounce_cap.",
                    part="value",
                )
            )
        categories = written.get("autopilot_categories", [])
        if rules is None or not isinstance(categories, list):
            return
        for index, name in enumerate(categories):
            if isinstance(name, str) and name not in rules.categories:
                known = f"The rules know: {', '.join(sorted(rules.categories))}."
                self._found.problems.append(
                    (place / "autopilot_categories" / index).problem(
                        f'no rules file has a category "{name}"',
                        suggest(name, rules.categories) or known,
                        part="value",
                    )
                )

    def _check_queues(self, rules: RuleSet | None, names: Names) -> None:
        """Warn where an escalation tells nobody: no action, and no queue that names one."""
        if rules is None or names.queues is not None:
            return
        guardrails = (*rules.input_guardrails, *rules.answer_guardrails)
        named: list[tuple[Decider | Verdict | None, Place]]
        named = [(it.decider, it.place) for it in rules.rules]
        named += [(it.verdict, it.place) for it in guardrails]
        told: set[str] = set()
        for ends, place in named:
            if not isinstance(ends, CallPerson) or ends.to in names.actions or ends.to in told:
                continue
            told.add(ends.to)
            self._found.warnings.append(
                place.problem(
                    f'nobody is told when something is escalated to "{ends.to}"',
                    f'Write [queues.{ends.to}] notify = ["…"] with the name of an [actions.*] '
                    "table in router.toml.",
                    below=("then", "escalate", "to"),
                    part="value",
                )
            )

    def _run_examples(self, router: RouterSettings, draft: Draft, rules: RuleSet | None) -> None:
        """Run what stands in the tenant's own files; the shared ones are the top level's."""
        if rules is None:
            return
        own = {str(path) for path in (router.rules if draft.name == MAIN_TENANT else draft.rules)}
        mine = tuple(each for each in rules.examples if str(each.place.document.path) in own)
        self._found.problems += run_examples(replace(rules, examples=mine), draft.policy)

    def _in_order(
        self, problems: Iterable[Problem], router: RouterSettings, drafts: Iterable[Draft]
    ) -> list[Problem]:
        """Sort by file, as they are read, and line; say once what several tenants share."""
        files = [
            *(str(document.path) for document in self._sources.documents),
            *map(str, router.rules),
        ]
        files += [str(file) for draft in drafts for file in draft.rules]
        order = {file: number for number, file in enumerate(files)}
        once = {str(problem): problem for problem in problems}
        return sorted(
            once.values(),
            key=lambda problem: (
                order.get(str(problem.path), len(files)),
                str(problem.path),
                problem.line,
                problem.column,
            ),
        )
