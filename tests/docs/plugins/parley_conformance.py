"""The parley backend keeps the contract."""

from parley import ParleyBackend, ParleyConfig
from pydantic import SecretStr

from router import plugin
from router.plugin.testing import AIBackendSuite, Complete, Dialogue, Hears, Says

QUESTION = plugin.Prompt(system="Be brief.", turns=(plugin.PromptTurn("user", "Are you open?"),))


class TestParley(AIBackendSuite):
    backend = ParleyBackend
    config = ParleyConfig(url="wss://agent.example/talk", token=SecretStr("s3cret"))

    completes = (
        Complete(
            "answer",
            QUESTION,
            expect=plugin.Completion("Until six."),
            sockets=[
                Dialogue(
                    Hears({"role": "user", "text": "Are you open?"}),
                    Says({"ping": 1}),
                    Hears({"pong": 1}),
                    Says({"answer": "Until six."}),
                    url="wss://agent.example/talk",
                    headers={"Authorization": "Bearer s3cret"},
                )
            ],
        ),
    )
