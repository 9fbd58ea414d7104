"""A configuration with other rules files in place of its own, to see what they would change."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from router.errors import ConfigError
from router.rules.loading import load_rules
from router.settings.fingerprint import digest
from router.settings.model import Settings
from router.toml import Problem


def with_rules(settings: Settings, place: Path) -> Settings:
    """Give the settings with each rules file replaced by the one of its name in a folder.

    Files that have no namesake there stay; what else lies there is not read, for nothing says
    where in the reading order it would belong.

    :param place: a folder, or one rules file, which replaces its namesake.
    :raises ConfigError: with every problem of the rules; also where nothing is replaced.
    """
    found = {place.name: place} if place.is_file() else {it.name: it for it in place.glob("*.toml")}
    named = {file.name for tenant in settings.tenants.values() for file in tenant.rule_files}
    if named.isdisjoint(found):
        raise ConfigError([_unnamed(place, sorted(named))])
    problems: dict[str, object] = {}
    tenants = {}
    for tenant in settings.tenants.values():
        files = _replaced(tenant.rule_files, found)
        names = replace(settings.names, default_language=tenant.language)
        try:
            rules = load_rules(files, names)
        except ConfigError as error:
            # Said once, where several tenants share a file.
            problems |= {str(problem): problem for problem in error.problems}
            continue
        tenants[tenant.name] = replace(tenant, rules=rules, rule_files=files)
    if problems:
        raise ConfigError(list(problems.values()))
    meaning = [settings.hash, *(tenant.rules.hash for tenant in tenants.values())]
    return replace(settings, tenants=tenants, hash=digest("\n".join(meaning)))


def _replaced(files: Sequence[Path], found: dict[str, Path]) -> tuple[Path, ...]:
    return tuple(found.get(file.name, file) for file in files)


def _unnamed(place: Path, named: list[str]) -> Problem:
    what = (
        "this is none of the rules files" if place.is_file() else "here is none of the rules files"
    )
    remedy = f"Call it as the one that it replaces: {', '.join(named) or 'none is configured'}."
    return Problem(path=place, message=f"{what} of the configuration", remedy=remedy)
