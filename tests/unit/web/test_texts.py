import re
from pathlib import Path

import pytest

from router.domain.decision import Outcome
from router.domain.message import Author, DeliveryStatus
from router.domain.ticket import TicketState
from router.web import texts as module
from router.web.texts import TEXTS, language_of

TEMPLATES = Path(module.__file__).parent / "templates"


@pytest.mark.parametrize("language", TEXTS)
def test_every_language_says_the_same_things(language: str) -> None:
    assert list(TEXTS[language]) == list(TEXTS["es"])
    assert [key for key, text in TEXTS[language].items() if not text.strip()] == []


def test_every_text_is_used_and_every_used_text_exists() -> None:
    web = Path(module.__file__).parent
    pages = [web / "conversation.py", *web.glob("simulator/*.py")]
    sources = [*TEMPLATES.glob("*.html"), *pages]
    used = set()
    for source in sources:
        text = source.read_text()
        used |= set(re.findall(r"\bt\.([a-z_]+)\b(?!\()", text))
        used |= set(re.findall(r'texts\["([a-z_]+)"\]', text))
        used |= set(re.findall(r'\)\]\["([a-z_]+)"\]', text))
    used |= {f"outcome_{outcome.word}" for outcome in Outcome}
    used |= {f"status_{status}" for status in DeliveryStatus}
    used |= {f"status_{status}" for status in ("waiting", "failed", "unknown", "withdrawn")}
    used |= {author.value for author in (Author.BOT, Author.PERSON)}
    used |= {f"owner_{owner}" for owner in ("bot", "nobody", "person")}
    used |= {f"risk_{risk}" for risk in ("low", "medium", "high")}
    used |= {f"draft_{state}" for state in ("pending", "approved", "edited", "discarded")}
    used |= {f"ticket_{state}" for state in TicketState}
    used |= {f"mark_{report}" for report in ("delivered", "read", "failed")}
    used |= {f"call_{word}" for word in ("inbound", "outbound", "success", "failure")}
    files = ("image", "audio", "video", "document", "sticker", "location", "contact")
    used |= {f"file_{kind}" for kind in files}
    used |= {"typing", "waiting", "language_name"}

    assert used == set(TEXTS["es"])


@pytest.mark.parametrize(
    "wishes, language",
    [
        (("en",), "en"),
        (("pt-BR",), "pt"),
        (("EN-gb", "es"), "en"),
        ((None, "pt"), "pt"),
        (("", "pt"), "pt"),
        (("de", "en"), "en"),
        (("de", None), "es"),
        ((), "es"),
    ],
)
def test_first_language_that_we_speak_is_spoken(
    wishes: tuple[str | None, ...], language: str
) -> None:
    assert language_of(*wishes) == language
