"""Templates: message texts that a provider approves beforehand, as it lists them."""

from dataclasses import dataclass, field

#: What a template's status is called once it may be sent.
APPROVED = "approved"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateInfo:
    """A template as its provider has it.

    :param ref: what ``Template.ref`` has to be for it to be sent.
    :param language: as the provider writes it, such as ``es`` or ``pt_BR``.
    :param status: ``approved`` where it may be sent; else the provider's own word, lower case.
    :param category: under which it was approved, such as ``utility``; empty where there is none.
    :param variables: the names of its placeholders.
    :param reason: why it was refused, in the provider's words.

    .. versionadded:: 1.1
    """

    ref: str
    name: str
    language: str
    status: str
    category: str = ""
    variables: frozenset[str] = field(default_factory=frozenset)
    reason: str = ""

    @property
    def is_approved(self) -> bool:
        return self.status == APPROVED
