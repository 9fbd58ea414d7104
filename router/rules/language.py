"""Which language somebody writes: Spanish, Portuguese or English, by its small words.

Nothing is loaded and nobody is asked; a text that does not tell has no language. What a
conversation's language is does not hang on one "ok, thanks" in it: it changes only where a text
is sure of another one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from router.rules.text import fold


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Words that are common in one of the languages and none in the two others, folded.
_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "es": _listed(
        """
        el la los las un una unos unas y en con del al lo le les mi mis tu su sus es son esta estan
        este estos hola gracias donde cuando cuanto cuantos cuanta cuesta vale quiero quisiera
        necesito tengo tiene tienen hay muy pero ya aun todavia buenas buenos dias tardes noches
        usted ustedes puedo puede pueden hacen hace llego llega llegado cual cuales sin hoy ayer
        manana nada mucho mucha bien entonces hasta nunca siempre tampoco tambien porfa porfavor
        soy estoy fue era han he ha hemos pedi compre pague me te nos se yo ella ellos aqui ahi
        algo alguien quien ayuda dinero envio envios factura vosotros vos tenes queres podes che
        hice dijeron dicen quieren dame digame digan espero esperando saber precio horario
        """
    ),
    "pt": _listed(
        """
        os um uma uns umas e em com na nas ao aos meu minha meus minhas seu sua seus suas voce
        voces vc vcs nao sim oi ola obrigado obrigada onde quando quanto quantos quero preciso
        tenho tem muito muita ja tambem ainda hoje ontem amanha bom boa noite posso pode podem
        gostaria chegou chega pra isso isto fazer fazem qual quais sou estou foi eu ele ela eles
        pelo pela pelos pelas ate atendente frete pagamento loja preco troca fiz comprei paguei
        quer ter esta estao sao nem so mais depois agora entao ninguem alguem ajuda dinheiro sem
        """
    ),
    "en": _listed(
        """
        the and is are my you your yours i it its to of for with not does have has had can could
        would want need where when how what which who order please thanks thank hello hi hey good
        morning this that these those was were been from at on am will yes any but be get got help
        still much price do did don't i'm it's there here they we our us his her him them about
        just now received arrived refund back again because should an by
        """
    ),
}
#: Spanish and Portuguese share these, and they tell nothing.
_SHARED: Final = _listed("esta la e em se me te nos no ola qual era soy ha")
_SIGNS: Final[Mapping[str, str]] = {
    "ñ": "es",
    "¿": "es",
    "¡": "es",
    "ã": "pt",
    "õ": "pt",
    "ç": "pt",
}
_LANGUAGES: Final = tuple(_WORDS)
#: Which languages a word speaks for, and how much.
_VOTES: Final = {
    word: tuple(
        (number, 0.5 if word in _SHARED else 1.0)
        for number, language in enumerate(_LANGUAGES)
        if word in _WORDS[language]
    )
    for word in frozenset[str]().union(*_WORDS.values())
}
#: More words than these do not change the mind.
_ENOUGH: Final = 200
_LONGEST: Final = 2000
#: What stands around words.
_MARKS: Final = "¿?¡!.,;:…()[]\"'«»“”*_-"
#: A text is sure of its language with so much more for it than for any other.
_SURE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Guess:
    """What language a text seems to be in.

    :param sure: there is enough of it that a conversation's language may change.
    """

    language: str
    sure: bool


def guess(text: str) -> Guess | None:
    """Guess a text's language from its small words; ``None`` if they do not tell."""
    scores = [0.0] * len(_LANGUAGES)
    for word in fold(text[:_LONGEST]).split()[:_ENOUGH]:
        for number, worth in _VOTES.get(word.strip(_MARKS), ()):
            scores[number] += worth
    if not text.isascii():
        lower = text[:_LONGEST].lower()
        for sign, language in _SIGNS.items():
            if sign in lower:
                scores[_LANGUAGES.index(language)] += 1.0
    best, second, _ = sorted(zip(_LANGUAGES, scores, strict=True), key=lambda item: -item[1])
    if best[1] - second[1] < 0.5:
        return None
    return Guess(best[0], best[1] - second[1] >= _SURE and best[1] >= 2 * second[1])


def turn_language(
    text: str, *, conversation: str | None, contact: str | None, default: str
) -> tuple[str, str | None]:
    """Give the language of a turn, and what is to be remembered of it.

    :param conversation: the language the conversation is in so far, if known.
    :param contact: what the channel or a person says of the customer.
    :param default: the tenant's own.
    :return: the language, and the same once more where the text changed it, else ``None``.
    """
    known = conversation or contact
    found = guess(text) if text else None
    if found is None or (known is not None and not found.sure):
        return known or default, None
    if known is not None and base(known) == found.language:
        # A tag such as pt-BR says more than the text can.
        return known, None
    if known is None and base(default) == found.language:
        return default, default
    return found.language, found.language


def base(tag: str) -> str:
    """Give a tag without its region: ``pt-BR`` is ``pt``."""
    return tag.partition("-")[0].casefold()
