"""A voice note as the form of a request for its transcript.

https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

from typing import Final

from router import plugin
from router_openai.config import OpenAIConfig

#: Servers tell the format by the ending of the file's name, and refuse one that they do not know.
_ENDINGS: Final = {
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "video/mp4": "mp4",
    "video/webm": "webm",
}


def file_name(voice: plugin.File) -> str:
    """Give the name under which a voice note is sent."""
    return f"voice.{_ENDINGS.get(voice.content_type, 'ogg')}"


def transcription(config: OpenAIConfig, language: str | None) -> dict[str, str]:
    """Give the fields of the form besides the file itself."""
    fields = {"model": config.transcription_model or "", "response_format": "json"}
    if language:
        # ISO 639-1; the region says nothing to a model.
        fields["language"] = language.partition("-")[0].lower()
    return fields
