"""Templates: message texts that a provider approves beforehand, as it lists them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

#: What a template's status is called once it may be sent.
APPROVED = "approved"
#: What it is called while nobody has asked for its approval.
UNSUBMITTED = "unsubmitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateInfo:
    """A template as its provider has it.

    :param ref: what ``Template.ref`` has to be for it to be sent.
    :param language: as the provider writes it, such as ``es`` or ``pt_BR``.
    :param status: ``approved`` where it may be sent, ``unsubmitted`` where nobody has asked for
        that; else the provider's own word, lower case.
    :param category: under which it was approved, such as ``utility``; empty where there is none.
    :param variables: the names of its placeholders.
    :param reason: why it was refused, in the provider's words.
    :param aliases: what else ``Template.ref`` may be for it to be sent.
    :param in_window: while the customer's window is open it is sent without approval, too. Leave
        it out unless the provider is known to do so.

    .. versionadded:: 1.1
    """

    ref: str
    name: str
    language: str
    status: str
    category: str = ""
    variables: frozenset[str] = field(default_factory=frozenset)
    reason: str = ""
    aliases: frozenset[str] = field(default_factory=frozenset)
    in_window: bool = False

    @property
    def is_approved(self) -> bool:
        return self.status == APPROVED

    @property
    def is_for_window(self) -> bool:
        """Whether it is meant for an open window alone: it needs no approval, and seeks none."""
        return self.in_window and self.status == UNSUBMITTED


def check_templates(infos: Sequence[TemplateInfo]) -> None:
    """Make sure that what ``Channel.templates`` gives can be gone by. For the host and the suites.

    :raises TypeError: if something in it is of the wrong type, saying which.
    :raises ValueError: if it is of the right type, and means nothing.
    """
    for info in infos:
        if not isinstance(info, TemplateInfo):
            message = f"templates() has to give TemplateInfos, not {type(info).__name__}"
            raise TypeError(message)
        texts = (info.ref, info.name, info.language, info.status, info.category, info.reason)
        names = (*info.variables, *info.aliases)
        if not all(isinstance(each, str) for each in (*texts, *names)):
            message = f"a template holds something else than text: {info!r}"
            raise TypeError(message)
        if not info.ref or not info.status:
            message = f"a template needs a ref and a status: {info!r}"
            raise ValueError(message)
        if info.status != info.status.lower():
            message = f"the status {info.status!r} has to be in lower case"
            raise ValueError(message)
