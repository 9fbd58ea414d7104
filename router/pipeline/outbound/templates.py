"""The rules' templates against what a provider lists: what would be refused is found before."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from router.plugin.templates import TemplateInfo
from router.rules.model import ApprovedTemplate


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a template of the rules.

    :param name: as rules name it.
    :param problem: what is wrong, and what to do.
    """

    name: str
    ref: str
    problem: str


def compared(
    templates: Mapping[str, ApprovedTemplate], listed: Sequence[TemplateInfo]
) -> list[Finding]:
    """Give everything for which a provider would refuse a template, or fill it in wrongly.

    :param listed: what the provider, or several of a tenant's providers, list.
    """
    by_ref: dict[str, TemplateInfo] = {}
    for info in listed:
        for ref in (info.ref, *info.aliases):
            known = by_ref.get(ref)
            if known is None or not known.is_approved:
                by_ref[ref] = info
    return [
        Finding(name, ref, problem)
        for name, template in sorted(templates.items())
        for tag, ref in template.ref.by_language.items()
        for problem in _problems(template, tag, by_ref.get(ref))
    ]


def _problems(template: ApprovedTemplate, tag: str, info: TemplateInfo | None) -> Iterator[str]:
    if info is None:
        yield "the provider has no such template. Correct its ref"
        return
    if not info.is_approved and not info.is_for_window:
        why = f" ({info.reason})" if info.reason else ""
        yield f"it is {info.status} at the provider{why}. Until it is approved it is refused"
    if tag and _base(tag) != _base(info.language):
        yield f'it is for the language "{tag}" here, and for "{info.language}" at the provider'
    missing, strange = info.variables - template.variables, template.variables - info.variables
    if missing:
        yield f"the provider wants the variables {_listed(missing)}, which are not in the text"
    if strange:
        yield f"the provider knows no variables {_listed(strange)}"


def _base(tag: str) -> str:
    return tag.replace("_", "-").partition("-")[0].casefold()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(names))
