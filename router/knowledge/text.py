"""What the full-text index sees of a text, and of a question: folded, stemmed, telling words."""

from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import pairwise
from threading import Lock
from typing import Any, Final

from router.rules.text import fold, words

#: Languages that are stemmed. Text in any other is only folded.
STEMMED: Final = {"en": "english", "es": "spanish", "pt": "portuguese"}

# Folded words that say nothing about the subject: grammar, and what politeness puts around a
# question. Lists are per language because they also tell the languages apart.
_SPANISH = """
a aca ademas ahi ahora al algo algun alguna algunas alguno algunos alla alli ante antes aqui asi aun
aunque avisame ayuda ayudan ayudar ayudarme bien buena buenas bueno buenos cada casi che como con
conmigo consulta contame contra cual cuales dame dan dar darme darnos das de decime decinos decir
decirme decirnos decis del desde deseo dia dias dice dicen dices diga dime dinos disculpa disculpe
donde e el ella ellas ellos en entonces entre era eres es esa esas ese eso esos esta estaba estan
estar estas este esto estos estoy estuve favor fue fueron gracias gustaria ha haber habia hace
haceis haceme hacen hacer haces hago han has hasta hay he hemos hola hoy igual informacion ir la las
le les lo los mandame mas me mi mis mucha muchas mucho muchos muy nada necesita necesitamos
necesitan necesitas necesito ni ningun ninguna ninguno no noches nos nosotros nuestra nuestro o os
otra otras otro otros para pasame pero poco podeis podemos podes podran podras podria podrian
podrias por porfa porfavor porque pregunta pudiera pudieras puede pueden puedes puedo pues que
quereis queremos queres quiere quieren quieres quiero quisiera quisieramos quisieras sabe saben
saber sabes sabrias se sea segun ser si sido siempre sin sobre sois solo somos son sos soy su sus
tal tambien tampoco tan tanto tarde tardes te tendran tendrias teneis tenemos tener tenes tenga
tengan tengas tengo ti tiene tienen tienes toda todas todavia todo todos tu tus un una unas uno unos
usted ustedes va vamos van vez vos vosotros voy y ya yo
"""
_PORTUGUESE = """
a agora ai ainda ajuda alguem algum alguma algumas alguns ali ao aos apos aquela aquele aqui as
assim ate bem boa boas bom com como da dar das de dela dele depois desculpa desculpe dessa desse
deste dia dias diz do dos e ela elas ele eles em entao entre era essa esse esta estao estar estas
este estou eu favor faz fazem fazer foi foram gostaria ha hoje informacao ir isso isto ja la lhe
mais mas me mesmo meu meus minha minhas muita muito na nada nao nas nem no noite nos nossa nosso num
numa o obrigada obrigado oi ola os ou para pela pelas pelo pelos pode podem poderia podes podia por
porque posso pra preciso pro quais qual que quem quer queres queria quero sabe saber sao se seja sem
ser seu seus sim so sobre sua suas tambem tao tarde te tem tenho ter teu ti toda todas todo todos tu
tua tudo um uma umas uns vai vc vcs voce voces vou
"""
_ENGLISH = """
a about after afternoon all also am an and any are as at be been before being but by can cannot
could d did do does doing don evening for from get give good had has have having hello help hey hi
how i if in information into is it its just know like ll may me might more morning most much my need
no nor not now of on only or other our please re s same shall she should so some such t tell than
thank thanks that the their them then there these they this those to too up us ve very want was we
were what which who whom why will with would yes you your yours
"""
_STOP_WORDS: Final = {
    "es": frozenset(_SPANISH.split()),
    "pt": frozenset(_PORTUGUESE.split()),
    "en": frozenset(_ENGLISH.split()),
}
_ALL_STOP_WORDS: Final = frozenset().union(*_STOP_WORDS.values())

# They point at a kind of answer (a place, a price, a time), but stand in questions of any subject.
_ASKING_WORDS = """
cuando cuanta cuantas cuanto cuantos dia dias donde onde quando quanta quanto quantos when where
"""
_ASKING: Final = frozenset(_ASKING_WORDS.split())
_GREETINGS: Final = {("buen", "dia"), ("buenos", "dias"), ("bom", "dia"), ("bons", "dias")}

_VERB_ENDINGS: Final = ("am", "an", "ar", "em", "en", "er", "im", "ir")
# The Spanish stemmer takes these off where the word is long enough, and "is" with its accent only.
_SECOND_PERSON: Final = ("as", "es", "is")


def tokens(text: str) -> list[str]:
    """Give a text's words, folded, in their order; nothing but letters, digits and marks."""
    spaced = words(fold(text)).replace("_", " ")
    return [token for token in spaced.split() if any(map(str.isalnum, token))]


def terms(text: str, language: str | None) -> list[str]:
    """Give what the index holds of a text: stems of its words, in their order.

    Stop words stay: they are looked up by nobody, and a passage's length counts them.
    """
    stem = _stemmer(base(language))
    return [stem(token) for token in tokens(text)]


class Term:
    """A word of a question, with the forms under which articles may hold it.

    :param weight: how much the word says, before the articles are asked how rare it is.
    """

    __slots__ = ("forms", "weight", "word")

    def __init__(self, word: str, forms: frozenset[str], weight: float) -> None:
        self.word = word
        self.forms = forms
        self.weight = weight

    def __repr__(self) -> str:
        return f"Term({self.word!r}, {sorted(self.forms)}, {self.weight})"


def question_terms(
    text: str, languages: Iterable[str | None], *, limit: int = 32
) -> tuple[Term, ...]:
    """Give the telling words of a question, each once, stemmed for each language of the articles.

    :param limit: at most so many. Of a very long message, half of them are its first and half its
        last: before a story or behind it stands what is asked.
    """
    stemmers = [_stemmer(language) for language in sorted({base(one) for one in languages})]
    found: dict[frozenset[str], Term] = {}
    told = list(_telling(text))
    for most, ordered in ((limit // 2, told), (limit, reversed(told))):
        for token in ordered:
            if len(found) == most:
                break
            forms = frozenset(stem(token) for stem in stemmers)
            found.setdefault(forms, Term(token, forms, 0.4 if token in _ASKING else 1.0))
    return tuple(found.values())


def _telling(text: str) -> Iterator[str]:
    for before, token in pairwise(["", *tokens(text)]):
        greeting = (before, token) in _GREETINGS
        chatter = token in _ALL_STOP_WORDS and token not in _ASKING
        if not (greeting or chatter or (len(token) == 1 and not token.isdigit())):
            yield token


def spoken(text: str) -> str | None:
    """Guess a text's language from its small words; ``None`` if they do not tell."""
    counts = dict.fromkeys(_STOP_WORDS, 0)
    for token in tokens(text):
        for language, stop_words in _STOP_WORDS.items():
            counts[language] += token in stop_words
    (first, most), (_, second) = sorted(counts.items(), key=lambda item: -item[1])[:2]
    return first if most > second else None


def base(language: str | None) -> str:
    """Give the language of a tag, without its region: ``pt-BR`` is ``pt``."""
    return (language or "").partition("-")[0].lower()


@cache
def _stemmer(language: str) -> Any:
    name = STEMMED.get(language)
    if name is None:
        return str
    # Late: the package loads thirty languages, in 0.2 s.
    import snowballstemmer

    stemmer = snowballstemmer.stemmer(name)

    # A stemmer keeps the word in itself, and questions are looked up in several threads.
    lock = Lock()

    @lru_cache(maxsize=20_000)
    def stem(token: str) -> str:
        with lock:
            found = stemmer.stemWord(_respelt(token) if language == "pt" else token)
        stemmed = fold(str(found))
        if language == "es" and stemmed == token:
            stemmed = _second_person(token)
        return stemmed if language == "en" else _romance(stemmed, language)

    return stem


def _romance(stem: str, language: str) -> str:
    """Bring together forms of a verb that the stemmer leaves apart."""
    if language == "es":  # cierra and cerramos, cuesta and costo, devuelvo and devolver
        stem = stem.replace("ie", "e").replace("ue", "o")
    if len(stem) >= 5 and stem.endswith(_VERB_ENDINGS):  # abren, abrimos, abrir; abrem, abre
        return stem[:-2]
    return stem[:-1] if len(stem) >= 4 and stem[-1] in "aeo" else stem


def _second_person(token: str) -> str:
    """Bring ``abres`` and ``abrís`` together with the other forms of their verb."""
    return token[:-2] if len(token) >= 5 and token.endswith(_SECOND_PERSON) else token


def _respelt(token: str) -> str:
    """Give a folded Portuguese word its tilde back, without which its ending is not known."""
    for folded, ending in (("coes", "ções"), ("cao", "ção"), ("oes", "ões"), ("ao", "ão")):
        if len(token) > len(folded) + 2 and token.endswith(folded):
            return token.removesuffix(folded) + ending
    return token
