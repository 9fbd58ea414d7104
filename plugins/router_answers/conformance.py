"""What ``router plugins check answers`` runs."""

from router.plugin import Completion, Passage, Prompt, PromptTurn
from router.plugin.testing import AIBackendSuite, Complete
from router_answers.backend import Answers, AnswersConfig

HOURS = Passage("horarios#1", "Horarios", "Abrimos de **9:00** a 19:00.", 0.8, "INFO")
PLACE = Passage("direccion#1", "Dirección", "Estamos en la Calle 45.", 0.3, "INFO")


def _prompt(*passages: Passage, language: str = "es", categories: tuple[str, ...] = ()) -> Prompt:
    return Prompt(
        system="",
        turns=(PromptTurn("user", "¿A qué hora abren?"),),
        passages=passages,
        language=language,
        categories=categories,
    )


class AnswersConformance(AIBackendSuite):
    """The backend's rows."""

    backend = Answers
    config = AnswersConfig()
    exempt = {"provider_errors": "works offline; there is no provider", "secrets": "has none"}  # noqa: RUF012

    completes = (
        Complete(
            "the best passage, as plain text",
            _prompt(PLACE, HOURS),
            expect=Completion(
                "Abrimos de 9:00 a 19:00.", confidence=0.8, citations=("horarios#1",)
            ),
        ),
        Complete(
            "its category, where one is wanted",
            _prompt(HOURS, categories=("OTHER", "INFO")),
            expect=Completion(
                "Abrimos de 9:00 a 19:00.",
                confidence=0.8,
                category="INFO",
                citations=("horarios#1",),
            ),
        ),
        Complete(
            "a category that the prompt does not offer",
            _prompt(HOURS, categories=("OTHER",)),
            expect=Completion(
                "Abrimos de 9:00 a 19:00.", confidence=0.8, citations=("horarios#1",)
            ),
        ),
        Complete(
            "nothing fits",
            _prompt(PLACE),
            expect=Completion("No tengo esa información.", confidence=0.0),
        ),
        Complete(
            "nothing found, in Portuguese",
            _prompt(language="pt-BR"),
            expect=Completion("Não tenho essa informação.", confidence=0.0),
        ),
        Complete(
            "nothing found, in a language it does not speak",
            _prompt(language="de"),
            expect=Completion("I do not have that information.", confidence=0.0),
        ),
    )
