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
        disculpe disculpa perdon acuerdo tienda aceptan tarjeta teneis habeis bacan perfecto listo
        dejen dejar dejad deje deja enviarme mandarme escribirme llamen llamar hablar esa esas ese
        esos llegar llegan llegaron gustaria despues luego abren abierto cierran hacer sirve roto
        rota cobraron cobro recibo cuenta ofrezco servicio pasame jefe vecino senor calle mensajes
        venden viene vienen devuelvan ningun ninguna otra otro onda escriban escribas escriba
        mandes manden mandeme vuelvan vuelva volver pues agradezco muchisimo creo
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
        me te se nos desse dessa deste nessa nesse esse essa fui duas vezes cartao boleto emito
        pessimo atendimento liga ligar ligue falar pessoa chama dono parem parar pare mensagem
        mensagens propaganda deixem deixar deixe tira opa gente valeu beleza legal fatura cade kd
        recebi receber chegaram encomenda rastreio endereco produto tudo bem abre aberto fecha
        outro outra servico cobrado cobraram vizinha novo nota fiscal ai ta humano
        """
    ),
    "en": _listed(
        """
        the and is are my you your yours i it its to of for with not does have has had can could
        would want need where when how what which who order please thanks thank hello hi hey good
        morning this that these those was were been from at on am will yes any but be get got help
        still much price do did don't i'm it's there here they we our us his her him them about
        just now received arrived refund back again because should an by me why who texting
        text texts message messages unsubscribe quit spamming asap charge charged charges cool
        great cheers brilliant bet lol haha wont thru call talk speak someone package delivery
        bill invoice store open close hours today tomorrow yesterday week month card cancel broken
        late never always nobody asap plese y'all yall im that's what's don't can't won't he she
        """
    ),
}
#: Spanish and Portuguese share these, and they tell nothing.
_SHARED: Final = _listed("esta la e em se me te nos no ola qual era soy ha humano bem deja novo")
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
#: Endings that one of the languages has and the others write otherwise, folded.
_ENDINGS: Final[Mapping[str, int]] = {
    ending: number
    for number, endings in enumerate(
        (
            "cion ciones ieron aron dad illo illa",
            "cao coes agem agens dade inho inha lhar lho nho eiro eira",
            "ing tion tions n't 's 'll 've ness ght",
        )
    )
    for ending in endings.split()
}
#: More words than these do not change the mind.
_ENOUGH: Final = 200
_LONGEST: Final = 2000
#: An ending is looked at behind so many letters at least.
_STEM: Final = 4
_LENGTHS: Final = tuple(sorted({len(ending) for ending in _ENDINGS}, reverse=True))
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
    for typed in fold(text[:_LONGEST]).split()[:_ENOUGH]:
        word = typed if typed in _VOTES else typed.strip(_MARKS)
        if (votes := _VOTES.get(word)) is not None:
            for number, worth in votes:
                scores[number] += worth
        elif len(word) > _STEM:
            for length in _LENGTHS:
                if (ending := _ENDINGS.get(word[-length:])) is not None:
                    scores[ending] += 0.5
                    break
    if not text.isascii():
        lower = text[:_LONGEST].lower()
        for sign, language in _SIGNS.items():
            if sign in lower:
                scores[_LANGUAGES.index(language)] += 1.0
    if not any(scores):
        return None
    best, second, _ = sorted(scores, reverse=True)
    if best - second < 0.5:
        return None
    sure = best - second >= _SURE and best >= 2 * second
    return Guess(_LANGUAGES[scores.index(best)], sure)


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
    if found is not None and known is None and base(default) == found.language:
        return default, default
    # One word is no language yet, and some of them everybody writes, such as STOP.
    if found is None or (not found.sure and (known is not None or len(text.split()) == 1)):
        return known or default, None
    if known is not None and base(known) == found.language:
        # A tag such as pt-BR says more than the text can.
        return known, None
    return found.language, found.language


def base(tag: str) -> str:
    """Give a tag without its region: ``pt-BR`` is ``pt``."""
    return tag.partition("-")[0].casefold()
