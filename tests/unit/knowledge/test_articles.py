"""Articles: what stands above them, and how they are split."""

import os
from pathlib import Path

import pytest

from router.data import data_path
from router.knowledge.articles import ArticleFile, Section, sections
from router.knowledge.index import plan

WRITE = "Write title, category or language, a colon and a value."


def article(folder: Path, text: str, *, language: str) -> ArticleFile:
    (folder / "a.md").write_text(text)
    (found,) = plan([folder], language=language).good
    return found


@pytest.mark.parametrize(
    "text, title, category, language, body",
    [
        ("Hola.", "a", None, "es", "Hola."),
        ("# Envíos\n\nHola.", "Envíos", None, "es", "\nHola."),
        ("Antes.\n\n## *Envíos* `x`\nHola.", "Envíos x", None, "es", "Antes.\n\nHola."),
        ("---\ntitle: Pagos\n---\n# Otro\nHola.", "Pagos", None, "es", "# Otro\nHola."),
        (
            '---\n# nota\n\ntitle: "Pagos: todos"\ncategory: INFO\nlanguage: pt-BR\n---\nOi.',
            "Pagos: todos",
            "INFO",
            "pt-BR",
            "Oi.",
        ),
        ("---\ncategory:\ntitle: ''\n---\n# T\nx", "T", None, "es", "x"),
        ("\ufeff# Con marca\nx", "Con marca", None, "es", "x"),
        ("```\n# no\n```\n\n# sí\n", "sí", None, "es", "```\n# no\n```\n"),
        ("", "a", None, "es", ""),
    ],
)
def test_an_article_says_what_it_is_about(
    tmp_path: Path, text: str, title: str, category: str | None, language: str, body: str
) -> None:
    found = article(tmp_path, text, language="es")

    assert (found.title, found.category, found.language, found.body) == (
        title,
        category,
        language,
        body,
    )


@pytest.mark.parametrize(
    "text, place, message",
    [
        (
            "---\ntitle: A\ncategroy: INFO\n---\n",
            ":3:1",
            f'"categroy" says nothing about an article. {WRITE}',
        ),
        (
            "---\n  title\n---\n",
            ":2:3",
            f'"title" says nothing about an article. {WRITE}',
        ),
        (
            "---\nlanguage: Spanish\n---\n",
            ":2:1",
            '"Spanish" is no language. Write a language tag such as "es" or "pt-BR".',
        ),
        (
            "---\ntitle: A\n",
            ":1:1",
            "the words about the article have no end. Put a line of --- below the last of them.",
        ),
        (b"# Env\xedos", "", "it is not UTF-8 text. Save it as UTF-8."),
        (
            "# Pagos\n\nSolo \0efectivo.",
            ":3:6",
            "there is a NUL character, which no text has. Save it as UTF-8.",
        ),
        (
            "---\ntitle: Pa\0gos\n---\n",
            ":2:10",
            "there is a NUL character, which no text has. Save it as UTF-8.",
        ),
        (
            "# Pagos".encode("utf-16-le"),
            ":1:2",
            "there is a NUL character, which no text has. Save it as UTF-8.",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, text: str | bytes, place: str, message: str
) -> None:
    file = tmp_path / "a.md"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())

    (tmp_path / "good.md").write_text("# A")

    found = plan([tmp_path])

    assert [str(problem) for problem in found.problems] == [f"{file}{place}: {message}"]
    assert [article.path for article in found.good] == ["good.md"]
    assert (set(found.bad), found.whole) == ({"a.md"}, True)


def test_every_mistake_in_every_file_is_told_at_once(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "same.md").write_text("# A")
    (one / "bad.md").write_text("---\nx: y\nz: y\n---\n")

    found = plan([one, two, tmp_path / "three"])

    assert (set(found.bad), found.whole) == ({"bad.md"}, False)
    assert [str(problem).partition(": ")[0] for problem in found.problems] == [
        f"{one}/bad.md:2:1",
        f"{one}/bad.md:3:1",
        f"{two}/same.md",
        f"{tmp_path}/three",
    ]


def test_articles_are_found_in_folders_below_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for path in ("b.md", "policies/refunds.md", ".git/c.md", ".d.md", "notes.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("x")

    assert [(found.path, found.name) for found in plan([tmp_path]).good] == [
        ("b.md", "b"),
        ("policies/refunds.md", "policies/refunds"),
    ]


def test_the_digest_changes_with_the_content_and_the_default_language(tmp_path: Path) -> None:
    digests = {
        article(tmp_path, "# A\nuno", language="es").digest,
        article(tmp_path, "# A\ndos", language="es").digest,
        article(tmp_path, "# A\ndos", language="pt").digest,
    }

    assert len(digests) == 3
    assert article(tmp_path, "# A\ndos", language="pt").digest in digests


@pytest.mark.parametrize(
    "body, expected",
    [
        ("", []),
        ("uno", [("", "uno")]),
        (
            "uno\n\n## Dos\n\ndos\n\n### Tres\ntres\n",
            [("", "uno"), ("Dos", "dos"), ("Tres", "tres")],
        ),
        ("## Vacío\n\n## Lleno\n\nx", [("Lleno", "x")]),
        ("Uno\n---\nuno", [("Uno", "uno")]),
        ("## [Uno](x) *y* `z`\nuno", [("Uno y z", "uno")]),
        ("uno\n\n- # no es título\n- dos", [("", "uno\n\n- # no es título\n- dos")]),
        ("```\n# tampoco\n```", [("", "```\n# tampoco\n```")]),
    ],
)
def test_an_article_is_split_at_its_headings(body: str, expected: list[tuple[str, str]]) -> None:
    assert [(found.heading, found.text) for found in sections(body)] == expected


def test_a_long_section_is_split_between_its_paragraphs() -> None:
    paragraph = "palabra " * 80
    body = "## Largo\n\n" + "\n\n".join(f"{number} {paragraph}" for number in range(5))

    found = sections(body)

    assert {section.heading for section in found} == {"Largo"}
    assert [section.text[0] for section in found] == ["0", "2", "4"]
    assert all(len(section.text) <= 1_500 for section in found)


def test_a_paragraph_too_long_by_itself_stays_whole() -> None:
    text = "palabra " * 400

    assert sections(text) == [Section(heading="", text=text.strip())]


def test_the_example_articles_have_no_mistake_and_each_has_a_category() -> None:
    articles = plan([data_path("config", "knowledge")]).good

    assert len([found for found in articles if found.language == "es"]) >= 8
    assert {found.language for found in articles} == {"es", "pt", "en"}
    assert {found.category for found in articles} == {"INFO", "TRACKING", "BILLING"}
    assert all(sections(found.body) for found in articles)


def test_a_name_that_is_no_text_is_told_and_the_other_articles_are_read(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / os.fsdecode(b"env\xedos.md")).write_text("# A")
    (tmp_path / "one" / "good.md").write_text("# B")

    found = plan([tmp_path / "one", tmp_path / "two"])

    assert [str(problem) for problem in found.problems] == [
        rf"{tmp_path}/{folder}/env\xedos.md: its name is not UTF-8 text. Give it another name."
        for folder in ("one", "two")
    ]
    assert [it.path for it in found.good] == ["good.md"]


@pytest.mark.parametrize(
    "text, pieces",
    [
        ("| a | b |\n" * 1_000, 2),
        ("palabra " * 1_000, 2),
        ("a" * 14_000, 3),
    ],
)
def test_what_is_too_large_by_itself_is_cut_where_it_hurts_least(text: str, pieces: int) -> None:
    found = [section.text for section in sections(text)]

    assert len(found) == pieces
    assert all(len(piece) <= 6_000 for piece in found)
    assert "".join(found).split() == text.split() or "\n".join(found).split() == text.split()
