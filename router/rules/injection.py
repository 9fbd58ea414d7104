"""A tripwire for texts that try to give a model orders.

It knows the usual ways in Spanish, Portuguese and English, and the marks with which models tell
their instructions from a conversation. Whoever tries harder gets past it: it saves a question to
a model, and the guardrails behind the answer are what protects.
"""

from functools import cache
from typing import Any, Final

import re2

from router.rules.text import fold

_GAP: Final = r"\W+(?:\w+\W+){0,4}"
#: What a model is told by: instructions, rules, its prompt.
_ORDERS: Final = r"(?:instruc\w+|instructions?|prompts?|directrices|diretrizes|guidelines)"
_RULES: Final = r"(?:tus|sus|las|vuestras|suas|as|your|all|the|previous)\W+(?:reglas|regras|rules)"
_DROP: Final = r"(?:ignor\w*|desobedec\w*|descart\w*|desconsider\w*|disregard|override|bypass)"
#: People forget instructions, too: only those that are a model's count after these.
_FORGET: Final = r"(?:olvid\w*|esquec\w*|esqueca|forget)"
_WHOSE: Final = r"(?:tus|sus|suas|your|all|todas|todo|previous|prior|previas|anteriores)"
_SHOW: Final = (
    r"(?:muestra\w*|mostra\w*|mostre|revel\w*|dime|dame|repit\w*|repet\w*|imprim\w*|escrib\w*"
    r"|diga|show|reveal|print|repeat|tell|output|what\W+(?:is|are)|cual\w*\W+(?:es|son)"
    r"|qual\W+e|quais\W+sao)"
)
#: Televisions have a developer mode, too: only who puts a model into it means that one.
_SWITCH: Final = (
    r"(?:enter\w*|enabl\w*|activat\w*|switch\w*|in|into|entra\w*|activ\w*|ativ\w*|habilit\w*|en|em)"
)
_PATTERNS: Final = (
    rf"\b{_DROP}{_GAP}(?:{_ORDERS}|{_RULES})\b",
    rf"\b{_FORGET}{_GAP}{_WHOSE}\W+(?:\w+\W+){{0,2}}(?:{_ORDERS}|{_RULES})\b",
    rf"\b{_FORGET}{_GAP}{_ORDERS}\W+(?:anteriores|previas|previous|above)\b",
    rf"\b{_SHOW}{_GAP}(?:system\W+prompt|prompt)\b",
    (
        r"\b(?:muestra\w*|mostra\w*|mostre|revel\w*|repit\w*|show|reveal|print|repeat)"
        r"\W+(?:me\W+)?(?:\w+\W+){0,2}(?:tus|sus|suas|your|initial|iniciales|originales)"
        r"\W+(?:\w+\W+)?(?:instruc\w+|instructions)\b"
    ),
    r"\b(?:system|developer)\W+(?:prompt|message)\b",
    rf"\b{_SWITCH}\W+(?:\w+\W+){{0,3}}(?:developer\W+mode|modo\W+(?:desarrollador|desenvolvedor))\b",
    r"\bprompt\W+(?:de|del|do)\W+sistema\b",
    r"\bmodo\W+(?:dios|dan|sin\W+restricciones|sem\W+restricoes)\b",
    (
        r"\b(?:a\W+partir\W+de\W+(?:ahora|agora)|from\W+now\W+on)\W+(?:\w+\W+){0,2}"
        r"(?:eres|seras|actuas|actuaras|voce\W+e|age\W+como|you\W+are|you\W+will\W+act|act\W+as)\b"
    ),
    r"\byou\W+are\W+(?:now|no\W+longer)\W+(?:a|an|bound|restricted|dan|chatgpt|my|the)\b",
    (
        r"\b(?:actua|comportate|haz\W+de\W+cuenta|finge|aja|finja|pretend|act)\W+"
        r"(?:como\W+si\W+fueras|como\W+se\W+fosse|que\W+eres|que\W+voce\W+e|you\W+are|as\W+if\W+you)\b"
    ),
    r"\b(?:do\W+anything\W+now|jailbreak\w*)\b",
    r"<\|?/?(?:im_start|im_end|system|endoftext|assistant)\|?>",
    r"\[/?(?:inst|system)\]|<<sys>>|###\s*(?:system|instruction|assistant)\b",
    r"(?m)^\s*(?:system|assistant|developer)\s*:",
)


@cache
def _pattern() -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile("|".join(f"(?:{each})" for each in _PATTERNS).encode(), options)


def tried(text: str) -> bool:
    """Say whether a text tries to give a model orders."""
    return _pattern().search(fold(text).encode()) is not None
