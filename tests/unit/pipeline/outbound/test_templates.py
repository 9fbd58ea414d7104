"""The rules' templates are compared with what the provider has approved."""

from typing import Any

import pytest

from router.pipeline.outbound.templates import compared
from router.plugin.templates import TemplateInfo
from router.rules.model import ApprovedTemplate
from router.rules.texts import Text


def template(ref: str | dict[str, str] = "HX1", *variables: str) -> dict[str, ApprovedTemplate]:
    made = ApprovedTemplate(
        name="aviso", ref=Text.of(ref), text=Text.of("Hola"), variables=frozenset(variables)
    )
    return {"aviso": made}


def listed(
    ref: str = "HX1", status: str = "approved", *variables: str, **more: Any
) -> TemplateInfo:
    values: dict[str, Any] = {"name": "aviso", "language": "es", **more}
    return TemplateInfo(ref=ref, status=status, variables=frozenset(variables), **values)


@pytest.mark.parametrize(
    "rules, infos, problems",
    [
        (template(), [listed()], []),
        (template("HX1", "1"), [listed("HX1", "approved", "1")], []),
        (template(), [], ["the provider has no such template. Correct its ref"]),
        (
            template(),
            [listed(status="rejected", reason="promotional")],
            [
                "it is rejected at the provider (promotional). Until it is approved it is refused",
            ],
        ),
        (
            template(),
            [listed(status="pending")],
            ["it is pending at the provider. Until it is approved it is refused"],
        ),
        (template(), [listed(status="pending"), listed()], []),
        (template(), [listed(), listed(status="pending")], []),
        (
            template({"pt": "HX1"}),
            [listed()],
            ['it is for the language "pt" here, and for "es" at the provider'],
        ),
        (template({"pt-BR": "HX1"}), [listed(language="pt_BR")], []),
        (template(), [listed("aviso/es", aliases=frozenset({"HX1"}))], []),
        (
            template("HX1", "2"),
            [listed("HX1", "approved", "1")],
            [
                'the provider wants the variables "1", which are not in the text',
                'the provider knows no variables "2"',
            ],
        ),
    ],
)
def test_what_would_be_refused_is_found(
    rules: dict[str, ApprovedTemplate], infos: list[TemplateInfo], problems: list[str]
) -> None:
    found = compared(rules, infos)

    assert [it.problem for it in found] == problems
    assert {(it.name, it.ref) for it in found} <= {("aviso", "HX1")}


def test_each_language_of_a_template_is_looked_at() -> None:
    rules = template({"es": "HX1", "pt": "HX2"})

    (found,) = compared(rules, [listed()])

    assert found.ref == "HX2"
