"""``then`` as written in a file, and ``[default]``: checked, and made into effects and verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router.domain.message import Attachment
from router.domain.ticket import PRIORITIES
from router.rules.adding import Adding
from router.rules.definitions import PLACES
from router.rules.fields import PII, RISKS
from router.rules.media import MOST, file_at
from router.rules.model import (
    DEFAULT_QUEUE,
    ApprovedTemplate,
    AskAnswer,
    CallPerson,
    Decider,
    Effects,
    GuardStage,
    Ignore,
    KeepDraft,
    NoAI,
    OpenTicket,
    OptOut,
    Redact,
    Replace,
    SayMessage,
    SayReply,
    UsedTemplate,
    Verdict,
    Wording,
)
from router.rules.source import Source
from router.rules.texts import Text
from router.toml import KeyPath, suggest

DECIDING = ("reply", "message", "answer", "draft", "ticket", "escalate", "ignore")
ADDING = ("tag", "untag", "set", "run", "classify", "use", "snooze", "stop")
DEFAULTS = ("answer", "reply", "ticket", "escalate", "ignore")
#: Verdicts of guardrails by stage, and what an input guardrail may add.
VERDICTS = {
    GuardStage.INPUT: ("ignore", "escalate", "ticket", "opt_out", "no_ai", "redact"),
    GuardStage.ANSWER: ("draft", "ticket", "escalate", "replace", "redact"),
}
GUARD_ADDING = ("tag", "set", "snooze")
#: What says how a message is worded.
_WORDING = ("text", "template", "variables")


@dataclass(slots=True)
class Consequences:
    """Reads what rules, guardrails and the default lead to."""

    source: Source

    def rule(self, then: object, path: KeyPath) -> tuple[Effects, Decider | None] | None:
        """Read a rule's ``then``."""
        table = self._then(then, path, (*ADDING, *DECIDING), '"then" of a rule')
        if table is None:
            return None
        deciding = [key for key in table if key in DECIDING]
        self._once(path, deciding)
        decider = None
        if deciding:
            decider = self.decider(deciding[0], table[deciding[0]], (*path, deciding[0]))
            if "stop" in table:
                self.source.problem(
                    (*path, "stop"), f'"{deciding[0]}" stops the reading anyway', "Leave it out."
                )
        return Adding(self.source).effects(table, path), decider

    def guardrail(
        self, then: object, path: KeyPath, stage: GuardStage
    ) -> tuple[Effects, Verdict] | None:
        """Read a guardrail's ``then``."""
        verdicts = VERDICTS[stage]
        adding = GUARD_ADDING if stage is GuardStage.INPUT else ()
        if isinstance(then, dict) and self._careless(then, path, stage):
            return None
        what = f'"then" of a guardrail at stage "{stage}"'
        table = self._then(then, path, (*adding, *verdicts), what)
        if table is None:
            return None
        found = [key for key in table if key in verdicts]
        self._once(path, found)
        risk = table["set"].get("risk") if isinstance(table.get("set"), dict) else None
        if risk == RISKS[0]:
            self.source.problem(
                (*path, "set", "risk"),
                "a guardrail cannot lower the risk: it can only make an outcome more careful",
                "Do it in a rule.",
                part="value",
            )
        if not found:
            if any(key in adding for key in table):
                self.source.problem(
                    path, "a guardrail needs a verdict", f"It is one of: {', '.join(verdicts)}"
                )
            return None
        verdict = self._verdict(found[0], table[found[0]], (*path, found[0]), stage)
        return None if verdict is None else (Adding(self.source).effects(table, path), verdict)

    def default(self, table: Mapping[str, Any], path: KeyPath) -> tuple[Decider | None, str | None]:
        """Read ``[default]``: what decides, and which backend classifies first."""
        if self.source.table(path, table, (*DEFAULTS, "classify"), '"[default]"') is None:
            return None, None
        deciding = [key for key in table if key in DEFAULTS]
        self._once(path, deciding)
        classify = None
        if "classify" in table:
            classify = self.source.backend((*path, "classify"), table["classify"])
        if not deciding:
            if table.keys() - {"classify"}:
                return None, classify
            self.source.problem(
                path,
                '"[default]" does not say what happens when no rule decides',
                'Add answer = "…" with the name of an [ai.*] table.',
            )
            return None, classify
        decider = self.decider(deciding[0], table[deciding[0]], (*path, deciding[0]))
        return decider, classify

    # The shape of `then` ──────────────────────────────────────────────────────────────────────

    def _then(
        self, then: object, path: KeyPath, keys: tuple[str, ...], what: str
    ) -> Mapping[str, Any] | None:
        table = self.source.table(path, then, keys, what)
        if table is not None and not table:
            self.source.problem(path, '"then" is empty', f"Add one of: {', '.join(keys)}")
            return None
        return table

    def _once(self, path: KeyPath, deciding: list[str]) -> None:
        for extra in deciding[1:]:
            self.source.problem(
                (*path, extra),
                f'"{deciding[0]}" and "{extra}" both decide',
                'Keep one; a ticket or an escalation may "say" something to the customer.',
            )

    def _careless(self, then: Mapping[str, Any], path: KeyPath, stage: GuardStage) -> bool:
        """Note verdicts that would make an outcome less careful, or belong to the other stage."""
        other = GuardStage.ANSWER if stage is GuardStage.INPUT else GuardStage.INPUT
        noted = False
        for key in then:
            if key in VERDICTS[stage]:
                continue
            if key in VERDICTS[other] and (key != "ignore"):
                self.source.problem(
                    (*path, key),
                    f'a guardrail at stage "{stage}" cannot "{key}"',
                    f'Add stage = "{other}", or choose from: {", ".join(VERDICTS[stage])}',
                )
            elif key in DECIDING or key in {"classify", "use"}:
                self.source.problem(
                    (*path, key),
                    f'a guardrail cannot "{key}": it can only make an outcome more careful',
                    f"Choose from: {', '.join(VERDICTS[stage])}",
                )
            elif key in GUARD_ADDING and stage is GuardStage.ANSWER:
                self.source.problem(
                    (*path, key),
                    f'a guardrail at stage "answer" cannot "{key}": its order must not matter',
                    "Do it in a rule.",
                )
            else:
                continue
            noted = True
        return noted

    # What decides ────────────────────────────────────────────────────────────────────────────

    def decider(self, key: str, value: object, path: KeyPath) -> Decider | None:
        """Read one deciding effect."""
        if key == "reply":
            return self._reply(path, value)
        if key == "message":
            return self._message(path, value)
        if key == "answer":
            backend = self.source.backend(path, value)
            return None if backend is None else AskAnswer(backend=backend)
        if key == "draft":
            return self._draft(path, value)
        if key == "ticket":
            return self._ticket(path, value)
        if key == "escalate":
            return self._escalate(path, value)
        because = self.source.string(path, value)
        return None if because is None else Ignore(because=because)

    def _reply(self, path: KeyPath, value: object) -> SayReply | None:
        if isinstance(value, dict) and "template" in value:
            return self._templated(path, value)
        text = self._only_text(path, value, ("text", "media", "template", "variables"))
        if text is None:
            return None
        media = self._media((*path, "media"), value) if isinstance(value, dict) else ()
        return None if media is None else SayReply(text=text, media=media)

    def _media(self, path: KeyPath, table: Mapping[str, Any]) -> tuple[Attachment, ...] | None:
        """Read the addresses of files; ``None`` where one is none."""
        if "media" not in table:
            return ()
        value = table["media"]
        urls = self.source.strings(path, value)
        if urls is None:
            return None
        if len(urls) > MOST:
            self.source.problem(
                path, f"one reply carries {MOST} files at most", "Name fewer.", part="value"
            )
            return None
        found: list[Attachment] = []
        for number, url in enumerate(urls):
            here = (*path, number) if isinstance(value, list) else path
            try:
                found.append(file_at(url))
            except ValueError as error:
                self.source.problem(
                    here,
                    f'"{url}" cannot be sent: {error}',
                    "Write a public address, the same for every customer.",
                    part="value",
                )
        return tuple(found) if len(found) == len(urls) else None

    def _message(self, path: KeyPath, value: object) -> SayMessage | None:
        keys = ("channel", *_WORDING, "variants")
        table = self.source.table(path, value, keys, '"message"')
        if table is None:
            return None
        if "channel" not in table:
            self.source.problem(
                path, '"message" names no channel', 'Add channel = "…": where it leaves.'
            )
            return None
        channels = self.source.known.names.channels
        channel = self.source.string((*path, "channel"), table["channel"])
        if channel is not None and channel not in channels:
            self.source.unknown((*path, "channel"), "channel", channel, channels, "router.toml")
        if "variants" in table:
            wordings = self._variants(path, table)
        else:
            wordings = [self._wording(path, table)]
        found = tuple(each for each in wordings if each is not None)
        if channel is None or len(found) < len(wordings):
            return None
        return SayMessage(channel=channel, wordings=found)

    def _variants(self, path: KeyPath, table: Mapping[str, Any]) -> list[Wording | None]:
        for key in _WORDING:
            if key in table:
                self.source.problem(
                    (*path, key), f'"{key}" stands beside "variants"', "Put it into one of them."
                )
        found: list[Wording | None] = []
        names: set[str] = set()
        here = (*path, "variants")
        for place, each in self.source.tables(here, table["variants"]):
            self.source.table(place, each, ("name", *_WORDING), "a variant")
            if "name" not in each:
                self.source.problem(place, "this variant has no name", 'Add name = "…".')
                found.append(None)
                continue
            name = self.source.string((*place, "name"), each["name"])
            if name in names:
                self.source.problem(
                    (*place, "name"), f'"{name}" is named twice', "Choose another.", part="value"
                )
            names.add(name or "")
            found.append(self._wording(place, each, name or ""))
        if len(found) < 2:
            self.source.problem(
                here, "variants are two or more", "Or write text and template beside channel."
            )
            found.append(None)
        return found

    def _wording(self, path: KeyPath, table: Mapping[str, Any], name: str = "") -> Wording | None:
        if "text" not in table and "template" not in table:
            self.source.problem(
                path,
                "nothing is said here",
                'Add text = "…", and template = "…" for when the channel takes no free text.',
            )
            return None
        text = template = None
        if "text" in table:
            text = self.source.text((*path, "text"), table["text"])
        if "template" in table:
            template = self._by_template(path, table)
        elif "variables" in table:
            self.source.problem(
                (*path, "variables"), "variables belong to a template", 'Add template = "…".'
            )
        failed = ("text" in table and text is None) or ("template" in table and template is None)
        return None if failed else Wording(name=name, text=text, template=template)

    def _templated(self, path: KeyPath, value: Mapping[str, Any]) -> SayReply | None:
        if "media" in value:
            self.source.problem(
                (*path, "media"), "a template brings its own files", "Leave it out, or say a text."
            )
            return None
        table = self.source.table(path, value, ("template", "variables"), 'a "reply" by template')
        return None if table is None else self._by_template(path, table)

    def _by_template(self, path: KeyPath, table: Mapping[str, Any]) -> SayReply | None:
        here = (*path, "template")
        name, known = self.source.string(here, table["template"]), self.source.known.templates
        if name is None:
            return None
        if name not in known:
            self.source.unknown(here, "template", name, known, "the rules files")
            return None
        template = known[name]
        variables = self._variables((*path, "variables"), table.get("variables", {}), template)
        return self._used(template, variables)

    def _used(self, template: ApprovedTemplate, given: Mapping[str, str]) -> SayReply:
        """Give a template filled in, and those that stand in for it."""
        variables = {key: text for key, text in given.items() if key in template.variables}
        texts = {
            tag: PLACES.sub(lambda place: variables.get(place[1], ""), text)
            for tag, text in template.text.by_language.items()
        }
        other = self.source.known.templates.get(template.instead or "")
        return SayReply(
            text=Text(texts),
            template=UsedTemplate(name=template.name, ref=template.ref, variables=variables),
            instead=None if other is None else self._used(other, variables),
        )

    def _variables(
        self, path: KeyPath, value: object, template: ApprovedTemplate
    ) -> dict[str, str]:
        if not isinstance(value, dict):
            self.source.wrong(path, "variables", "a table", value)
            return {}
        found: dict[str, str] = {}
        for key, each in value.items():
            text = self.source.string((*path, key), each)
            if key not in template.variables:
                takes = ", ".join(sorted(template.variables)) or "none"
                self.source.problem(
                    (*path, key),
                    f'the template "{template.name}" has no variable "{key}"',
                    suggest(key, template.variables) or f"It takes: {takes}",
                )
            elif text is not None and self.source.fills_in((*path, key), text):
                found[key] = text
        for key in sorted(template.variables - value.keys()):
            self.source.problem(
                path if value else path[:-1],
                f'the template "{template.name}" needs the variable "{key}"',
                f'Add variables = {{ {key} = "…" }}.',
            )
        return found

    def _redact(self, path: KeyPath, value: object) -> Redact | None:
        if value is True:
            return Redact(kinds=frozenset(PII))
        if not isinstance(value, str | list):
            self.source.wrong(path, "redact", "true or a list of kinds", value)
            return None
        kinds = self.source.choices(path, value, PII, "kind of personal data")
        return None if kinds is None else Redact(kinds=kinds)

    def _verdict(self, key: str, value: object, path: KeyPath, stage: GuardStage) -> Verdict | None:
        if key == "ticket":
            return self._ticket(path, value)
        if key == "escalate":
            return self._escalate(path, value)
        if key == "redact":
            return self._redact(path, value)
        if key == "replace":
            text = self._only_text(path, value)
            return None if text is None else Replace(text=text)
        if key in {"draft", "ignore"}:
            because = self.source.string(path, value)
            if because is None:
                return None
            return KeepDraft(because=because) if key == "draft" else Ignore(because=because)
        make = OptOut if key == "opt_out" else NoAI
        if value is True:
            return make()
        if not isinstance(value, dict):
            self.source.wrong(path, key, 'true or { say = "…" }', value)
            return None
        table = self.source.table(path, value, ("say",), f'"{key}"')
        say = self._say(path, table or {})
        return make(say=say)

    def _only_text(
        self, path: KeyPath, value: object, keys: tuple[str, ...] = ("text",)
    ) -> Text | None:
        if isinstance(value, str):
            self.source.problem(
                path,
                f'"{path[-1]}" takes a table',
                f'Write {path[-1]} = {{ text = "…" }}.',
                part="value",
            )
            return None
        table = self.source.table(path, value, keys, f'"{path[-1]}"')
        if table is None:
            return None
        if "text" not in table:
            self.source.problem(path, f'"{path[-1]}" has no text', 'Add text = "…".')
            return None
        return self.source.text((*path, "text"), table["text"])

    def _draft(self, path: KeyPath, value: object) -> Decider | None:
        keys = ("text", "answer", "because")
        table = self.source.table(path, value, keys, '"draft"')
        if table is None:
            return None
        because = "a rule wants a person's word"
        if "because" in table:
            because = self.source.string((*path, "because"), table["because"]) or because
        if ("text" in table) is ("answer" in table):
            self.source.problem(
                path,
                '"draft" takes either a text or the backend that writes it',
                'Write draft = { answer = "…" }, or draft = { text = "…" }.',
            )
            return None
        if "answer" in table:
            backend = self.source.backend((*path, "answer"), table["answer"])
            return None if backend is None else AskAnswer(backend=backend, draft=because)
        text = self.source.text((*path, "text"), table["text"])
        return None if text is None else KeepDraft(because=because, text=text)

    def _ticket(self, path: KeyPath, value: object) -> OpenTicket | None:
        keys = ("queue", "title", "priority", "say")
        table = self.source.table(path, value, keys, '"ticket"')
        if table is None:
            return None
        queue: str | None = DEFAULT_QUEUE
        if "queue" in table:
            queue = self.source.queue((*path, "queue"), table["queue"])
        title = None
        if "title" in table:
            title = self.source.text((*path, "title"), table["title"])
        priority = None
        if "priority" in table:
            priority = self.source.choice(
                (*path, "priority"), table["priority"], PRIORITIES, "priority"
            )
        say = self._say(path, table)
        return (
            None
            if queue is None
            else OpenTicket(queue=queue, title=title, priority=priority, say=say)
        )

    def _escalate(self, path: KeyPath, value: object) -> CallPerson | None:
        table = self.source.table(path, value, ("to", "because", "say"), '"escalate"')
        if table is None:
            return None
        missing = [key for key in ("to", "because") if key not in table]
        for key in missing:
            self.source.problem(path, f'"escalate" does not say "{key}"', f'Add {key} = "…".')
        if missing:
            return None
        to = self.source.whom((*path, "to"), table["to"])
        because = self.source.string((*path, "because"), table["because"])
        say = self._say(path, table)
        if to is None or because is None:
            return None
        return CallPerson(to=to, because=because, say=say)

    def _say(self, path: KeyPath, table: Mapping[str, Any]) -> Text | None:
        return self.source.text((*path, "say"), table["say"]) if "say" in table else None
