"""The backend: one POST a prompt, and nothing remembered but what the server cannot do."""

from typing import TYPE_CHECKING, Any

from router import plugin
from router_openai.config import OpenAIConfig
from router_openai.failures import FormatRefusedError, raise_for_error
from router_openai.reply import completion
from router_openai.request import body
from router_openai.voice import file_name, transcription

if TYPE_CHECKING:
    import httpx


class OpenAI(plugin.AIBackend[OpenAIConfig]):
    """Answers from the passages alone, as a model on a chat-completions server understands them.

    The confidence is always left out: these servers give none, and what a model says about its
    own certainty is no measure of it. A text that a model wrote without the JSON that it was asked
    for is taken as it is, without a category.
    """

    calls_tools = True

    def __init__(self, config: OpenAIConfig, context: plugin.PluginContext) -> None:
        super().__init__(config, context)
        self._takes_schema = config.structured is not False
        takes = {"image": config.vision, "document": config.documents}
        self.accepts = frozenset(kind for kind, does in takes.items() if does)
        self.transcribes = config.transcription_model is not None

    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        """Ask once."""
        # Tools and a schema together are more than many servers can do.
        structured = self._takes_schema and not (
            self.config.structured == "auto" and prompt.tools and prompt.task == "answer"
        )
        response = await self.context.http.post(
            f"{self.config.base_url}/chat/completions",
            json=body(prompt, self.config, structured=structured),
            headers=self._headers(),
        )
        given = _json(response)
        try:
            raise_for_error(response, given, self.config, structured=structured)
        except FormatRefusedError:
            raise self._without_schema(response) from None
        if given is None:
            raise plugin.OutcomeUnknown(f"{response.request.url.host} answered 200 without JSON")
        return completion(prompt, given, model=self.config.model, log=self.context.log)

    async def transcribe(self, voice: plugin.File, language: str | None) -> plugin.Transcript:
        """Ask once for what is said in a voice note."""
        response = await self.context.http.post(
            f"{self.config.base_url}/audio/transcriptions",
            data=transcription(self.config, language),
            files={"file": (file_name(voice), voice.data, voice.content_type)},
            headers=self._headers(),
        )
        given = _json(response)
        raise_for_error(response, given, self.config, structured=False)
        text = given.get("text") if isinstance(given, dict) else None
        if not isinstance(text, str):
            raise plugin.OutcomeUnknown(f"{response.request.url.host} answered 200 without a text")
        heard = given.get("language")
        known = isinstance(heard, str) and len(heard) == 2
        return plugin.Transcript(text.strip(), heard if known else None)

    async def check(self) -> None:
        """Ask for the list of models, which costs nothing; a server without one passes.

        :raises ProviderError: if the server cannot be reached, or does not accept the key.
        """
        response = await self.context.http.get(
            f"{self.config.base_url}/models", headers=self._headers()
        )
        if response.status_code not in {404, 405}:
            raise_for_error(response, _json(response), self.config, structured=False)

    def _without_schema(self, response: "httpx.Response") -> plugin.ProviderError:
        """Stop sending a schema, where that is ours to decide. The host asks again."""
        host = response.request.url.host
        if self.config.structured is True:
            return plugin.Refused(
                f"{host} takes no JSON schema. Set structured = false",
                code=str(response.status_code),
            )
        self._takes_schema = False
        self.context.log.warning(
            "the server takes no JSON schema: the answer's form is asked for in words from now on",
            host=host,
        )
        return plugin.Unavailable(f"{host} takes no JSON schema", retry_after=0.0)

    def _headers(self) -> dict[str, str]:
        headers = dict(self.config.headers)
        if self.config.api_key is not None:
            headers["Authorization"] = f"Bearer {self.config.api_key.get_secret_value()}"
        for name, value in self.config.secret_headers.items():
            headers[name] = value.get_secret_value()
        return headers


def _json(response: "httpx.Response") -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kind ``openai``."""
    registry.ai_backend("openai", OpenAI, config=OpenAIConfig)
