"""What providers say of their templates is remembered, and objected to in words."""

from datetime import UTC, datetime, timedelta

import pytest

from router.domain.message import Template
from router.pipeline.outbound.approvals import (
    BELIEVED,
    Approvals,
    Fault,
    Listing,
    Objection,
    legible,
    refused,
)
from router.plugin.templates import TemplateInfo, check_templates
from router.rules.model import ApprovedTemplate
from router.rules.texts import Text

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(minutes=10)


def info(ref: str = "HX1", status: str = "approved", **more: object) -> TemplateInfo:
    values: dict[str, object] = {"name": "aviso", "language": "es", **more}
    return TemplateInfo(ref=ref, status=status, **values)  # type: ignore[arg-type]


def rules(ref: str | dict[str, str] = "HX1") -> dict[str, ApprovedTemplate]:
    made = ApprovedTemplate(
        name="aviso", ref=Text.of(ref), text=Text.of("Hola"), variables=frozenset()
    )
    return {"aviso": made}


def listing(*infos: TemplateInfo, complete: bool = True) -> Listing:
    return Listing.of(NOW, infos, complete=complete)


@pytest.mark.parametrize(
    "objection, es, pt, en",
    [
        (
            Objection(fault=Fault.MISSING, name="HX1"),
            "el proveedor no tiene la plantilla «HX1»",
            "o provedor não tem o modelo «HX1»",
            'the provider has no template "HX1"',
        ),
        (
            Objection(fault=Fault.UNAPPROVED, name="aviso", status="paused"),
            "la plantilla «aviso» no está aprobada: en pausa",
            "o modelo «aviso» não está aprovado: em pausa",
            'the template "aviso" is not approved: paused',
        ),
        (
            Objection(fault=Fault.UNAPPROVED, name="aviso", status="rejected", reason="spam"),
            "la plantilla «aviso» no está aprobada: rechazada (spam)",
            "o modelo «aviso» não está aprovado: rejeitado (spam)",
            'the template "aviso" is not approved: rejected (spam)',
        ),
        (
            Objection(fault=Fault.UNAPPROVED, name="aviso", status="asleep"),
            "la plantilla «aviso» no está aprobada: asleep",
            "o modelo «aviso» não está aprovado: asleep",
            'the template "aviso" is not approved: asleep',
        ),
        (
            Objection(fault=Fault.VARIABLES, name="aviso", variables=frozenset({"2", "1"})),
            "la plantilla «aviso» lleva otras variables en el proveedor: 1, 2",
            "o modelo «aviso» tem outras variáveis no provedor: 1, 2",
            'the template "aviso" has other variables at the provider: 1, 2',
        ),
        (
            Objection(fault=Fault.VARIABLES, name="aviso"),
            "la plantilla «aviso» lleva otras variables en el proveedor: ninguna",
            "o modelo «aviso» tem outras variáveis no provedor: nenhuma",
            'the template "aviso" has other variables at the provider: none',
        ),
    ],
)
def test_an_objection_is_said_in_each_language(
    objection: Objection, es: str, pt: str, en: str
) -> None:
    said = [objection.words(tag) for tag in ("es-MX", "pt-BR", "en", "fr")]

    assert said == [es, pt, en, en]


def test_a_template_is_known_by_its_other_names_too() -> None:
    known = listing(info("cita/es", "paused", aliases=frozenset({"cita"})))

    found = known.objection(Template("cita"), in_window=False)

    assert found == Objection(fault=Fault.UNAPPROVED, name="aviso", status="paused")


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_of_one_reference_the_approved_one_counts(order: int) -> None:
    both = [info(), info(status="rejected")][::order]

    assert listing(*both).objection(Template("HX1"), in_window=False) is None


def test_a_later_listing_replaces_an_earlier_one_and_not_the_other_way_round() -> None:
    approvals = Approvals(BEFORE)
    approvals.put("main", "whatsapp", NOW, [info()])
    approvals.put("main", "whatsapp", BEFORE, [info(status="rejected")])

    known = approvals.get("main", "whatsapp", NOW)

    assert known == listing(info())
    assert approvals.get("acme", "whatsapp", NOW) is None
    assert approvals.get("main", "other", NOW) is None


def test_what_was_listed_long_ago_is_not_known_any_more() -> None:
    approvals = Approvals(BEFORE)
    approvals.put("main", "whatsapp", NOW, [info(status="paused")])
    late = NOW + BELIEVED + timedelta(seconds=1)

    assert approvals.get("main", "whatsapp", NOW + BELIEVED) is not None
    assert approvals.get("main", "whatsapp", late) is None
    assert approvals.last("main", "whatsapp") == listing(info(status="paused"))


def test_who_is_asked_seldom_is_believed_longer() -> None:
    approvals = Approvals(BEFORE)
    approvals.put("main", "whatsapp", NOW, [info()], believed=timedelta(days=14))

    assert approvals.get("main", "whatsapp", NOW + timedelta(days=13)) is not None


def test_a_listing_of_a_clock_that_was_ahead_is_replaced() -> None:
    approvals = Approvals(BEFORE)
    approvals.put("main", "whatsapp", NOW + timedelta(days=400), [info(status="paused")])
    approvals.put("main", "whatsapp", NOW, [info()])

    assert approvals.get("main", "whatsapp", NOW) == listing(info())


def test_what_a_provider_says_is_made_legible_and_what_it_is_known_by_stays() -> None:
    odd = info(
        "HX\ud800\x00",
        name="a\nb\x1b[31m\u202e",
        reason="no " * 1_000_000,
        variables=frozenset({"1", "\x00"}),
        aliases=frozenset({"\udfff"}),
    )

    made = legible(odd)

    assert made.ref == "HX\\ud800\\x00"
    assert made.variables == {"1", "\\x00"}
    assert made.aliases == {"\\udfff"}
    assert made.name == "a b [31m "
    assert len(made.reason) == 200
    assert legible(info()) == info()


def test_of_many_variables_the_first_are_named() -> None:
    many = frozenset(f"{number:05}" for number in range(50_000))

    words = Objection(fault=Fault.VARIABLES, name="aviso", variables=many).words("en")

    assert words.endswith("00018, 00019, …")


def test_what_an_older_listing_leaves_out_may_have_been_made_since() -> None:
    approvals = Approvals(NOW + timedelta(seconds=1))
    approvals.put("main", "whatsapp", NOW, [info(status="rejected")])

    known = approvals.get("main", "whatsapp", NOW)

    assert known is not None
    assert known.objection(Template("HX2"), in_window=False) is None
    rejected = known.objection(Template("HX1"), in_window=False)
    assert rejected is not None
    assert rejected.fault is Fault.UNAPPROVED


def test_what_is_asked_for_no_more_is_forgotten() -> None:
    approvals = Approvals(BEFORE)
    for channel in ("whatsapp", "other"):
        approvals.put("main", channel, NOW, [info()])

    approvals.keep([("main", "other")])

    assert approvals.get("main", "whatsapp", NOW) is None
    assert approvals.get("main", "other", NOW) is not None


@pytest.mark.parametrize(
    "named, known, faults",
    [
        (rules(), [], []),
        (rules(), [None], []),
        (rules(), [listing(info())], []),
        (rules(), [listing(info(status="paused"))], [("HX1", Fault.UNAPPROVED)]),
        (rules(), [listing()], [("HX1", Fault.MISSING)]),
        (rules(), [listing(complete=False)], []),
        # Which of the channels a rule means is not known: one that has it is enough.
        (rules(), [listing(), listing(info())], []),
        (rules(), [listing(), None], []),
        (
            rules(),
            [listing(), listing(info(status="paused")), listing()],
            [("HX1", Fault.UNAPPROVED)],
        ),
        (rules({"es": "HX1", "pt": "HX2"}), [listing(info())], [("HX2", Fault.MISSING)]),
        (rules({"es": "HX1", "pt": "HX1"}), [listing()], [("HX1", Fault.MISSING)]),
        # It needs no approval where it is meant to be sent.
        (rules(), [listing(info(status="unsubmitted", in_window=True))], []),
        (
            rules(),
            [listing(info(status="rejected", in_window=True))],
            [("HX1", Fault.UNAPPROVED)],
        ),
    ],
)
def test_the_rules_templates_that_would_be_refused_are_named(
    named: dict[str, ApprovedTemplate],
    known: list[Listing | None],
    faults: list[tuple[str, Fault]],
) -> None:
    found = [(name, ref, it.fault) for name, ref, it in refused(named, known)]

    assert found == [("aviso", *each) for each in faults]


@pytest.mark.parametrize(
    "given, error, words",
    [
        (["HX1"], TypeError, "templates\\(\\) has to give TemplateInfos, not str"),
        ([info(name=1)], TypeError, "holds something else than text"),
        ([info(variables=frozenset({1}))], TypeError, "holds something else than text"),
        ([info("")], ValueError, "needs a ref and a status"),
        ([info(status="")], ValueError, "needs a ref and a status"),
        ([info(status="APPROVED")], ValueError, "has to be in lower case"),
    ],
)
def test_what_a_plugin_lists_is_looked_at(
    given: list[TemplateInfo], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        check_templates(given)
