"""What the tests of the rules have in common: names to refer to, and rules from a text."""

from collections.abc import Callable

import pytest

from router.plugin.action import ActionParams, NoticeParams
from router.rules.loading import build_rules
from router.rules.model import Names, RuleSet
from router.toml import loads


class CrmParams(ActionParams):
    """An action that takes no notice."""

    customer: str
    stage: str = "new"


@pytest.fixture
def names() -> Names:
    return Names(
        channels=frozenset({"phone", "whatsapp"}),
        backends=frozenset({"assistant", "cheap"}),
        actions={"pager": NoticeParams, "crm": CrmParams, "anything": None},
    )


@pytest.fixture
def rules_of(names: Names) -> Callable[..., RuleSet]:
    """Give rules from a text; ``default.answer = "assistant"`` is put before it."""

    def build(text: str, *, default: str = 'default.answer = "assistant"') -> RuleSet:
        return build_rules([loads(f"{default}\n{text}", "rules.toml")], names)

    return build
