"""Why something is said in the way in which it is, in the words of people."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Why(StrEnum):
    """What decided about the way."""

    UNLIMITED = "unlimited"
    OPEN = "open"
    UNSURE = "unsure"
    STATED = "stated"
    SHUT = "shut"
    SHUT_TEMPLATE = "shut_template"
    GONE = "gone"
    MUTE = "mute"
    OPTED_OUT = "opted_out"
    CONFIRMS = "confirms"
    QUIET = "quiet"
    #: Text in place of a template that the provider would refuse.
    IN_WORDS = "in_words"
    #: The template that the rules name in place of one that the provider would refuse.
    INSTEAD = "instead"
    #: Files that the channel does not send leave as addresses in the text.
    LINKED = "linked"
    #: The provider would refuse the template, and there is nothing to send in its place.
    OBJECTED = "objected"


WORDS: Final[Mapping[str, Mapping[Why, str]]] = {
    "es": {
        Why.UNLIMITED: "el canal acepta textos siempre",
        Why.OPEN: "el cliente escribió hace menos de {hours} h",
        Why.UNSURE: "no se sabe cuándo escribió el cliente por última vez",
        Why.STATED: "la regla pide la plantilla",
        Why.SHUT: "hace más de {hours} h que el cliente no escribe ahí, y la regla no da plantilla",
        Why.SHUT_TEMPLATE: "hace más de {hours} h que el cliente no escribe ahí: sale la plantilla",
        Why.GONE: "ese canal no está configurado",
        Why.MUTE: "por ese canal no se envían mensajes",
        Why.OPTED_OUT: "el cliente pidió que no se le escriba",
        Why.CONFIRMS: "es la confirmación de que no se le escribirá más",
        Why.QUIET: "son horas de silencio hasta {until}",
        Why.IN_WORDS: "{objections}; sale su texto",
        Why.INSTEAD: "{objections}; sale la otra que da la regla",
        Why.LINKED: "el canal no envía {links}: va la dirección en el texto",
        Why.OBJECTED: "{objections}",
    },
    "pt": {
        Why.UNLIMITED: "o canal aceita textos sempre",
        Why.OPEN: "o cliente escreveu há menos de {hours} h",
        Why.UNSURE: "não se sabe quando o cliente escreveu pela última vez",
        Why.STATED: "a regra pede o modelo",
        Why.SHUT: "faz mais de {hours} h que o cliente não escreve ali, e a regra não dá modelo",
        Why.SHUT_TEMPLATE: "faz mais de {hours} h que o cliente não escreve ali: sai o modelo",
        Why.GONE: "esse canal não está configurado",
        Why.MUTE: "por esse canal não se enviam mensagens",
        Why.OPTED_OUT: "o cliente pediu que não lhe escrevam",
        Why.CONFIRMS: "é a confirmação de que não lhe escreverão mais",
        Why.QUIET: "são horas de silêncio até {until}",
        Why.IN_WORDS: "{objections}; sai o texto dele",
        Why.INSTEAD: "{objections}; sai o outro que a regra dá",
        Why.LINKED: "o canal não envia {links}: vai o endereço no texto",
        Why.OBJECTED: "{objections}",
    },
    "en": {
        Why.UNLIMITED: "the channel always takes texts",
        Why.OPEN: "the customer wrote less than {hours} h ago",
        Why.UNSURE: "nobody knows when the customer last wrote",
        Why.STATED: "the rule wants the template",
        Why.SHUT: "the customer has not written there for {hours} h, and there is no template",
        Why.SHUT_TEMPLATE: "the customer has not written there for {hours} h: the template is sent",
        Why.GONE: "there is no such channel",
        Why.MUTE: "that channel sends no messages",
        Why.OPTED_OUT: "the customer has asked for no more messages",
        Why.CONFIRMS: "it confirms that there will be no more messages",
        Why.QUIET: "these are quiet hours until {until}",
        Why.IN_WORDS: "{objections}; its text is sent",
        Why.INSTEAD: "{objections}; the other one of the rules is sent",
        Why.LINKED: "the channel does not send {links}: the address is in the text",
        Why.OBJECTED: "{objections}",
    },
}
#: The title of the ticket about what could not be said.
TITLES: Final[Mapping[str, str]] = {
    "es": "No se pudo escribir por «{channel}»: {why}",
    "pt": "Não foi possível escrever por «{channel}»: {why}",
    "en": 'Nothing could be written through "{channel}": {why}',
}
