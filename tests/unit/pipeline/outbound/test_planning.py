"""What is to be said is planned: nothing is queued that must be refused, or is not wanted now."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.decision import Decision, Outcome, Reply, TicketRequest
from router.domain.identity import Address
from router.domain.message import Attachment, Author, Template
from router.pipeline.outbound.approvals import Fault, Listing, Objection
from router.pipeline.outbound.planning import Quiet, Setting, plan
from router.pipeline.outbound.plans import Cost, Plan, Way, applied
from router.pipeline.outbound.reaching import Reach
from router.pipeline.outbound.reasons import Why
from router.plugin.templates import TemplateInfo
from router.rules.hours import Hours, Interval
from router.rules.operators import WEEKDAYS

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
ANA = Address("tel", "+525512345678")
TEMPLATE = Reply(text="Hola Ana", template=Template("HX1", {"1": "Ana"}))
EITHER = Reply(text="Hola", otherwise=TEMPLATE)
TEXT = Reply(text="Hola")
ANSWER = Reply(text="De 8 a 18.", author=Author.BOT)


def nightly(start: str, end: str, timezone: str = "UTC") -> Quiet:
    interval = Interval(time.fromisoformat(start), time.fromisoformat(end))
    return Quiet(Hours(week=dict.fromkeys(WEEKDAYS, (interval,))), timezone)


def reach(**changes: object) -> Reach:
    values: dict[str, object] = {"channel": "whatsapp", "address": ANA, "window": DAY, **changes}
    return Reach(**values)  # type: ignore[arg-type]


WROTE = reach(wrote_at=NOW - timedelta(hours=1))
NEVER = reach()
FREE = reach(window=None)
STARTS = Setting(asked=False)
ANSWERS = Setting(asked=True)
LUNCH = nightly("11:30", "13:00")
LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    "sentence, reply, there, setting, way, why, at, cost",
    [
        ("a text within the window", TEXT, WROTE, STARTS, Way.TEXT, (Why.OPEN,), None, "service"),
        (
            "a text where there is no window",
            TEXT,
            FREE,
            STARTS,
            "text",
            ("unlimited",),
            None,
            "free",
        ),
        ("a text outside it is a ticket", TEXT, NEVER, STARTS, "ticket", ("shut",), None, None),
        ("either is a text within it", EITHER, WROTE, STARTS, "text", ("open",), None, "service"),
        (
            "either is a template outside it",
            EITHER,
            NEVER,
            STARTS,
            "template",
            ("shut_template",),
            None,
            "template",
        ),
        ("a template", TEMPLATE, NEVER, STARTS, "template", ("stated",), None, "template"),
        (
            "a template within the window is one all the same",
            TEMPLATE,
            WROTE,
            STARTS,
            "template",
            ("stated",),
            None,
            "template",
        ),
        (
            "where the business wrote first, nobody knows",
            TEXT,
            reach(unsure=True),
            STARTS,
            "text",
            ("unsure",),
            None,
            "service",
        ),
        (
            "a channel that is gone",
            TEMPLATE,
            reach(known=False),
            STARTS,
            "ticket",
            ("gone",),
            None,
            None,
        ),
        (
            "a channel that sends nothing, such as that of calls",
            TEXT,
            reach(sends=False, window=None),
            ANSWERS,
            "ticket",
            ("mute",),
            None,
            None,
        ),
        (
            "nothing is begun with who opted out",
            TEMPLATE,
            WROTE,
            Setting(asked=False, opted_out=True),
            "nothing",
            ("opted_out",),
            None,
            None,
        ),
        (
            "who opted out and writes again is answered",
            ANSWER,
            WROTE,
            Setting(asked=True, opted_out=True),
            "text",
            ("open",),
            None,
            "service",
        ),
        (
            "an opt-out is confirmed",
            TEXT,
            WROTE,
            Setting(asked=True, opted_out=True, confirms=True),
            "text",
            ("open", "confirms"),
            None,
            "service",
        ),
        (
            "what begins waits for the end of the quiet hours",
            TEXT,
            WROTE,
            Setting(asked=False, quiet=LUNCH),
            "text",
            ("open", "quiet"),
            LATER,
            "service",
        ),
        (
            "an answer does not wait",
            ANSWER,
            WROTE,
            Setting(asked=True, quiet=LUNCH),
            "text",
            ("open",),
            None,
            "service",
        ),
        (
            "nothing waits when it is not quiet",
            TEXT,
            WROTE,
            Setting(asked=False, quiet=nightly("22:00", "07:00")),
            "text",
            ("open",),
            None,
            "service",
        ),
        (
            "a window that will have closed by then asks for the template",
            EITHER,
            reach(wrote_at=NOW - timedelta(hours=23, minutes=30)),
            Setting(asked=False, quiet=LUNCH),
            "template",
            ("shut_template", "quiet"),
            LATER,
            "template",
        ),
        (
            "and without one it is a ticket now",
            TEXT,
            reach(wrote_at=NOW - timedelta(hours=23, minutes=30)),
            Setting(asked=False, quiet=LUNCH),
            "ticket",
            ("shut",),
            None,
            None,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_plan(
    sentence: str,
    reply: Reply,
    there: Reach,
    setting: Setting,
    way: str,
    why: tuple[str, ...],
    at: datetime | None,
    cost: str | None,
) -> None:
    made = plan((reply,), there, setting, NOW)

    assert (made.way, made.because, made.at, made.cost) == (way, why, at, cost), sentence
    expected = {"text": replace(reply, otherwise=None), "template": reply.otherwise or reply}
    assert made.replies == ((expected[way],) if way in expected else ())


def test_of_several_texts_one_that_cannot_be_said_makes_a_ticket_of_all() -> None:
    assert plan((EITHER, TEXT), NEVER, STARTS, NOW).way is Way.TICKET


def test_a_confirmation_is_one_message() -> None:
    made = plan((TEXT, ANSWER), WROTE, Setting(asked=True, confirms=True), NOW)

    assert made.replies == (TEXT,)


# What the provider has approved ───────────────────────────────────────────────────────────────

OTHER = Reply(text="Hola, Ana", template=Template("HX2", {"1": "Ana"}))
THIRD = Reply(text="Buenas", template=Template("HX3"))
EITHER_OF_TWO = replace(EITHER, otherwise=replace(TEMPLATE, instead=OTHER))
CHAIN = replace(TEMPLATE, instead=replace(OTHER, instead=THIRD))


def info(ref: str, status: str, *variables: str, in_window: bool = False) -> TemplateInfo:
    return TemplateInfo(
        ref=ref,
        name=ref.lower(),
        language="es",
        status=status,
        variables=frozenset(variables),
        in_window=in_window,
    )


def listing(one: str, two: str = "approved", *, in_window: bool = False) -> Listing:
    third = info("HX3", "approved")
    infos = [info("HX1", one, "1", in_window=in_window), info("HX2", two, "1"), third]
    return Listing.of(NOW, infos)


@pytest.mark.parametrize(
    "sentence, reply, there, known, way, why, ref",
    [
        ("approved", TEMPLATE, NEVER, listing("approved"), "template", ("stated",), "HX1"),
        ("nothing is known", TEMPLATE, NEVER, None, "template", ("stated",), "HX1"),
        ("rejected, a ticket", TEMPLATE, NEVER, listing("rejected"), "ticket", ("objected",), None),
        ("another's", EITHER, NEVER, listing("paused"), "ticket", ("objected",), None),
        (
            "another one of the rules",
            EITHER_OF_TWO,
            NEVER,
            listing("paused"),
            "template",
            ("shut_template", "instead"),
            "HX2",
        ),
        (
            "the third, where the first two are refused",
            CHAIN,
            NEVER,
            listing("paused", "disabled"),
            "template",
            ("stated", "instead"),
            "HX3",
        ),
        (
            "the text, where the window is open",
            TEMPLATE,
            WROTE,
            listing("rejected"),
            "text",
            ("open", "in_words"),
            None,
        ),
        (
            "a template before the text",
            CHAIN,
            WROTE,
            listing("rejected"),
            "template",
            ("stated", "instead"),
            "HX2",
        ),
        (
            "approval that is not needed within the window",
            TEMPLATE,
            WROTE,
            listing("pending", in_window=True),
            "template",
            ("stated",),
            "HX1",
        ),
        (
            "but is outside it",
            TEMPLATE,
            NEVER,
            listing("pending", in_window=True),
            "ticket",
            ("objected",),
            None,
        ),
        ("a text needs none", TEXT, WROTE, listing("rejected"), "text", ("open",), None),
        ("missing", TEMPLATE, NEVER, Listing.of(NOW, ()), "ticket", ("objected",), None),
        (
            "missing in an old listing",
            TEMPLATE,
            NEVER,
            Listing.of(NOW, (), complete=False),
            "template",
            ("stated",),
            "HX1",
        ),
        (
            "other variables",
            TEMPLATE,
            NEVER,
            Listing.of(NOW, [info("HX1", "approved", "1", "2")]),
            "ticket",
            ("objected",),
            None,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_template_that_would_be_refused_is_not_planned(
    sentence: str,
    reply: Reply,
    there: Reach,
    known: Listing | None,
    way: str,
    why: tuple[str, ...],
    ref: str | None,
) -> None:
    made = plan((reply,), there, STARTS, NOW, listing=known)

    assert (made.way, made.because) == (way, why), sentence
    assert [it.template.ref for it in made.replies if it.template] == ([ref] if ref else [])
    assert all(it.instead is None for it in made.replies)
    assert made.sends is bool(made.replies)


def test_the_text_of_a_refused_template_is_what_it_reads_like() -> None:
    made = plan((TEMPLATE,), WROTE, STARTS, NOW, listing=listing("rejected"))

    assert made.replies == (Reply(text="Hola Ana"),)
    assert made.cost is Cost.SERVICE
    assert made.words("es") == (
        "el cliente escribió hace menos de 24 h; "
        "la plantilla «hx1» no está aprobada: rechazada; sale su texto"
    )


def test_a_ticket_names_the_template_and_every_objection() -> None:
    made = plan((CHAIN,), NEVER, STARTS, NOW, listing=Listing.of(NOW, [info("HX1", "paused", "1")]))

    decided = applied(decision(CHAIN), made, "es")

    assert decided.ticket is not None
    assert decided.ticket.title == (
        "No se pudo escribir por «whatsapp»: la plantilla «hx1» no está aprobada: en pausa; "
        "el proveedor no tiene la plantilla «HX2»; el proveedor no tiene la plantilla «HX3»"
    )
    assert decided.because.startswith(
        'Nothing could be written through "whatsapp": the template "hx1" is not approved: paused'
    )


def test_quiet_hours_hold_back_what_stands_in_as_well() -> None:
    setting = Setting(asked=False, quiet=LUNCH)

    made = plan((EITHER_OF_TWO,), NEVER, setting, NOW, listing=listing("paused"))

    assert (made.way, made.at) == (Way.TEMPLATE, LATER)
    assert made.because == (Why.SHUT_TEMPLATE, Why.INSTEAD, Why.QUIET)


# What becomes of the decision ─────────────────────────────────────────────────────────────────


def decision(*replies: Reply, **more: object) -> Decision:
    values: dict[str, object] = {"outcome": Outcome.REPLY, "because": "a rule", **more}
    return Decision(replies=replies, channel="whatsapp", **values)  # type: ignore[arg-type]


def test_a_decision_that_is_said_as_it_stands_stays_the_very_same() -> None:
    before = decision(TEXT)

    assert applied(before, plan(before.replies, WROTE, STARTS, NOW), "es") is before


def test_a_decision_says_what_is_planned() -> None:
    before = decision(EITHER)

    made = applied(before, plan(before.replies, NEVER, STARTS, NOW), "es")

    assert made == replace(before, replies=(TEMPLATE,))


@pytest.mark.parametrize(
    "there, language, title",
    [
        (NEVER, "es", "No se pudo escribir por «whatsapp»: hace más de 24 h que el cliente no"),
        (NEVER, "pt-BR", "Não foi possível escrever por «whatsapp»: faz mais de 24 h"),
        (NEVER, "fr", 'Nothing could be written through "whatsapp": the customer has not written'),
        (reach(known=False), "es", "No se pudo escribir por «whatsapp»: ese canal no está"),
        (reach(sends=False), "es", "No se pudo escribir por «whatsapp»: por ese canal no se"),
    ],
)
def test_where_nothing_may_be_sent_a_ticket_says_why(
    there: Reach, language: str, title: str
) -> None:
    made = applied(decision(TEXT), plan((TEXT,), there, STARTS, NOW), language)

    assert made.outcome is Outcome.TICKET
    assert made.ticket is not None
    assert made.ticket.title.startswith(title)
    assert made.because.startswith("Nothing could be written through")
    assert (made.replies, made.channel) == ((), None)


def test_what_is_more_careful_already_stays_so() -> None:
    own = TicketRequest(queue="legal", title="x")
    before = decision(TEXT, outcome=Outcome.ESCALATE, ticket=own)

    made = applied(before, plan(before.replies, NEVER, STARTS, NOW), "es")

    assert (made.outcome, made.ticket) == (Outcome.ESCALATE, own)


@pytest.mark.parametrize(
    "outcome, after", [(Outcome.REPLY, Outcome.IGNORE), (Outcome.TICKET, Outcome.TICKET)]
)
def test_what_must_not_be_said_is_left_unsaid(outcome: Outcome, after: Outcome) -> None:
    setting = Setting(asked=False, opted_out=True)

    made = applied(decision(TEXT, outcome=outcome), plan((TEXT,), FREE, setting, NOW), "es")

    assert (made.outcome, made.replies, made.ticket) == (after, (), None)


@pytest.mark.parametrize("language", ["es", "pt", "en"])
@pytest.mark.parametrize("why", list(Why))
def test_every_reason_has_words_in_every_language(language: str, why: Why) -> None:
    objection = Objection(fault=Fault.MISSING, name="aviso")
    made = Plan(
        way=Way.TEXT,
        channel="x",
        because=(why,),
        at=NOW,
        timezone="America/Bogota",
        objections=(objection,),
    )

    assert "{" not in made.words(language)
    assert made.words(language) != (made.words("en") if language != "en" else "")
    assert ("2026-11-20 07:00" in made.words(language)) is (why is Why.QUIET)


def test_a_trace_keeps_the_plan_in_the_tenants_language() -> None:
    setting = Setting(asked=False, quiet=nightly("06:00", "08:00", "America/Bogota"))

    made = plan((EITHER,), NEVER, setting, NOW)

    assert made.values("es") == {
        "send": "template",
        "channel": "whatsapp",
        "at": "2026-11-20T13:00:00+00:00",
        "because": "hace más de 24 h que el cliente no escribe ahí: sale la plantilla; "
        "son horas de silencio hasta 2026-11-20 08:00",
        "cost": "template",
    }


# Whatever the case ────────────────────────────────────────────────────────────────────────────

moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(  # noqa: DTZ001
    lambda it: it.replace(tzinfo=UTC)
)
times = st.integers(0, 24 * 4 - 1).map(lambda it: time(it // 4, it % 4 * 15))
intervals = st.builds(Interval, times, times).filter(lambda it: it.start != it.end)
quiets = st.builds(
    Quiet,
    st.builds(
        Hours,
        week=st.dictionaries(
            st.sampled_from(WEEKDAYS), st.lists(intervals, max_size=1).map(tuple), max_size=7
        ),
    ),
    st.sampled_from(["UTC", "America/Santiago", "Europe/Madrid", "Australia/Lord_Howe"]),
)
windows = st.none() | st.sampled_from([timedelta(hours=24), timedelta(days=7)])
ago = st.none() | st.timedeltas(timedelta(0), timedelta(days=9))


@given(
    now=moments,
    quiet=st.none() | quiets,
    window=windows,
    wrote=ago,
    shut=ago,
    replies=st.lists(
        st.sampled_from([TEXT, EITHER, TEMPLATE, ANSWER, EITHER_OF_TWO, CHAIN]),
        min_size=1,
        max_size=3,
    ),
    flags=st.tuples(*[st.booleans()] * 6),
    known=st.none()
    | st.builds(
        Listing.of,
        st.just(NOW),
        st.lists(
            st.builds(
                info,
                st.sampled_from(["HX1", "HX2", "HX3"]),
                st.sampled_from(["approved", "paused"]),
                st.just("1"),
                in_window=st.booleans(),
            )
        ),
        complete=st.booleans(),
    ),
)
def test_no_plan_sends_what_must_be_refused_or_is_not_wanted(
    now: datetime,
    quiet: Quiet | None,
    window: timedelta | None,
    wrote: timedelta | None,
    shut: timedelta | None,
    replies: list[Reply],
    flags: tuple[bool, ...],
    known: Listing | None,
) -> None:
    asked, opted_out, confirms, exists, sends, unsure = flags
    there = reach(
        window=window,
        wrote_at=None if wrote is None else now - wrote,
        shut_at=None if shut is None else now - shut,
        known=exists,
        sends=sends,
        unsure=unsure,
    )
    setting = Setting(asked=asked, opted_out=opted_out, confirms=confirms, quiet=quiet)

    made = plan(replies, there, setting, now, listing=known)

    leaves = made.at or now
    free = [it for it in made.replies if it.template is None]
    if free and window is not None and not (unsure and wrote is None):
        assert there.wrote_at is not None
        assert leaves < there.wrote_at + window
        assert there.shut_at is None or there.shut_at < there.wrote_at
    if opted_out and not asked:
        assert len(made.replies) <= (1 if confirms else 0)
    if made.replies and quiet is not None and not asked:
        local = leaves.astimezone(ZoneInfo(quiet.timezone))
        assert not quiet.hours.open(local.date(), local.time())
    assert leaves >= now
    assert not made.replies or (exists and sends)
    assert made.sends is bool(made.replies) is (made.cost is not None)
    assert (made.cost is Cost.TEMPLATE) is any(it.template for it in made.replies)
    assert all(it.otherwise is None and it.instead is None for it in made.replies)
    if known is not None:
        open_ = there.takes_text(leaves)
        templates = [it.template for it in made.replies if it.template]
        assert not [it for it in templates if known.objection(it, in_window=open_)]


PDF = Attachment(
    kind="document", url="https://x.example/a.pdf", content_type="application/pdf", name="a.pdf"
)
PHOTO = Attachment(
    kind="image", url="https://x.example/a.jpg", content_type="image/jpeg", name="a.jpg"
)
NAMELESS = Attachment(kind="document", url="https://x.example/")
PICTURES = frozenset({"image/jpeg"})
BOTH = Reply(text="Aquí está.", media=(PDF, PHOTO))


@pytest.mark.parametrize(
    "sentence, there, media, files, text, why",
    [
        ("nothing attached", {"media": True}, (), (), "Hola", ("open",)),
        ("any file", {"media": True}, (PDF, NAMELESS), (PDF, NAMELESS), "Hola", ("open",)),
        (
            "no file at all",
            {"media": False},
            (PDF, PHOTO),
            (),
            "Hola\nhttps://x.example/a.pdf\nhttps://x.example/a.jpg",
            ("open", "linked"),
        ),
        (
            "files of some types",
            {"media": True, "media_types": PICTURES},
            (PDF, PHOTO),
            (PHOTO,),
            "Hola\nhttps://x.example/a.pdf",
            ("open", "linked"),
        ),
        (
            "nobody knows what it is",
            {"media": True, "media_types": PICTURES},
            (NAMELESS,),
            (),
            "Hola\nhttps://x.example/",
            ("open", "linked"),
        ),
    ],
)
def test_a_file_that_the_channel_does_not_send_leaves_as_its_address(
    sentence: str,
    there: dict[str, object],
    media: tuple[Attachment, ...],
    files: tuple[Attachment, ...],
    text: str,
    why: tuple[str, ...],
) -> None:
    made = plan(
        (Reply(text="Hola", media=media),),
        replace(WROTE, **there),  # type: ignore[arg-type]
        ANSWERS,
        NOW,
    )

    assert (made.way, made.because, made.cost) == (Way.TEXT, why, Cost.SERVICE), sentence
    assert (made.files, made.replies[0].text) == (files, text)
    assert made.values("en").get("files", []) == [file.url for file in files]


def test_what_leaves_as_an_address_is_said_in_the_readers_language() -> None:
    made = plan((BOTH,), replace(FREE, media=True, media_types=PICTURES), ANSWERS, NOW)

    assert made.words("es") == (
        "el canal acepta textos siempre; el canal no envía a.pdf: va la dirección en el texto"
    )
    assert made.words("pt") == (
        "o canal aceita textos sempre; o canal não envia a.pdf: vai o endereço no texto"
    )
    assert made.values("en")["because"] == (
        "the channel always takes texts; the channel does not send a.pdf: "
        "the address is in the text"
    )


def test_a_template_takes_no_files_along() -> None:
    file = Attachment(kind="image", url="https://example.org/a.png", content_type="image/png")

    made = plan((replace(TEMPLATE, media=(file,)),), reach(media=True), STARTS, NOW)

    assert made.replies == (TEMPLATE,)
    assert made.files == ()


def test_files_do_not_leave_where_their_text_does_not() -> None:
    shut = plan((BOTH,), replace(NEVER, media=True), ANSWERS, NOW)
    template = plan((replace(BOTH, otherwise=TEMPLATE),), replace(NEVER, media=True), ANSWERS, NOW)

    assert (shut.way, shut.files) == (Way.TICKET, ())
    assert (template.way, template.files, template.linked) == (Way.TEMPLATE, (), ())


@given(
    media=st.lists(st.sampled_from([PDF, PHOTO, NAMELESS]), max_size=4),
    can=st.booleans(),
    types=st.none() | st.frozensets(st.sampled_from(["image/jpeg", "application/pdf"])),
    wrote=st.booleans(),
)
def test_no_file_is_lost_and_none_is_sent_that_the_channel_does_not_take(
    media: list[Attachment], can: bool, types: frozenset[str] | None, wrote: bool
) -> None:
    there = replace(WROTE if wrote else NEVER, media=can, media_types=types)

    made = plan((Reply(text="Hola", media=tuple(media)),), there, ANSWERS, NOW)

    assert all(there.takes_file(file) for file in made.files)
    if made.sends:
        links = made.replies[0].text.splitlines()[1:]
        assert sorted([*links, *(it.url for it in made.files if it.url)]) == sorted(
            it.url for it in media if it.url
        )
