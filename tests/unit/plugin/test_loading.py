"""Plugins are found, checked and named; a broken one does not hide the others."""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from router.errors import PluginError
from router.plugin import API_VERSION
from router.plugin.loading import load_plugins

GOOD = """
from router import plugin

router_api = (1, 0)


class Bell(plugin.Action[plugin.NoConfig]):
    async def run(self, call: plugin.ActionCall) -> None:
        pass


@plugin.hookimpl
def router_register(registry):
    registry.action(__name__.rpartition("_")[2], Bell, config=plugin.NoConfig)
"""


@pytest.fixture(autouse=True)
def _forget_modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("router_plugin_file_", "installed_")):
            del sys.modules[name]


def single_file(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(dedent(text), encoding="utf-8")
    return path


def install(site: Path, distribution: str, version: str, plugin: str, text: str) -> None:
    """Install a distribution as pip leaves it: a module and its dist-info."""
    (site / f"installed_{plugin}.py").write_text(dedent(text), encoding="utf-8")
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(
        f"[router.plugins]\n{plugin} = installed_{plugin}\n", encoding="utf-8"
    )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def test_an_installed_plugin_registers_under_its_distribution(site: Path) -> None:
    install(site, "router-bell", "1.4", "bell", GOOD)

    registration = load_plugins().actions["bell"]

    assert (registration.plugin, registration.distribution, registration.version) == (
        "bell",
        "router-bell",
        "1.4",
    )


def test_a_single_file_registers_under_its_name(tmp_path: Path) -> None:
    path = single_file(tmp_path, "gong", GOOD)

    registration = load_plugins([path]).actions["gong"]

    assert (registration.plugin, registration.distribution, registration.file) == (
        "gong",
        None,
        path,
    )


def test_nothing_is_kept_between_two_loads(tmp_path: Path) -> None:
    path = single_file(tmp_path, "gong", GOOD)

    assert "gong" in load_plugins([path]).actions
    assert "gong" in load_plugins([path]).actions
    assert "gong" not in load_plugins().actions


def test_a_plugin_that_cannot_be_imported_is_noted_and_the_others_load(
    site: Path, tmp_path: Path
) -> None:
    install(site, "router-bell", "1.4", "bell", "import no_such_module_anywhere\n")
    path = single_file(tmp_path, "gong", GOOD)

    registry = load_plugins([path])

    assert "gong" in registry.actions
    failure = registry.failures["bell"]
    assert str(failure) == (
        "'bell' (router-bell 1.4): ModuleNotFoundError: No module named 'no_such_module_anywhere'"
    )
    assert (failure.distribution, failure.version) == ("router-bell", "1.4")


@pytest.mark.parametrize(
    "text, cause",
    [
        ("def router_register(:\n", "SyntaxError: invalid syntax (gong.py, line 1)"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)\n", "SystemExit: 0"),
        (
            GOOD.replace("    registry.action(", "    raise SystemExit(2)\n    registry.action("),
            "SystemExit: 2",
        ),
        (
            GOOD.replace("    registry.action(", "    1 / 0\n    registry.action("),
            "ZeroDivisionError: division by zero",
        ),
        (
            "class Wordless(Exception):\n    __str__ = lambda self: self.words\n\nraise Wordless\n",
            "Wordless",
        ),
    ],
    ids=["syntax", "import", "end", "end at registration", "registration", "words"],
)
def test_a_single_file_that_breaks_is_noted(tmp_path: Path, text: str, cause: str) -> None:
    path = single_file(tmp_path, "gong", text)

    registry = load_plugins([path])

    assert "gong" not in registry.actions
    assert registry.failures["gong"].cause == cause
    assert registry.failures["gong"].file == path


def test_a_file_that_is_missing_or_no_python_is_noted(tmp_path: Path) -> None:
    registry = load_plugins([tmp_path / "gone.py", tmp_path / "notes.txt"])

    assert registry.failures["gone"].cause.startswith("FileNotFoundError: ")
    assert registry.failures["notes"].cause == (
        "ImportError: a single-file plugin is a Python file, named something.py"
    )


MAJOR, MINOR = API_VERSION


@pytest.mark.parametrize(
    "line, problem",
    [
        (
            "",
            (
                "plugin 'gong' ({file}) does not say for which plugin API it was written. "
                f"Write router_api = {API_VERSION} in its module"
            ),
        ),
        (
            "router_api = '1.0'",
            (
                "plugin 'gong' ({file}) does not say for which plugin API it was written. "
                f"Write router_api = {API_VERSION} in its module"
            ),
        ),
        (
            f"router_api = ({MAJOR}, {MINOR + 1})",
            (
                f"plugin 'gong' ({{file}}) was written for plugin API {MAJOR}.{MINOR + 1}; "
                f"this router speaks {MAJOR}.{MINOR}. Upgrade the router"
            ),
        ),
        (
            f"router_api = ({MAJOR + 1}, 0)",
            (
                f"plugin 'gong' ({{file}}) was written for plugin API {MAJOR + 1}.0; "
                f"this router speaks {MAJOR}.{MINOR}. Upgrade the router"
            ),
        ),
        (
            f"router_api = ({MAJOR - 1}, 9)",
            (
                f"plugin 'gong' ({{file}}) was written for plugin API {MAJOR - 1}.9; "
                f"this router speaks {MAJOR}.{MINOR}. Upgrade the plugin"
            ),
        ),
    ],
)
def test_another_api_version_says_which_to_upgrade(tmp_path: Path, line: str, problem: str) -> None:
    path = single_file(tmp_path, "gong", GOOD.replace("router_api = (1, 0)", line))

    with pytest.raises(PluginError) as caught:
        load_plugins([path])

    assert str(caught.value) == problem.format(file=path)


@pytest.mark.parametrize(
    "text, problem",
    [
        (
            GOOD.replace("router_register", "router_registr"),
            (
                "plugin 'gong' ({file}): unknown hook 'router_registr' in plugin {module}. "
                "The only hook is router_register(registry)"
            ),
        ),
        (
            GOOD.replace("router_register(registry)", "router_register(registry, config)"),
            (
                "plugin 'gong' ({file}): Plugin 'gong' for hook 'router_register' hookimpl "
                "definition: "
                "router_register(registry, config) Argument(s) {{'config'}} are declared in the "
                "hookimpl but can not be found in the hookspec. "
                "The only hook is router_register(registry)"
            ),
        ),
        (
            GOOD.replace("@plugin.hookimpl", ""),
            (
                "plugin 'gong' ({file}) registers nothing. Give it a function "
                "router_register(registry), decorated with @plugin.hookimpl"
            ),
        ),
    ],
    ids=["misspelt", "argument", "no hookimpl"],
)
def test_a_hook_that_would_never_be_called_is_an_error(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = single_file(tmp_path, "gong", text)

    with pytest.raises(PluginError) as caught:
        load_plugins([path])

    module = repr(sys.modules["router_plugin_file_gong"])
    assert str(caught.value) == problem.format(file=path, module=module)


def test_two_plugins_of_one_name_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = single_file(tmp_path, "gong", GOOD)
    second = single_file(tmp_path / "other", "gong", GOOD)

    with pytest.raises(PluginError) as caught:
        load_plugins([first, second])

    assert str(caught.value) == (
        f"two plugins have one name: 'gong' ({first}) and 'gong' ({second}). Rename or remove one"
    )


def test_a_kind_registered_twice_is_an_error_even_from_the_same_plugin(tmp_path: Path) -> None:
    twice = GOOD + GOOD.rpartition("\n    ")[2].join(["    ", ""])
    path = single_file(tmp_path, "gong", twice)

    with pytest.raises(PluginError) as caught:
        load_plugins([path])

    assert "action kind 'gong' is registered by plugin 'gong'" in str(caught.value)
