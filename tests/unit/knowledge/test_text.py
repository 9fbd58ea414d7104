"""What the index sees of words."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.knowledge.text import question_terms, spoken, terms, tokens


@pytest.mark.parametrize(
    "text, expected",
    [
        ("¿A qué HORA abren?", ["a", "que", "hora", "abren"]),
        ("año niño mañana", ["ano", "nino", "manana"]),
        ("CC-10482, 24h", ["cc", "10482", "24h"]),
        ("snake_case 👍 —", ["snake", "case"]),
        ("", []),
    ],
)
def test_words_are_folded(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize(
    "language, forms",
    [
        ("es", "envío envíos envian enviamos ENVIAR"),
        ("es", "devolución devoluciones devolucion"),
        ("es", "abren abrimos abrir abres abrís"),
        ("es", "recibís reciben recibes"),
        ("es", "isla islas"),
        ("es", "cierra cerramos cerrado"),
        ("es", "cuesta cuestan costo costos"),
        ("es-CO", "factura facturas facturación facturar"),
        ("pt", "devolução devoluções devolucao devolucoes"),
        ("pt", "entrega entregam entregas entregamos"),
        ("pt-BR", "horário horários horario"),
        ("en", "ship ships shipping shipped"),
    ],
)
def test_inflections_of_a_word_become_one_term(language: str, forms: str) -> None:
    assert len(set(terms(forms, language))) == 1, terms(forms, language)


@pytest.mark.parametrize("language", [None, "de", "xx-YY"])
def test_other_languages_are_only_folded(language: str | None) -> None:
    assert terms("Öffnungszeiten Größe", language) == ["offnungszeiten", "grosse"]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Hola, buenos días! quisiera saber el horario por favor", ["horario"]),
        ("buenos dias", []),
        ("bom dia, tudo bem?", []),
        ("cuántos días tarda el envío, el ENVIO", ["cuantos", "dias", "tarda", "envio"]),
        ("che, ¿me podés decir si hacés envíos?", ["envios"]),
        ("¿puedes decirme si tienes garantía?", ["garantia"]),
        ("pedido 7 x", ["pedido", "7"]),
        ("ok", ["ok"]),
    ],
)
def test_only_the_telling_words_of_a_question_are_looked_up(text: str, expected: list[str]) -> None:
    assert [term.word for term in question_terms(text, ["es"])] == expected


def test_a_word_is_looked_up_as_each_language_of_the_articles_would_hold_it() -> None:
    (term,) = question_terms("entregas", ["es", "pt", None, "es-CO"])

    assert term.forms == {"entreg", "entregas"}
    assert repr(term) == "Term('entregas', ['entreg', 'entregas'], 1.0)"


def test_a_very_long_message_is_looked_at_up_to_a_limit() -> None:
    assert len(question_terms(" ".join(map(str, range(5_000))), ["es"])) == 32


def test_of_a_very_long_message_both_ends_are_looked_at() -> None:
    numbers = [str(number) for number in range(100)]

    found = {term.word for term in question_terms(" ".join(numbers), ["es"])}

    assert found == {*numbers[:16], *numbers[-16:]}


@pytest.mark.parametrize(
    "text, language",
    [
        ("¿cuál es el horario de la tienda?", "es"),
        ("qual é o horário de vocês?", "pt"),
        ("você sabe o horário?", "pt"),
        ("¿podés decirme el horario?", "es"),
        ("what are your opening hours?", "en"),
        ("horario", None),
        ("", None),
    ],
)
def test_small_words_tell_the_language(text: str, language: str | None) -> None:
    assert spoken(text) == language


@given(st.text())
def test_any_text_has_terms_without_spaces_and_quotes(text: str) -> None:
    for language in ("es", "pt", "en", None):
        for term in terms(text, language):
            assert term
            assert not set(term) & set(" \t\n\"'*:()\0")


def test_stemmers_are_not_loaded_before_they_are_needed() -> None:
    probe = (
        "import sys, router.knowledge.index, router.knowledge.retrieve\n"
        "print([m for m in ('snowballstemmer', 'markdown_it', 'alembic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
