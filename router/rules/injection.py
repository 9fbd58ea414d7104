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
_RULES: Final = r"(?:reglas|regras|rules)"
_ALL_RULES: Final = rf"(?:tus|sus|las|vuestras|suas|as|your|all|the|previous)\W+{_RULES}"
#: Who orders something says so; that somebody else ignored instructions is told of couriers.
_DROP: Final = (
    r"(?:ignora|ignorad|ignoren|ignores|desobede[cz]\w*|descarta|descarten|desconsidere?"
    r"|desconsiderem|disregard|override|bypass)"
)
#: Orders for one, and what people write of themselves: only a model's instructions count after it.
_MAYBE: Final = r"(?:ignore|ignorem|ignorar|ignoring|desconsiderar|descart(?:ar|e))"
_FORGET: Final = (
    r"(?:olvida(?:te)?|olvide(?:se|n)?|olvidad|olvidar|esqueca(?:m|\W+se)?|esquece|forget)"
)
_WHOSE: Final = (
    r"(?:tus|sus|suas|your|all|any|todas|todo|previous|prior|previas|anteriores|these|those)"
)
_EARLIER: Final = r"(?:anteriores|previas|previous|above)"
#: All that was said before.
_EVERYTHING: Final = (
    r"(?:todo\W+lo\W+(?:anterior|de\W+arriba)|everything\W+(?:above|before|said)"
    r"|tudo\W+(?:acima|isso\W+acima|o\W+que\W+veio\W+antes|que\W+foi\W+dito)"
    r"|(?:todo\W+)?lo\W+que\W+te\W+(?:dijeron|han\W+dicho|hayan\W+dicho|ordenaron)"
    r"|(?:tudo\W+)?o\W+que\W+te\W+(?:disseram|mandaram)|what\W+you\W+(?:were|have\W+been)\W+told)"
)
_SHOW: Final = (
    r"(?:muestra\w*|mostra\w*|mostre|revel\w*|dime|dame|deci|decime|decinos|digame|contame|cuentame"
    r"|repit\w*|repet\w*|imprim\w*|escrib\w*|diga|show|reveal|print|repeat|tell|output"
    r"|what\W+(?:is|are)|cual\w*\W+(?:es|son)|qual\W+e|quais\W+sao)"
)
#: Here the instructions end: those "of delivery" are a shop's.
_NO_MORE: Final = (
    r"(?:\W*$|\s*[.,;:!?)\n]|\W+(?:anteriores|iniciales|iniciais|originales|originais|internas"
    r"|completas|ahora|agora|now|please|por\W+favor|y|e|and|tal|exact\w*|palabra|word|verbatim)\b)"
)
#: Televisions have a developer mode, too: only who puts a model into it means that one.
_SWITCH: Final = (
    r"(?:enter\w*|enabl\w*|activat\w*|switch\w*|in|into|entra\w*|activ\w*|ativ\w*|habilit\w*|en|em)"
)
_PATTERNS: Final = (
    rf"\b{_DROP}{_GAP}(?:{_ORDERS}|{_ALL_RULES})\b",
    rf"\b(?:{_MAYBE}|{_FORGET})\W+(?:\w+\W+){{0,3}}{_WHOSE}\W+(?:\w+\W+){{0,2}}(?:{_ORDERS}|{_RULES})\b",
    rf"\b(?:{_MAYBE}|{_FORGET}){_GAP}{_ORDERS}\W+{_EARLIER}\b",
    rf"\bignore\W+(?:the|as)\W+(?:{_ORDERS}|{_RULES})\b",
    rf"\b(?:{_DROP}|{_MAYBE}|{_FORGET})\W+(?:\w+\W+){{0,2}}{_EVERYTHING}\b",
    (
        r"\b(?:no\W+sigas|no\W+hagas\W+caso|ha[gz]\w*\W+caso\W+omiso|pasa\W+por\W+alto"
        r"|deja\W+de\W+lado|nao\W+siga|don\W*t\W+follow|do\W+not\W+follow)"
        rf"\W+(?:\w+\W+){{0,2}}(?:(?:tus|suas|your)\W+(?:{_ORDERS}|{_RULES})|{_ORDERS}\W+{_EARLIER})\b"
    ),
    rf"\b{_SHOW}{_GAP}(?:system\W+prompt|prompt)\b",
    (
        rf"\b{_SHOW}\W+(?:me\W+)?(?:\w+\W+){{0,3}}"
        rf"(?:tus|sus|suas|your|initial|iniciales|originales)\W+(?:\w+\W+)?{_ORDERS}{_NO_MORE}"
    ),
    r"\b(?:system|developer)\W+(?:prompt|message)\b",
    rf"\b{_SWITCH}\W+(?:\w+\W+){{0,3}}(?:developer\W+mode|modo\W+(?:desarrollador|desenvolvedor))\b",
    r"\bprompt\W+(?:de|del|do)\W+sistema\b",
    r"\bmodo\W+(?:dios|dan|sin\W+restricciones|sem\W+restricoes)\b",
    (
        r"\b(?:a\W+partir\W+de\W+(?:ahora|agora)|from\W+now\W+on)\W+(?:\w+\W+){0,2}"
        r"(?:(?:eres|sos|seras|voce\W+e|you\W+are)\W+(?:un|una|um|uma|an?|dan|chatgpt|otr[oa]|outr[oa]"
        r"|another|libre|livre|free)|actuas|actuaras|age\W+como|you\W+will\W+act|act\W+as)\b"
    ),
    r"\byou\W+are\W+(?:now|no\W+longer)\W+(?:an?|bound|restricted|dan|chatgpt)\b",
    r"\b(?:asistente|assistant|assistente|ia|ai)\W+(?:sin|without|sem)\W+(?:restric\w+|filtros?|filters?)\b",
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
