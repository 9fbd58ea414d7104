"""What a command must know of a configuration to find its database, whatever else is wrong."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from router.domain.identity import MAIN_TENANT
from router.errors import ConfigError
from router.rules.model import DEFAULT_QUEUE
from router.settings.database import database_url
from router.settings.secrets import Secrets, Unset
from router.settings.sources import Place, read_sources
from router.settings.tables import RouterTable
from router.toml import Problem


@dataclass(frozen=True, slots=True)
class Glance:
    """The database and the tenants that a configuration names.

    :param database: a SQLAlchemy URL, as :class:`~router.settings.model.RouterSettings` has it.
    :param place: where it stands.
    :param tenants: ``main`` first.
    :param queues: empty if none are declared: then rules may name any.
    """

    database: str
    place: Place
    tenants: tuple[str, ...]
    queues: frozenset[str]


def glance(path: Path, environ: Mapping[str, str] = os.environ) -> Glance:
    """Read router.toml just far enough. Loads no plugin and no rules.

    :raises ConfigError: if a file is no TOML, or the database's URL is none.
    """
    sources = read_sources(path)
    table = sources.single.get("router")
    place = (table.place if table else sources.root / "router") / "database"
    default = RouterTable.model_fields["database"].default
    written = table.values.get("database", default) if table else default
    if isinstance(written, dict) and len(written) == 1:
        ((kind, name),) = written.items()
        try:
            written = Secrets(path.parent, environ).resolve(str(kind), str(name), place.folder)
        except (Unset, AttributeError) as reason:
            raise ConfigError([_problem(place, f"database has no value: {reason}")]) from None
    try:
        url = database_url(str(written), place.folder)
    except ValueError as reason:
        raise ConfigError([_problem(place, f"database {reason}")]) from None
    # What did not reach a customer is a ticket in this queue, declared or not.
    queues = sources.named["queues"].keys() and {DEFAULT_QUEUE, *sources.named["queues"]}
    return Glance(url, place, (MAIN_TENANT, *sources.named["tenants"]), frozenset(queues))


def _problem(place: Place, message: str) -> Problem:
    return place.problem(message, "See router check.", part="value")
