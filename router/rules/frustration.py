"""How upset a customer sounds, 0 to 1: what they say, how they say it, and how often."""

from functools import cache
from typing import Final

from router.rules.facts import Facts
from router.rules.text import PhraseSet

#: What people say at the end of their patience, and what it adds.
_STRONG: Final = 0.4
_ANGRY: Final = """
    estafa estafadores ladrones rateros mentirosos mentiras pesimo pesima inaceptable indignante
    vergonzoso ridiculo inutiles incompetentes harto harta hartos basura asco porqueria
    descarados sinverguenzas maldito maldita mierda carajo joder cabrones pendejos boludos
    pelotudos hdp idiotas golpe golpistas mentira pessimo pessima absurdo palhacada lixo merda
    incompetencia scam scammers thieves liars unacceptable ridiculous disgusting useless
    incompetent pathetic terrible horrible awful worst furious angry fuck fucking shit bullshit
"""
_PHRASES: Final = (
    "una verguenza",
    "falta de respeto",
    "que les pasa",
    "se burlan",
    "me estan tomando el pelo",
    "nunca mas",
    "voy a denunciar",
    "no puede ser",
    "uma vergonha",
    "falta de respeito",
    "nunca mais",
    "fed up",
    "sick of",
    "never again",
    "what is wrong with you",
)
_MILD: Final = 0.2
_IMPATIENT: Final = (
    "otra vez",
    "de nuevo",
    "sigo esperando",
    "seguimos esperando",
    "llevo esperando",
    "llevo dias",
    "llevo semanas",
    "llevo horas",
    "hace dias",
    "hace semanas",
    "cuantas veces",
    "ya van",
    "ya les dije",
    "ya lo dije",
    "ya escribi",
    "ya mande",
    "nadie responde",
    "nadie me responde",
    "nadie contesta",
    "nadie me contesta",
    "no responden",
    "no contestan",
    "me ignoran",
    "todavia no llega",
    "aun no llega",
    "todavia nada",
    "hasta cuando",
    "ultima vez",
    "mal servicio",
    "ainda nao chegou",
    "ninguem responde",
    "estou esperando",
    "ate quando",
    "quantas vezes",
    "de novo",
    "faz dias",
    "still waiting",
    "no one answers",
    "nobody answers",
    "how many times",
    "last time",
    "for days",
    "for weeks",
    "still no",
    "yet again",
)


@cache
def _phrases() -> tuple[PhraseSet, frozenset[int | None]]:
    """Give all of them, and the numbers of the angry ones."""
    phrases = PhraseSet()
    angry = frozenset(phrases.add(phrase) for phrase in (*_ANGRY.split(), *_PHRASES))
    for phrase in _IMPATIENT:
        phrases.add(phrase)
    return phrases, angry


def score(facts: Facts, repeats: int) -> float | None:
    """Give how upset a turn sounds, or ``None`` where there is no text.

    :param repeats: how often the customer wrote the same before.
    """
    path = "turn.text" if "turn.text" in facts.values else "text"
    text = facts.values.get(path)
    if text is None:
        return None
    phrases, angry = _phrases()
    hits = facts.hits(path, phrases) or frozenset()
    found = _STRONG * min(len(hits & angry), 2) + _MILD * min(len(hits - angry), 2)
    found += _loudness(text)
    found += 0.15 * min(repeats, 2)
    if int(facts.values.get("turn.messages", 1)) >= 4:
        # Four messages and no answer yet.
        found += 0.1
    return round(min(found, 1.0), 2)


def _loudness(text: str) -> float:
    found = 0.0
    beginning = text[:2000]
    capitals = sum(map(str.isupper, beginning))
    if capitals > 8 and capitals > 0.7 * sum(map(str.isalpha, beginning)):
        found += 0.25
    if any(run in text for run in ("!!", "??", "?!", "!?")):
        found += 0.1
    return found
