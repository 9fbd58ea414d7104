"""What the logs never show: secrets, however somebody spells them."""

import json
from urllib.parse import quote, quote_plus

import pytest

from router.logs import REDACTED, Redaction
from router.settings.database import password_of

#: A secret with something in it that every spelling writes in its own way.
AWKWARD = 'p@ss "wörd"\\/9\n'


@pytest.mark.parametrize(
    "spelled",
    [
        AWKWARD,
        quote(AWKWARD),
        quote(AWKWARD, safe=""),
        quote_plus(AWKWARD),
        json.dumps(AWKWARD)[1:-1],
        json.dumps(AWKWARD, ensure_ascii=False)[1:-1],
        repr(AWKWARD)[1:-1],
    ],
)
def test_a_secret_is_blanked_out_however_it_is_spelled(spelled: str) -> None:
    assert Redaction([AWKWARD]).clean(f"it quotes {spelled}!") == f"it quotes {REDACTED}!"


def test_the_password_of_a_database_is_known_as_its_server_says_it() -> None:
    password = password_of("postgresql://router:p%40ss-word9@db/router")

    assert Redaction([password or ""]).clean("refused: p@ss-word9") == f"refused: {REDACTED}"


def test_what_is_too_short_is_part_of_innocent_words_in_any_spelling() -> None:
    redaction = Redaction(["abc", "%61%62%63", "%ZZ%", "\ud800key!"])

    assert redaction.clean("abcdef, á, /, \\") == "abcdef, á, /, \\"
