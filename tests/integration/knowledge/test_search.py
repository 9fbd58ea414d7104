"""What is found in the articles, on both databases."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.clock import SystemClock
from router.data import data_path
from router.domain.answer import Passage
from router.knowledge.articles import Articles
from router.knowledge.index import Synced, digests, plan, refresh, sync
from router.knowledge.retrieve import search
from router.storage.database.migrating import _on_postgresql, migrate
from router.storage.sqlite.store import SQLiteStore
from router_answers import AnswersConfig

if TYPE_CHECKING:
    from router.storage.store import Tx
    from tests.postgres import PostgresDatabase

QUESTIONS = tomllib.loads(Path(__file__).with_name("questions.toml").read_text())
ASKED = [
    (question, ref)
    for language in ("es", "pt", "en")
    for ref, questions in QUESTIONS[language].items()
    for question in questions
]
THRESHOLD = AnswersConfig().threshold


@dataclass
class WritingTx:
    """As much of a transaction as the index uses."""

    connection: sa.Connection
    now: datetime = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Knowledge:
    """A database with the schema, and no article yet."""

    def __init__(self, url: str) -> None:
        self.url = url
        migrate(url)

    def run(self, function: Callable[[sa.Connection], Any]) -> Any:
        if self.url.startswith("postgresql"):
            return _on_postgresql(self.url, function)
        engine = sa.create_engine(self.url)
        try:
            with engine.begin() as connection:
                return function(connection)
        finally:
            engine.dispose()

    def load(self, folder: Path, tenant: str = "main") -> Synced:
        articles = plan([folder], language="es")
        return cast(
            "Synced",
            self.run(lambda connection: sync(cast("Tx", WritingTx(connection)), tenant, articles)),
        )

    def find(self, query: str, tenant: str = "main", **options: Any) -> tuple[Passage, ...]:
        return cast(
            "tuple[Passage, ...]",
            self.run(lambda connection: search(connection, tenant, query, **options)),
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def knowledge(request: pytest.FixtureRequest, tmp_path: Path) -> Knowledge:
    if request.param == "sqlite":
        return Knowledge(f"sqlite:///{tmp_path / 'router.db'}")
    postgres: PostgresDatabase = request.getfixturevalue("postgres")
    return Knowledge(postgres.url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "articles"
    folder.mkdir()
    return folder


def test_eight_in_ten_questions_find_their_passage_in_the_first_place(
    knowledge: Knowledge,
) -> None:
    knowledge.load(data_path("config", "knowledge"))

    def ask(connection: sa.Connection) -> list[tuple[str, str, tuple[Passage, ...]]]:
        return [
            (question, ref, search(connection, "main", question, language="es"))
            for question, ref in ASKED
        ]

    asked = knowledge.run(ask)

    assert len(asked) >= 40
    wrong = [(question, ref) for question, ref, found in asked if found[0].id != ref]
    assert len(wrong) <= 0.2 * len(asked), wrong
    other_article = [
        question
        for question, ref, found in asked
        if found[0].id.partition("#")[0] != ref.partition("#")[0]
    ]
    assert len(other_article) <= 0.05 * len(asked), other_article
    missing = [question for question, ref, found in asked if ref not in {one.id for one in found}]
    assert missing == []


@pytest.mark.parametrize(
    "plain, addressed",
    [
        ("los horarios?", "podés decirme los horarios?"),
        ("los horarios?", "puedes decirme los horarios?"),
        ("el horario", "decime el horario"),
        ("el horario", "¿me dices el horario?"),
        ("el horario", "¿me decís el horario?"),
        ("envíos?", "¿hacés envíos?"),
        ("hacen envíos?", "haces envíos?"),
        ("envíos a Rosario?", "tenés envíos a Rosario?"),
        ("¿abren los domingos?", "¿abrís los domingos?"),
        ("¿abren los domingos?", "¿abres los domingos?"),
        ("¿reciben efectivo?", "¿recibís efectivo?"),
    ],
)
def test_however_a_customer_addresses_the_shop_the_answer_is_the_same(
    knowledge: Knowledge, plain: str, addressed: str
) -> None:
    knowledge.load(data_path("config", "knowledge"))

    (expected, *_), (found, *_) = knowledge.find(plain), knowledge.find(addressed)

    assert (found.id, found.score) == (expected.id, expected.score)


@pytest.mark.parametrize("question", ["{ask} {story}", "{story} {ask}"])
def test_a_question_is_found_at_either_end_of_a_long_story(
    knowledge: Knowledge, question: str
) -> None:
    knowledge.load(data_path("config", "knowledge"))
    story = (
        "Mire, le cuento que el martes pasado mi hermana Carolina vino al comedor con mi cuñado y "
        "la camioneta roja, subimos tres pisos por la escalera porque el ascensor estaba roto, el "
        "vecino protestó por el ruido, después almorzamos empanadas con limonada y mi sobrina "
        "rompió un florero antiguo de la abuela, qué lío, en fin, ya todos contentos viendo fútbol."
    )

    found = knowledge.find(question.format(ask="¿A qué hora abren el sábado?", story=story))

    assert "horarios#1" in [it.id for it in found[:2]]


def test_articles_that_were_chosen_are_found_among_many_that_fit_better(
    knowledge: Knowledge, folder: Path
) -> None:
    for number in range(80):
        (folder / f"plan-{number}.md").write_text("# Precio de los planes\n\nPrecio. Planes.")
    (folder / "planes.md").write_text("# Suscripciones\n\nHay dos planes. ¿El precio? Veinte.")
    (folder / "otros.md").write_text("# Otros\n\nOtros planes.")
    knowledge.load(folder)

    found = knowledge.find("precio de los planes", articles=["planes", "otros", "gone", "plan_1"])

    assert [it.id for it in found] == ["planes#1", "otros#1"]
    assert knowledge.find("precio de los planes", articles=[]) == ()


def test_the_score_tells_what_the_articles_answer_from_what_they_do_not(
    knowledge: Knowledge,
) -> None:
    knowledge.load(data_path("config", "knowledge"))

    def best(connection: sa.Connection, question: str) -> float:
        found = search(connection, "main", question, language="es")
        return found[0].score if found else 0.0

    answered, strange = knowledge.run(
        lambda connection: (
            [question for question, _ in ASKED if best(connection, question) >= THRESHOLD],
            [
                question
                for question in QUESTIONS["none"]["questions"]
                if best(connection, question) >= THRESHOLD
            ],
        )
    )

    assert len(answered) >= 0.85 * len(ASKED)
    assert len(strange) <= 0.05 * len(QUESTIONS["none"]["questions"]), strange


def test_a_passage_brings_what_a_citation_and_a_category_need(
    knowledge: Knowledge, folder: Path
) -> None:
    (folder / "envios.md").write_text(
        "---\ntitle: Envíos\ncategory: TRACKING\n---\n\nA todo el país.\n\n## Costo\n\nOcho mil.\n"
    )
    knowledge.load(folder)

    first, second = knowledge.find("costo del envio")

    assert replace(first, score=0) == Passage(
        "envios#2", "Envíos: Costo", "Ocho mil.", 0, "TRACKING"
    )
    assert replace(second, score=0) == Passage(
        "envios#1", "Envíos", "A todo el país.", 0, "TRACKING"
    )
    assert first.score > 0.9
    assert second.score < 0.6


def test_passages_in_the_customers_language_go_first_and_others_still_come(
    knowledge: Knowledge, folder: Path
) -> None:
    (folder / "a.md").write_text("---\ntitle: Horario\nlanguage: es\n---\nDe nueve a siete.")
    (folder / "b.md").write_text("---\ntitle: Horário\nlanguage: pt\n---\nDas nove às sete.")
    (folder / "c.md").write_text("---\ntitle: Garantia\nlanguage: pt\n---\nUm ano.")
    knowledge.load(folder)

    assert [one.id for one in knowledge.find("horario", language="es")] == ["a#1", "b#1"]
    assert [one.id for one in knowledge.find("horario", language="pt-BR")] == ["b#1", "a#1"]
    assert [one.id for one in knowledge.find("garantia", language="es")] == ["c#1"]
    # What the question is written in counts for more than what the contact's file says.
    found = knowledge.find("qual é o horário de vocês", language="es")
    assert [one.id for one in found] == ["b#1", "a#1"]


def test_only_what_changed_is_written_and_what_vanished_goes(
    knowledge: Knowledge, folder: Path
) -> None:
    for name in ("pagos", "envios", "cambios"):
        (folder / f"{name}.md").write_text(f"# {name}\n\nSobre {name}.\n\n## Más\n\nMucho más.")
    rows = sa.text("SELECT path, id FROM article WHERE tenant = 'main'")

    assert knowledge.load(folder) == Synced(written=3, kept=0, removed=0)
    before = dict(knowledge.run(lambda connection: connection.execute(rows).fetchall()))
    assert knowledge.load(folder) == Synced(written=0, kept=3, removed=0)

    (folder / "pagos.md").write_text("# pagos\n\nSolo efectivo.")
    (folder / "cambios.md").unlink()
    assert knowledge.load(folder) == Synced(written=1, kept=1, removed=1)

    after = dict(knowledge.run(lambda connection: connection.execute(rows).fetchall()))
    assert after["envios.md"] == before["envios.md"]
    assert set(after) == {"envios.md", "pagos.md"}
    assert [one.id for one in knowledge.find("efectivo")] == ["pagos#1"]
    assert knowledge.find("cambios") == ()
    assert len(knowledge.find("pagos")) == 1


async def test_what_is_right_is_taken_up_and_what_has_a_mistake_stays_as_it_was(
    tmp_path: Path, folder: Path
) -> None:
    path = tmp_path / "store.db"
    migrate(path)
    (folder / "pagos.md").write_text("# Pagos\n\nEfectivo.")
    (folder / "envios.md").write_text("# Envíos\n\nA todo el país.")
    store = await SQLiteStore.open(path, SystemClock())
    try:
        first = await refresh(store, "main", [folder], language="es")
        again = await refresh(store, "main", [folder], language="es")
        (folder / "pagos.md").write_text("# Pagos\n\nTarjeta.")
        (folder / "envios.md").write_text("---\nbad: x\n---\n")
        mixed = await refresh(store, "main", [folder], language="es")
        (found,) = await store.read(lambda connection: search(connection, "main", "pagos"))
        (kept,) = await store.read(lambda connection: search(connection, "main", "envíos"))
        away = await refresh(store, "main", [folder / "gone"], language="es")
    finally:
        await store.close()

    assert first == Synced(written=2, kept=0, removed=0)
    assert again == Synced(written=0, kept=2, removed=0)
    assert replace(mixed, problems=()) == Synced(written=1, kept=0, removed=0)
    (problem,) = mixed.problems
    assert str(problem) == (
        f'{folder / "envios.md"}:2:1: "bad" says nothing about an article. '
        "Write title, category or language, a colon and a value."
    )
    assert found.text == "Tarjeta."
    assert kept.text == "A todo el país."
    assert (away.removed, len(away.problems)) == (0, 1)


def test_an_article_that_is_known_is_not_split_again(knowledge: Knowledge, folder: Path) -> None:
    (folder / "pagos.md").write_text("# Pagos\n\nEfectivo.")
    knowledge.load(folder)
    known = knowledge.run(lambda connection: digests(connection, "main"))

    (same,) = plan([folder], language="es", known=known).good
    (new,) = plan([folder], language="es", known={"pagos.md": "older"}).good

    assert same.rows is None
    assert new.rows is not None
    # Known when it was read, gone when it is written: nothing is lost.
    knowledge.run(lambda connection: sync(cast("Tx", WritingTx(connection)), "main", Articles()))
    knowledge.run(
        lambda connection: sync(cast("Tx", WritingTx(connection)), "main", Articles(good=(same,)))
    )
    assert [one.id for one in knowledge.find("efectivo")] == ["pagos#1"]


def test_tenants_have_articles_of_one_name_and_never_see_each_others(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    for tenant, text in (("main", "Abrimos a las nueve."), ("clinica", "Abrimos a las siete.")):
        (tmp_path / tenant).mkdir()
        (tmp_path / tenant / "horario.md").write_text(f"# Horario\n\n{text}")
        knowledge.load(tmp_path / tenant, tenant)

    assert [one.text for one in knowledge.find("horario", "main")] == ["Abrimos a las nueve."]
    assert [one.text for one in knowledge.find("horario", "clinica")] == ["Abrimos a las siete."]
    assert knowledge.find("horario", "nobody") == ()
    assert knowledge.find("siete", "main") == ()

    empty = tmp_path / "empty"
    empty.mkdir()
    knowledge.load(empty, "clinica")
    assert [one.text for one in knowledge.find("horario", "main")] == ["Abrimos a las nueve."]


def test_no_more_passages_come_than_were_asked_for(knowledge: Knowledge, folder: Path) -> None:
    sections = "\n\n".join(f"## Horario {number}\n\nTexto." for number in range(9))
    (folder / "horario.md").write_text(f"# Horario\n\n{sections}")
    knowledge.load(folder)

    assert len(knowledge.find("horario")) == 5
    assert len(knowledge.find("horario", limit=2)) == 2


def test_whatever_a_customer_writes_is_a_question_and_no_query(knowledge: Knowledge) -> None:
    knowledge.load(data_path("config", "knowledge"))

    def ask_anything(connection: sa.Connection) -> None:
        @settings(max_examples=300, deadline=None)
        @given(
            st.text(max_size=80)
            | st.text(alphabet="aeñAND OR NOT NEAR()\"'*:^-+{}&|!<>\\\0%_0", max_size=40)
            | st.lists(
                st.sampled_from(
                    ["envio", '"', "'", "*", "OR", "AND", "NOT", "NEAR(", "title_terms:"]
                ),
                max_size=8,
            ).map(" ".join)
        )
        @example('envio" OR "')
        @example("title_terms : envio")
        @example("envio')) -- ")
        @example("\ud800 \x00 envío")
        @example("हिन्दी मूल्य 𞤀𞤁 ﷺ ½ ² ㉑")
        @example("envio " * 5_000)
        def ask(text: str) -> None:
            found = search(connection, "main", text, language="es")

            assert all(0 < one.score <= 1 for one in found)
            assert [one.score for one in found] == sorted(
                (one.score for one in found), reverse=True
            )

        ask()

    knowledge.run(ask_anything)


def test_accents_case_and_inflection_do_not_matter(knowledge: Knowledge, folder: Path) -> None:
    (folder / "a.md").write_text("# Devoluciones\n\nPuede devolver lo que compró en la tienda.")
    (folder / "b.md").write_text("---\ntitle: Promoções\nlanguage: pt\n---\nUma devolução por ano.")
    knowledge.load(folder)

    for question in ("DEVOLUCION", "devolución", "devoluciones", "las   Devolucio\u0301nes?"):
        assert knowledge.find(question)[0].id == "a#1", question
    for question in ("compre", "comprar", "compras", "COMPRÉ"):
        assert knowledge.find(question)[0].id == "a#1", question
    for question in ("promoção", "promocao", "promoções", "promocoes"):
        assert knowledge.find(question)[0].id == "b#1", question


def test_a_paragraph_of_a_megabyte_is_brought_in_and_found(
    knowledge: Knowledge, folder: Path
) -> None:
    references = " ".join(f"pieza{number:06}x" for number in range(110_000))
    (folder / "catalogo.md").write_text(f"# Catálogo\n\n{references}")

    knowledge.load(folder)

    assert knowledge.find("pieza054321x")[0].title == "Catálogo"


@pytest.mark.parametrize("name, text", [("pagos.md", "# A\n\n\0"), ("env\udced.md", "# A")])
def test_what_no_database_takes_is_told_and_the_rest_is_brought_in(
    knowledge: Knowledge, folder: Path, name: str, text: str
) -> None:
    (folder / name).write_text(text)
    (folder / "horario.md").write_text("# Horario\n\nDe 8 a 18.")

    assert len(knowledge.load(folder).problems) == 1

    assert knowledge.find("horario")[0].id == "horario#1"
