"""The AI kind ``answers``: the best passage of the knowledge base, or that it does not know."""

from router_answers.backend import Answers, AnswersConfig, router_register

router_api = (1, 0)

__all__ = ["Answers", "AnswersConfig", "router_api", "router_register"]
