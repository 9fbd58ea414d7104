"""The backend: no model, no network, no state."""

from typing import Final

from pydantic import Field

from router import plugin

_DOES_NOT_KNOW: Final = {
    "es": "No tengo esa información.",
    "pt": "Não tenho essa informação.",
    "en": "I do not have that information.",
}


class AnswersConfig(plugin.PluginConfig):
    """The table of an ``answers`` backend."""

    threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="How well a passage has to fit the question, 0 to 1. Below it, the backend "
        "says that it does not know.",
    )
    length: int = Field(
        600,
        ge=80,
        description="The longest answer, in characters. A longer passage is shortened to the part "
        "that fits the question.",
    )


class Answers(plugin.AIBackend[AnswersConfig]):
    """Answers with the passage that fits best, as plain text.

    The confidence is that passage's score; without one above the threshold the answer says that it
    does not know, with confidence 0 and no citation, and a guardrail decides what comes of it. The
    category is the passage's, where the prompt asks for one and offers it.
    """

    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        # Late: the Markdown parser is not needed to start.
        from router_answers.excerpt import excerpt
        from router_answers.plain import blocks

        best = max(prompt.passages, key=lambda passage: passage.score, default=None)
        if best is not None and best.score >= self.config.threshold:
            text = excerpt(blocks(best.text), _question(prompt), self.config.length)
            if text:
                return plugin.Completion(
                    text,
                    confidence=min(1.0, best.score),
                    category=best.category if best.category in prompt.categories else None,
                    citations=(best.id,),
                )
        return plugin.Completion(_does_not_know(prompt), confidence=0.0)


def _question(prompt: plugin.Prompt) -> str:
    return next((turn.text for turn in reversed(prompt.turns) if turn.role == "user"), "")


def _does_not_know(prompt: plugin.Prompt) -> str:
    language = (prompt.language or prompt.contact.language or "es").partition("-")[0].lower()
    return _DOES_NOT_KNOW.get(language, _DOES_NOT_KNOW["en"])


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kind ``answers``."""
    registry.ai_backend("answers", Answers, config=AnswersConfig)
