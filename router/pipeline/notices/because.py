"""Why something was decided, in the language of who is told: on a page, or by a notice.

Decisions and drafts keep their reason in English, as commands and logs show it; what a rule or a
person wrote is theirs, and stays as they wrote it.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from router.rules.language import base

#: Each sentence as it is kept, and how it is said.
REASONS: Final[Mapping[str, Mapping[str, str]]] = {
    'the rule "{rule}" decided': {
        "es": "lo decidió la regla «{rule}»",
        "pt": "a regra «{rule}» decidiu",
    },
    'the rule "{rule}" states the answer': {
        "es": "la regla «{rule}» da la respuesta",
        "pt": "a regra «{rule}» dá a resposta",
    },
    'the rule "{rule}" opens a ticket': {
        "es": "la regla «{rule}» abre un ticket",
        "pt": "a regra «{rule}» abre um ticket",
    },
    'the rule "{rule}" writes to the customer through "{channel}"': {
        "es": "la regla «{rule}» escribe al cliente por «{channel}»",
        "pt": "a regra «{rule}» escreve ao cliente por «{channel}»",
    },
    "the default decided": {
        "es": "ninguna regla lo decidió: vale lo predeterminado",
        "pt": "nenhuma regra decidiu: vale o padrão",
    },
    "the default states the answer": {
        "es": "ninguna regla lo decidió: sale la respuesta predeterminada",
        "pt": "nenhuma regra decidiu: sai a resposta padrão",
    },
    "the default opens a ticket": {
        "es": "ninguna regla lo decidió: se abre un ticket",
        "pt": "nenhuma regra decidiu: abre-se um ticket",
    },
    'the default writes to the customer through "{channel}"': {
        "es": "ninguna regla lo decidió: se escribe al cliente por «{channel}»",
        "pt": "nenhuma regra decidiu: escreve-se ao cliente por «{channel}»",
    },
    'the guardrail "{rule}" opens a ticket': {
        "es": "la protección «{rule}» abre un ticket",
        "pt": "a proteção «{rule}» abre um ticket",
    },
    'the guardrail "{rule}" lets no model answer': {
        "es": "la protección «{rule}» no deja que responda un modelo",
        "pt": "a proteção «{rule}» não deixa um modelo responder",
    },
    'the guardrail "{rule}" replaces the answer': {
        "es": "la protección «{rule}» reemplaza la respuesta",
        "pt": "a proteção «{rule}» substitui a resposta",
    },
    'the guardrail "{rule}" leaves personal data out of the answer': {
        "es": "la protección «{rule}» quita datos personales de la respuesta",
        "pt": "a proteção «{rule}» tira dados pessoais da resposta",
    },
    'answered by "{backend}"': {
        "es": "respondió «{backend}»",
        "pt": "«{backend}» respondeu",
    },
    '"{backend}" failed: {error}': {
        "es": "«{backend}» falló: {error}",
        "pt": "«{backend}» falhou: {error}",
    },
    "nothing to do": {
        "es": "no hay nada que hacer",
        "pt": "não há nada a fazer",
    },
    "no model was asked": {
        "es": "no se consultó a ningún modelo",
        "pt": "nenhum modelo foi consultado",
    },
    "the customer sent neither words nor files": {
        "es": "el cliente no mandó ni texto ni archivos",
        "pt": "o cliente não mandou nem texto nem arquivos",
    },
    "the backend does not know": {
        "es": "el modelo no lo sabe",
        "pt": "o modelo não sabe",
    },
    "confidence unknown is below the threshold {threshold}": {
        "es": "no se sabe cuánta confianza tiene la respuesta; se pide {threshold}",
        "pt": "não se sabe quanta confiança a resposta tem; pede-se {threshold}",
    },
    "confidence {seen} is below the threshold {threshold}": {
        "es": "la confianza de {seen} no llega a {threshold}",
        "pt": "a confiança de {seen} não chega a {threshold}",
    },
    "assisted: a person approves what a model wrote": {
        "es": "modo asistido: una persona aprueba lo que escribió un modelo",
        "pt": "modo assistido: uma pessoa aprova o que um modelo escreveu",
    },
    "autopilot does not answer {category} by itself": {
        "es": "el piloto automático no responde {category} por su cuenta",
        "pt": "o piloto automático não responde {category} sozinho",
    },
    "autopilot answers low risk only, and {category} is of medium risk here": {
        "es": "el piloto automático solo responde riesgo bajo, y {category} es de riesgo medio",
        "pt": "o piloto automático só responde risco baixo, e {category} é de risco médio",
    },
    "autopilot answers low risk only, and {category} is of high risk here": {
        "es": "el piloto automático solo responde riesgo bajo, y {category} es de riesgo alto",
        "pt": "o piloto automático só responde risco baixo, e {category} é de risco alto",
    },
    "autopilot answers low risk only, and {category} is of {risk} risk here": {
        "es": "el piloto automático solo responde riesgo bajo, y {category} es de riesgo «{risk}»",
        "pt": "o piloto automático só responde risco baixo, e {category} é de risco «{risk}»",
    },
    "policy.review_fixed_texts: a person approves fixed texts, too": {
        "es": "policy.review_fixed_texts: una persona aprueba también los textos fijos",
        "pt": "policy.review_fixed_texts: uma pessoa aprova também os textos fixos",
    },
    "a rule wants a person's word": {
        "es": "una regla pide que lo apruebe una persona",
        "pt": "uma regra pede que uma pessoa aprove",
    },
    "a person owns the conversation": {
        "es": "una persona atiende la conversación",
        "pt": "uma pessoa atende a conversa",
    },
    "the conversation waits for a person": {
        "es": "la conversación espera a una persona",
        "pt": "a conversa espera uma pessoa",
    },
    "a rule has silenced the bot for a while": {
        "es": "una regla calló al bot por un rato",
        "pt": "uma regra calou o bot por um tempo",
    },
    "the customer opted out": {
        "es": "el cliente pidió que no se le escriba",
        "pt": "o cliente pediu que não lhe escrevam",
    },
    "the contact opted out": {
        "es": "el cliente había pedido que no se le escriba",
        "pt": "o cliente tinha pedido que não lhe escrevam",
    },
    "waits for the customer to finish": {
        "es": "espera a que el cliente termine",
        "pt": "espera o cliente terminar",
    },
    "a model is asked": {
        "es": "se consulta a un modelo",
        "pt": "um modelo é consultado",
    },
    "nobody has written for long": {
        "es": "hace tiempo que nadie escribe",
        "pt": "faz tempo que ninguém escreve",
    },
    "the conversation has moved on": {
        "es": "la conversación ya siguió adelante",
        "pt": "a conversa já seguiu adiante",
    },
    "a person has had the conversation since": {
        "es": "desde entonces la atiende una persona",
        "pt": "desde então uma pessoa a atende",
    },
    "the customer has written more since": {
        "es": "el cliente ha escrito más desde entonces",
        "pt": "o cliente escreveu mais desde então",
    },
    "it could not be worked: {error}": {
        "es": "no se pudo atender: {error}",
        "pt": "não foi possível atender: {error}",
    },
    "a text of the rules cannot be filled in: {error}": {
        "es": "un texto de las reglas no se puede completar: {error}",
        "pt": "um texto das regras não pode ser preenchido: {error}",
    },
}


def in_words(reason: str, language: str) -> str:
    """Say a reason in a language; as it is kept, where it is no sentence of ours.

    :param language: a BCP 47 tag.
    """
    spoken = base(language)
    for pattern, said in _patterns():
        if found := pattern.fullmatch(reason):
            return said[spoken].format(**found.groupdict()) if spoken in said else reason
    return reason


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], Mapping[str, str]], ...]:
    return tuple(
        (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(sentence)), re.DOTALL), said)
        for sentence, said in REASONS.items()
    )
