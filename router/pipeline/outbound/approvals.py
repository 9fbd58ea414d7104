"""What providers last said about their templates, and whether one may be sent by it.

Kept in memory because everything that is said is planned by it; ``router.storage.templates`` keeps
it across restarts, and the pollers of ``router.schedule.listing`` bring it up to date.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from router.domain.message import Template
from router.domain.storable import storable
from router.plugin.templates import TemplateInfo
from router.rules.model import ApprovedTemplate


class Fault(StrEnum):
    """Why a provider would refuse a template, or fill it in wrongly."""

    MISSING = "missing"
    UNAPPROVED = "unapproved"
    VARIABLES = "variables"


_WORDS: Final[Mapping[str, Mapping[Fault, str]]] = {
    "es": {
        Fault.MISSING: "el proveedor no tiene la plantilla «{name}»",
        Fault.UNAPPROVED: "la plantilla «{name}» no está aprobada: {status}",
        Fault.VARIABLES: "la plantilla «{name}» lleva otras variables en el proveedor: {variables}",
    },
    "pt": {
        Fault.MISSING: "o provedor não tem o modelo «{name}»",
        Fault.UNAPPROVED: "o modelo «{name}» não está aprovado: {status}",
        Fault.VARIABLES: "o modelo «{name}» tem outras variáveis no provedor: {variables}",
    },
    "en": {
        Fault.MISSING: 'the provider has no template "{name}"',
        Fault.UNAPPROVED: 'the template "{name}" is not approved: {status}',
        Fault.VARIABLES: 'the template "{name}" has other variables at the provider: {variables}',
    },
}
_STATUSES: Final[Mapping[str, Mapping[str, str]]] = {
    "es": {
        "rejected": "rechazada",
        "pending": "pendiente",
        "received": "recibida, todavía pendiente",
        "unsubmitted": "nadie pidió su aprobación",
        "paused": "en pausa",
        "disabled": "desactivada",
        "in_appeal": "en apelación",
    },
    "pt": {
        "rejected": "rejeitado",
        "pending": "pendente",
        "received": "recebido, ainda pendente",
        "unsubmitted": "ninguém pediu a aprovação",
        "paused": "em pausa",
        "disabled": "desativado",
        "in_appeal": "em recurso",
    },
}
#: So long a listing is gone by at least, while the provider cannot be asked again.
BELIEVED: Final = timedelta(days=1)
#: A listing so much later than the newest was made while the clock was wrong.
_SLIPPED: Final = timedelta(hours=1)
#: What a provider says of a template is read in tickets, traces and logs: so many characters of it.
_LONGEST: Final = 200
#: So many variables are named.
_MOST_NAMED: Final = 20
_NONE: Final = {"es": "ninguna", "pt": "nenhuma", "en": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a template is not sent.

    :param name: as the provider calls it; its reference where it is not listed.
    :param status: and ``reason``, in the provider's words.
    :param variables: what the provider wants to be filled in.
    """

    fault: Fault
    name: str
    status: str = ""
    reason: str = ""
    variables: frozenset[str] = frozenset()

    def words(self, language: str) -> str:
        """Say it, in a language; in English where that one is not spoken here."""
        tag = language.partition("-")[0]
        status = _STATUSES.get(tag, {}).get(self.status, self.status)
        if self.reason:
            status = f"{status} ({self.reason})"
        return _WORDS.get(tag, _WORDS["en"])[self.fault].format(
            name=self.name,
            status=status,
            variables=_named(self.variables) or _NONE.get(tag, _NONE["en"]),
        )


def _named(variables: Iterable[str]) -> str:
    names = sorted(_shown(each) for each in variables)
    more = ["…"] if len(names) > _MOST_NAMED else []
    return ", ".join([*names[:_MOST_NAMED], *more])


def legible(info: TemplateInfo) -> TemplateInfo:
    """Give a template whose words can be stored, and read on one line, whatever they are.

    What it is known by, its ``ref``, its aliases and variables, stays as it is, as far as it can
    be stored.
    """
    return replace(
        info,
        ref=storable(info.ref),
        aliases=frozenset(map(storable, info.aliases)),
        variables=frozenset(map(storable, info.variables)),
        name=_shown(info.name),
        language=_shown(info.language),
        status=_shown(info.status),
        category=_shown(info.category),
        reason=_shown(info.reason),
    )


def _shown(text: str) -> str:
    if len(text) <= _LONGEST and text.isprintable():
        return text
    cut = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return "".join(each if each.isprintable() else " " for each in cut)


@dataclass(frozen=True, slots=True)
class Listing:
    """What the provider of one channel listed.

    :param at: when.
    :param complete: what is not in it is not there. ``False`` while rules may name what was made
        after it.
    :param believed: for how long it is gone by.
    """

    at: datetime
    templates: Mapping[str, TemplateInfo]
    complete: bool = True
    believed: timedelta = BELIEVED

    @classmethod
    def of(
        cls,
        at: datetime,
        infos: Iterable[TemplateInfo],
        *,
        complete: bool = True,
        believed: timedelta = BELIEVED,
    ) -> "Listing":
        """Make one. Of several templates of one reference, one that is approved counts."""
        found: dict[str, TemplateInfo] = {}
        for info in infos:
            for ref in (info.ref, *info.aliases):
                known = found.get(ref)
                if known is None or (info.is_approved and not known.is_approved):
                    found[ref] = info
        return cls(at, found, complete, believed)

    def objection(self, template: Template, *, in_window: bool) -> Objection | None:
        """Say why a template would be refused, or filled in wrongly; ``None`` if nothing is known.

        :param in_window: the channel takes free text from here to there now.
        """
        info = self.templates.get(template.ref)
        if info is None:
            return Objection(fault=Fault.MISSING, name=template.ref) if self.complete else None
        name = info.name or _shown(info.ref)
        if not info.is_approved and not (in_window and info.in_window):
            return Objection(
                fault=Fault.UNAPPROVED, name=name, status=info.status, reason=info.reason
            )
        if info.variables != template.variables.keys():
            return Objection(fault=Fault.VARIABLES, name=name, variables=info.variables)
        return None

    def trouble(self, template: Template) -> Objection | None:
        """Say why a template cannot be sent as it is meant to be; ``None`` if nothing is known.

        One that needs no approval within the window, and that nobody wanted approved, is meant for
        there.
        """
        info = self.templates.get(template.ref)
        return self.objection(template, in_window=info is not None and info.is_for_window)


@dataclass(slots=True)
class Approvals:
    """The listings of every channel, as far as this process knows them.

    :param since: since when the rules in force are; what a listing before that leaves out may
        have been made in between.
    """

    since: datetime
    _listings: dict[tuple[str, str], Listing] = field(default_factory=dict)

    def get(self, tenant: str, channel: str, now: datetime) -> Listing | None:
        """Give what the provider of a channel listed; ``None`` where nobody knows.

        What is too old counts as not known: a template that was paused then may be sent by now.
        """
        found = self.last(tenant, channel)
        return None if found is None or now - found.at > found.believed else found

    def last(self, tenant: str, channel: str) -> Listing | None:
        """Give what the provider of a channel listed last, however old it is."""
        found = self._listings.get((tenant, channel))
        if found is None or found.at >= self.since:
            return found
        return replace(found, complete=False)

    def put(
        self,
        tenant: str,
        channel: str,
        at: datetime,
        infos: Iterable[TemplateInfo],
        *,
        believed: timedelta = BELIEVED,
    ) -> None:
        """Take a listing, unless a later one is known.

        :param at: when the provider was asked.
        :param believed: for how long it is gone by.
        """
        known = self._listings.get((tenant, channel))
        if known is None or known.at <= at or known.at - at > _SLIPPED:
            self._listings[tenant, channel] = Listing.of(at, infos, believed=believed)

    def keep(self, channels: Iterable[tuple[str, str]]) -> None:
        """Know nothing of other channels any more."""
        kept = set(channels)
        self._listings = {key: it for key, it in self._listings.items() if key in kept}


def refused(
    templates: Mapping[str, ApprovedTemplate], listings: Iterable[Listing | None]
) -> Iterator[tuple[str, str, Objection]]:
    """Give the templates of a tenant's rules that a provider would refuse: name, ref and why.

    :param listings: of each of the tenant's channels that has any, ``None`` where it is not known.
        What one of them would take is fine: rules say which template goes through which channel.
    """
    known = tuple(listings)
    if not known:
        return
    for name, template in sorted(templates.items()):
        for ref in dict.fromkeys(template.ref.by_language.values()):
            sample = Template(ref, dict.fromkeys(template.variables, ""))
            found = [None if each is None else each.trouble(sample) for each in known]
            objections = [each for each in found if each is not None]
            if len(objections) == len(found):
                # One that is listed, and not approved, says more than one that is missing.
                worst = min(objections, key=lambda it: it.fault is Fault.MISSING)
                yield name, ref, worst
