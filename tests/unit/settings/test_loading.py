"""router.toml to settings: what is read, from where, and what it becomes."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from router import plugin
from router.errors import ConfigError
from router.plugin.registry import Source
from router.settings.loading import load_settings, plugin_files
from router.settings.model import Settings
from router.toml import Problem
from tests.unit.settings.kinds import Acme, kinds

SMS = """
[channels.sms]
type = "acme"
account = "AC1"
token = { env = "TOKEN" }
"""


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "router.toml"


def settings_of(folder: Path, text: str, /, **files: str) -> Settings:
    path = write(folder, {"router.toml": text, **files})
    return load_settings(path, kinds(), run=True, environ={"TOKEN": "hunter22"})


def test_an_empty_file_is_a_router_with_every_default(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "")

    assert settings.server.host == "127.0.0.1"
    assert settings.server.port == 8000
    assert settings.server.engine == "hypercorn"
    assert settings.server.max_body == 1_048_576
    assert settings.server.drain == 20.0
    assert settings.router.public_url == "http://127.0.0.1:8000"
    assert settings.router.database == f"sqlite+aiosqlite:///{tmp_path.resolve()}/data/router.db"
    assert list(settings.tenants) == ["main"]
    assert settings.tenants["main"].language == "es"
    assert settings.tenants["main"].policy.mode == "assisted"
    assert settings.warnings == ()


@pytest.mark.parametrize("path", ["hooks", "hooks/whatsapp", "hooks/clinic/whatsapp/"])
def test_a_public_url_that_is_a_webhooks_is_doubtful(tmp_path: Path, path: str) -> None:
    text = f'[router]\npublic_url = "https://desk.example.org/shop/{path}"\n'

    settings = settings_of(tmp_path, text)

    assert [str(warning) for warning in settings.warnings] == [
        (
            f"{tmp_path / 'router.toml'}:2:14: public_url is the address of a webhook, and each "
            'webhook\'s path is put behind it. Write "https://desk.example.org/shop".'
        )
    ]
    assert settings_of(tmp_path, text.replace(path, "hooksmith")).warnings == ()


@pytest.mark.parametrize(
    "written, url",
    [
        ("sqlite+aiosqlite:///data/r.db", "sqlite+aiosqlite:///{folder}/data/r.db"),
        ("sqlite:///r.db", "sqlite+aiosqlite:///{folder}/r.db"),
        ("sqlite:////var/lib/r.db", "sqlite+aiosqlite:////var/lib/r.db"),
        ("postgresql://db/router", "postgresql+asyncpg://db/router"),
        ("postgresql+asyncpg://me@db:5433/router", "postgresql+asyncpg://me@db:5433/router"),
    ],
)
def test_a_database_url_gets_its_driver_and_an_absolute_path(
    written: str, url: str, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, f'[router]\ndatabase = "{written}"\n')

    assert settings.router.database == url.format(folder=str(tmp_path.resolve()))


def test_a_database_url_with_a_password_comes_by_reference(tmp_path: Path) -> None:
    path = write(tmp_path, {"router.toml": '[router]\ndatabase = { env = "DATABASE_URL" }\n'})
    environ = {"DATABASE_URL": "postgresql://router:hunter22@db/router"}

    settings = load_settings(path, kinds(), run=True, environ=environ)

    assert settings.router.database == "postgresql+asyncpg://router:hunter22@db/router"
    assert settings.secrets == {"hunter22"}
    assert "hunter22" not in repr(settings)


def test_an_instance_has_the_hosts_keys_and_the_plugins_apart(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        SMS + 'poll = "2m"\ntimeout = "3s"\nrequired = true\non_unknown = "resend"\n',
    )

    sms = settings.tenants["main"].channels["sms"]
    assert (sms.name, sms.tenant, sms.group, sms.kind) == ("sms", "main", "channels", "acme")
    assert (sms.timeout, sms.required, sms.enabled) == (3.0, True, True)
    assert sms.on_unknown == "resend"
    assert sms.config.model_dump()["poll"] == 120.0
    assert sms.registration.plugin == "acme"
    assert str(sms.position) == f"{tmp_path}/router.toml:2:11"


def test_a_prompt_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    files = {
        "prompts/a.md": "Eres amable.\n",
        "ai.toml": '[ai.a]\ntype = "answers"\nprompt = "prompts/a.md"\n',
    }
    settings = settings_of(tmp_path, 'include = ["ai.toml"]\n', **files)

    prompt = settings.ai["a"].prompt
    assert prompt is not None
    assert prompt.text == "Eres amable.\n"
    assert len(prompt.hash) == 16


def test_a_tenants_policy_overrides_the_shared_one_key_by_key(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        '[router]\ntimezone = "America/Bogota"\n'
        '[policy]\nmode = "autopilot"\ndebounce = "1s"\nhandback_after = "never"\n'
        '[tenants.clinica]\nlanguage = "pt-BR"\n[tenants.clinica.policy]\nmode = "assisted"\n',
    )

    main, clinica = settings.tenants["main"].policy, settings.tenants["clinica"].policy
    assert (main.mode, clinica.mode) == ("autopilot", "assisted")
    assert main.debounce == clinica.debounce == timedelta(seconds=1)
    assert main.handback_after is clinica.handback_after is None
    assert (main.language, clinica.language) == ("es", "pt-BR")
    assert clinica.timezone == "America/Bogota"
    assert clinica == replace(main, mode="assisted", language="pt-BR")


def test_a_tenant_has_its_own_channels_rules_and_knowledge(tmp_path: Path) -> None:
    files = {
        "shared.toml": 'default.ticket = { queue = "todo" }\n',
        "tenants/clinica.toml": "[tenants.clinica]\n"
        'rules = ["clinica/rules.toml"]\nknowledge.folders = ["clinica/docs"]\n'
        '[tenants.clinica.channels.phone]\ntype = "simulator"\n',
        "tenants/clinica/rules.toml": 'default.ticket = { queue = "citas" }\n',
        "tenants/clinica/docs/a.md": "# Hola\n",
        "docs/a.md": "# Hello\n",
    }
    settings = settings_of(
        tmp_path,
        'include = ["tenants/*.toml"]\n[router]\nrules = ["shared.toml"]\n'
        '[knowledge]\nfolders = ["docs"]\n[channels.phone]\ntype = "simulator"\n',
        **files,
    )

    main, clinica = settings.tenants["main"], settings.tenants["clinica"]
    assert main.rule_files == (tmp_path / "shared.toml",)
    assert clinica.rule_files == (tmp_path / "shared.toml", tmp_path / "tenants/clinica/rules.toml")
    assert main.knowledge_folders == ((tmp_path / "docs").resolve(),)
    assert clinica.knowledge_folders == ((tmp_path / "tenants/clinica/docs").resolve(),)
    assert (main.channels["phone"].tenant, clinica.channels["phone"].tenant) == ("main", "clinica")
    assert main.rules.hash != clinica.rules.hash


def test_an_included_file_may_include_and_be_included_twice(tmp_path: Path) -> None:
    files = {
        "a/a.toml": 'include = ["../b.toml", "../router.toml"]\n',
        "b.toml": '[channels.phone]\ntype = "simulator"\n',
    }
    settings = settings_of(tmp_path, 'include = ["a/*.toml", "b.toml"]\n', **files)

    assert list(settings.tenants["main"].channels) == ["phone"]


def test_a_pattern_that_finds_no_file_is_a_warning(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, 'include = ["tenants/*.toml"]\n')

    assert [problem.message for problem in settings.warnings] == [
        'no file matches "tenants/*.toml"'
    ]


def test_five_mistakes_in_three_files_come_at_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "router.toml": 'include = ["more.toml"]\n'
        '[router]\nrules = ["rules.toml"]\nlanguage = "xxxx"\n'
        '[server]\nport = "80"\n'
        '[channels.sms]\ntype = "acmé"\n',
        "more.toml": '[tenants.clinica.policy]\nmode = "auto"\n[ai.a]\ntype = "answers"\n',
        "rules.toml": '[default]\nanswer = "b"\n',
    }
    write(tmp_path, files)

    with pytest.raises(ConfigError) as caught:
        load_settings(Path("router.toml"), kinds(), run=True, environ={})

    places = [(str(p.path), p.line) for p in caught.value.problems if isinstance(p, Problem)]
    assert places == [
        ("router.toml", 4),
        ("router.toml", 6),
        ("router.toml", 8),
        ("more.toml", 2),
        ("rules.toml", 2),
    ]


def test_mistakes_in_shared_rules_are_told_once_however_many_tenants_read_them(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(
            tmp_path,
            '[router]\nrules = ["rules.toml"]\n[tenants.a]\n[tenants.b]\n',
            **{"rules.toml": 'default.answer = "nobody"\n'},
        )

    assert len(caught.value.problems) == 1


def test_files_that_are_no_toml_are_told_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(
            tmp_path,
            'include = ["a.toml", "b.toml"]\nnonsense = 1\n',
            **{"a.toml": "=", "b.toml": "="},
        )

    assert [Path(str(p.path)).name for p in caught.value.problems if isinstance(p, Problem)] == [
        "a.toml",
        "b.toml",
    ]


def test_a_missing_file_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_settings(tmp_path / "router.toml", kinds(), run=True)


@pytest.mark.parametrize(
    "text, files",
    [
        ('[router]\nplugins = ["acme.py", "gone.py", 3]\n', ["acme.py"]),
        ('[router]\nplugins = "acme.py"\n', []),
        ("[router]\n", []),
        ("", []),
        ("[router\n", []),
    ],
)
def test_single_file_plugins_are_known_before_anything_is_judged(
    text: str, files: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path, {"router.toml": text, "acme.py": ""})

    assert plugin_files(path) == [tmp_path / name for name in files]


BASE = SMS + '[policy]\ndebounce = "60s"\n[router]\nlanguage = "es"\nrules = ["rules.toml"]\n'
RULES = 'default.ticket = { queue = "todo" }\n'


@pytest.mark.parametrize(
    "text, rules, same",
    [
        (BASE, RULES, True),
        ("# A comment.\n" + BASE, RULES, True),
        (BASE.replace('"60s"', '"1m"'), RULES, True),
        (BASE.replace("[router]", '[router]\ntimezone = "UTC"'), RULES, True),
        (BASE, "# A comment.\n" + RULES, True),
        (BASE.replace('"60s"', '"61s"'), RULES, False),
        (BASE.replace("AC1", "AC2"), RULES, False),
        (BASE.replace('env = "TOKEN"', 'env = "OTHER"'), RULES, False),
        (BASE + '[ai.a]\ntype = "answers"\n', RULES, False),
        (BASE, RULES.replace("todo", "all"), False),
    ],
)
def test_the_hash_is_of_the_meaning(text: str, rules: str, same: bool, tmp_path: Path) -> None:
    def hash_of(folder: Path, text: str, rules: str) -> str:
        path = write(folder, {"router.toml": text, "rules.toml": rules})
        environ = {"TOKEN": folder.name, "OTHER": folder.name}
        return load_settings(path, kinds(), run=True, environ=environ).hash

    before = hash_of(tmp_path / "before", BASE, RULES)

    assert (hash_of(tmp_path / "after", text, rules) == before) is same
    assert len(before) == 16


def test_what_is_switched_off_stays_but_needs_no_secret(tmp_path: Path) -> None:
    path = write(tmp_path, {"router.toml": SMS + "enabled = false\n"})

    settings = load_settings(path, kinds(), run=True, environ={})

    assert settings.tenants["main"].channels["sms"].enabled is False
    assert settings.warnings == ()


def test_the_hash_knows_files_outside_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "desk").mkdir()
    outside = settings_of(tmp_path / "desk", '[knowledge]\nfolders = ["../docs"]\n')

    assert outside.hash != settings_of(tmp_path / "desk", "").hash


@pytest.mark.parametrize("value", ["", "mysql://a:b@c/d", "postgresql://[mysql/d"])
def test_a_database_reference_is_judged_by_its_value_without_showing_it(
    value: str, tmp_path: Path
) -> None:
    path = write(tmp_path, {"router.toml": '[router]\ndatabase = { env = "URL" }\n'})

    with pytest.raises(ConfigError) as caught:
        load_settings(path, kinds(), run=True, environ={"URL": value})

    assert len(caught.value.problems) == 1
    assert "mysql" not in repr(caught.value.problems)


def test_settings_are_frozen(tmp_path: Path) -> None:
    settings: Any = settings_of(tmp_path, "")

    with pytest.raises(AttributeError):
        settings.hash = "0"


def test_a_debounce_that_its_cap_cuts_short_is_a_warning(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        '[policy]\ndebounce_cap = "3s"\n[tenants.a.policy]\ndebounce = "4s"\n[tenants.b]\n',
    )

    assert [(problem.line, problem.message) for problem in settings.warnings] == [
        (4, "debounce is longer than debounce_cap, which therefore is the whole wait")
    ]


@pytest.mark.parametrize(
    ("policy", "then", "told"),
    [
        ("", 'then.reply.text = "¿Seguimos?"', ["1d"]),
        ('idle_close = "3d"', 'then.reply.text = "¿Seguimos?"', ["3d"]),
        ('idle_close = "23h"', 'then.reply.text = "¿Seguimos?"', []),
        ("", 'channels = "open"\nthen.reply.text = "¿Seguimos?"', []),
        ("", 'then.reply.template = "t"', []),
        ("", 'then.ticket.title = "x"', []),
    ],
)
def test_a_text_for_when_the_window_is_shut_is_a_warning(
    tmp_path: Path, policy: str, then: str, told: list[str]
) -> None:
    class Shuts(Acme):
        capabilities = plugin.Capabilities(window=timedelta(hours=24))

    registry = kinds()
    with registry.registering(Source(plugin="shuts")):
        registry.channel("shuts", Shuts, config=plugin.NoConfig)
    rules = '[template.t]\nref = "HX"\ntext = "x"\n[default]\nignore = "x"\n'
    files = {
        "router.toml": '[channels.shut]\ntype = "shuts"\n[channels.open]\ntype = "simulator"\n'
        f'[router]\nrules = ["r.toml"]\n[policy]\n{policy}\n',
        "r.toml": f'{rules}[[rule]]\nid = "r"\non = "idle"\n{then}\n',
    }

    settings = load_settings(write(tmp_path, files), registry, run=True, environ={})

    assert [problem.message for problem in settings.warnings] == [
        f'this text never leaves by "shut": its window shuts after 1d, and idle_close is {quiet}'
        for quiet in told
    ]


def test_a_folder_may_be_called_like_a_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "clients [2026]"
    folder.mkdir()
    settings = settings_of(
        folder, 'include = ["*/a.toml"]\n', **{"more/a.toml": '[ai.a]\ntype = "answers"\n'}
    )

    assert list(settings.ai) == ["a"]


def test_examples_run_only_when_asked_for_and_where_they_belong(tmp_path: Path) -> None:
    # The tenant drafts what the top level answers: the shared example speaks of the top level.
    text = (
        '[router]\nrules = ["shared.toml"]\n[policy]\nmode = "autopilot"\n'
        '[tenants.clinica]\nrules = ["own.toml"]\n'
    )
    shared = (
        'default.reply = { text = "Hola" }\n'
        '[[example]]\nsay = "Hola"\nexpect = { decision = "reply" }\n'
    )
    own = (
        'default.ticket = { queue = "citas" }\n'
        '[[example]]\nsay = "Hola"\nexpect = { decision = "{decision}" }\n'
    )
    for decision, fine in (("ticket", True), ("reply", False)):
        files = {"shared.toml": shared, "own.toml": own.replace("{decision}", decision)}
        path = write(tmp_path, {"router.toml": text, **files})

        load_settings(path, kinds(), run=True, examples=False)
        if fine:
            load_settings(path, kinds(), run=True)
        else:
            with pytest.raises(ConfigError, match="the example fails"):
                load_settings(path, kinds(), run=True)
