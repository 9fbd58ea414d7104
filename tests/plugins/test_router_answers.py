"""The answers backend keeps the contract, and its texts read well in a chat."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import plugin
from router.plugin.testing import FakeContext, conformance
from router_answers import Answers, AnswersConfig, router_register
from router_answers.conformance import AnswersConformance
from router_answers.excerpt import excerpt
from router_answers.plain import blocks
from tests.growth import growth

WHOLE = 10_000


class TestAnswers(AnswersConformance):
    pass


def test_ships_what_router_plugins_check_runs() -> None:
    registry = plugin.Registry()
    router_register(registry)

    results = conformance(registry.ai_backends["answers"])

    assert {result.outcome for result in results} == {"passed", "exempt"}


@pytest.mark.parametrize(
    "markdown, expected",
    [
        ("Abrimos a las **9:00**, _siempre_.", "Abrimos a las 9:00, siempre."),
        ("Una línea\nque sigue.", "Una línea que sigue."),
        ("Uno.  \nDos.", "Uno.\nDos."),
        ("### Horario\n\nDe 9 a 19.", "Horario\n\nDe 9 a 19."),
        ("- uno\n- **dos**\n  - tres\n", "• uno\n• dos\n  • tres"),
        ("3. tres\n4. cuatro", "3. tres\n4. cuatro"),
        ("[el mapa](https://a.example/m)", "el mapa: https://a.example/m"),
        ("[a.example/m](https://a.example/m)", "https://a.example/m"),
        ("<https://a.example>", "https://a.example"),
        ("[hola@a.example](mailto:hola@a.example)", "hola@a.example"),
        ("[sin dirección]()", "sin dirección"),
        ("> Nota: cierra hoy.", "Nota: cierra hoy."),
        ("a\n\n***\n\nb", "a\n\nb"),
        ("```\nCC-1\nCC-2\n```", "CC-1\nCC-2"),
        ("`CC-10482`", "CC-10482"),
        ("![el mapa](mapa.png)", "el mapa"),
        ("uno <b>dos</b>", "uno dos"),
        ("<div>\nnada\n</div>", ""),
        ("| Ciudad | Días |\n| --- | --- |\n| Bogotá | 1 |", "Ciudad | Días\nBogotá | 1"),
        (r"\*así\* &amp; así", "*así* & así"),
        ("", ""),
    ],
)
def test_markdown_becomes_text_for_a_chat(markdown: str, expected: str) -> None:
    assert excerpt(blocks(markdown), "", WHOLE) == expected


LONG = """
La tienda queda en la Calle 45. Es la única sede.

Aceptamos:

- Tarjetas de crédito y débito.
- Transferencia bancaria.
- Efectivo, en la tienda.

La garantía de los muebles dura doce meses. La de las lámparas dura seis.
"""


@pytest.mark.parametrize(
    "question, length, expected",
    [
        ("¿dónde?", 80, "La tienda queda en la Calle 45. Es la única sede."),
        ("¿DONDE QUEDA?", 40, "La tienda queda en la Calle 45."),
        ("cuanto dura la de las lamparas", 50, "La de las lámparas dura seis."),
        (
            "que garantia tienen los muebles",
            75,
            "La garantía de los muebles dura doce meses. La de las lámparas dura seis.",
        ),
        (
            "reciben tarjeta",
            96,
            (
                "Aceptamos:\n\n• Tarjetas de crédito y débito.\n• Transferencia bancaria.\n"
                "• Efectivo, en la tienda."
            ),
        ),
        ("garantia muebles", 30, "La garantía de los muebles…"),
    ],
)
def test_a_long_passage_is_shortened_to_what_answers(
    question: str, length: int, expected: str
) -> None:
    assert excerpt(blocks(LONG), question, length) == expected


@given(st.text(max_size=400), st.text(max_size=40), st.integers(80, 200))
def test_an_excerpt_is_never_too_long_and_never_lost(
    markdown: str, question: str, length: int
) -> None:
    lines = blocks(markdown)

    text = excerpt(lines, question, length)

    assert len(text) <= length
    assert bool(text) == bool(lines)


async def test_the_customers_language_is_used_where_the_prompt_names_none() -> None:
    prompt = plugin.Prompt(
        system="",
        turns=(plugin.PromptTurn("user", "oi"),),
        contact=plugin.ContactCard(language="pt"),
    )
    async with FakeContext() as context:
        completion = await Answers(AnswersConfig(), context).complete(prompt)

    assert completion.text == "Não tenho essa informação."


async def test_the_threshold_and_the_length_are_the_deployers() -> None:
    passage = plugin.Passage("a#1", "A", "Abrimos a las nueve. " * 40, 0.3)
    prompt = plugin.Prompt(
        system="", turns=(plugin.PromptTurn("user", "¿abren?"),), passages=(passage,)
    )
    async with FakeContext() as context:
        strict = await Answers(AnswersConfig(), context).complete(prompt)
        easy = await Answers(AnswersConfig(threshold=0.2, length=80), context).complete(prompt)

    assert strict.citations == ()
    assert easy.citations == ("a#1",)
    assert len(easy.text) <= 80


def test_a_question_of_many_marks_takes_time_in_proportion() -> None:
    passage = blocks("Abrimos a las 9.")

    assert growth(lambda question: excerpt(passage, question, WHOLE), "\u0315\u0327", 4_000) < 10
