"""The phone page in a real browser, on the daemon as it ships."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import httpx
import pytest

if TYPE_CHECKING:
    from playwright.async_api import Page

CHECKOUT = Path(__file__).parents[2]
ANA = "+573001234567"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the daemon on router.toml as shipped; give the address that it prints."""
    with _daemon(tmp_path_factory.mktemp("shipped")) as (url, _):
        yield url


class _daemon:  # noqa: N801 - reads as what it is where it is used
    """A daemon process on a copy of the shipped configuration."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> tuple[str, subprocess.Popen[str]]:
        shutil.copy(CHECKOUT / "router.toml", self._folder)
        for name in ("rules", "config"):
            shutil.copytree(CHECKOUT / name, self._folder / name)
        self._errors = (self._folder / "log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "router", "run", "--port", "0"],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("Simulator:"), (self._folder / "log").read_text()
        return line.split()[1], self._process

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=60)
        self._errors.close()


@pytest.fixture
async def number(request: pytest.FixtureRequest) -> str:
    """Give each test a customer of its own."""
    tests = request.session.items
    return f"+5730055{tests.index(request.node):05d}"


@pytest.fixture
async def phone(page: "Page", shipped: str, number: str) -> "Page":
    await page.goto(f"{shipped}?address={number.replace('+', '%2B')}")
    return page


@pytest.fixture
async def troubled(page: "Page") -> AsyncIterator["Page"]:
    """A page whose console may have errors: what is refused or blocked is one."""
    browser = page.context.browser
    assert browser is not None
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()


async def say(page: "Page", text: str) -> None:
    await page.get_by_label("Mensaje", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def test_customer_types_and_sees_the_answer_the_decision_and_why(phone: "Page") -> None:
    from playwright.async_api import expect

    await expect(phone.get_by_text("Todavía no hay mensajes.")).to_be_visible()
    field = phone.get_by_label("Mensaje", exact=True)
    await expect(field).to_be_focused()
    await say(phone, "¿Cuál es el horario?")

    thread = phone.get_by_role("log")
    await expect(thread.locator(".mine")).to_contain_text("¿Cuál es el horario?")
    await expect(thread.locator(".theirs:not(.pending)")).to_contain_text("Abrimos de lunes")
    await expect(thread.locator(".status")).to_have_text("enviado")
    await expect(thread.locator(".pending")).to_have_count(0)
    await expect(field).to_have_value("")
    await expect(field).to_be_focused()
    card = phone.get_by_role("article")
    await expect(card).to_have_count(1)
    await expect(card.get_by_role("heading")).to_have_text("Respuesta")
    await expect(card.locator(".category")).to_have_text("INFO")
    await expect(card.locator(".risk")).to_have_text("bajo")
    await expect(card.locator(".sources")).to_contain_text("horarios")

    await card.get_by_text("Por qué: la traza completa").click()
    await expect(card.locator("pre")).to_contain_text("Decision: reply")

    await phone.get_by_role("button", name="Leído").click()
    await expect(thread.locator(".status")).to_have_text("leído")
    # What the reader opened stays open while the page goes on living around it.
    await expect(card.locator("pre")).to_be_visible()


async def test_message_of_several_lines_is_typed_with_shift(phone: "Page") -> None:
    from playwright.async_api import expect

    await phone.get_by_label("Mensaje", exact=True).fill("Hola")
    await phone.keyboard.press("Shift+Enter")
    await phone.keyboard.type("¿Cuánto cuesta el envío?")
    await phone.get_by_role("button", name="Enviar").click()

    await expect(phone.locator(".mine .text")).to_have_text(
        "Hola\n¿Cuánto cuesta el envío?", use_inner_text=True
    )


async def test_page_stays_live_when_its_scripts_come_late(
    page: "Page", shipped: str, number: str
) -> None:
    from playwright.async_api import Route, expect

    async def late(route: Route) -> None:
        await anyio.sleep(0.3)
        await route.continue_()

    await page.route("**/hx-sse.min.js", late)
    await page.goto(f"{shipped}?address={number.replace('+', '%2B')}")
    await say(page, "hola")

    await expect(page.locator(".mine .text")).to_have_text("hola")


async def test_message_that_a_script_sends_shows_on_the_open_page(
    phone: "Page", shipped: str, number: str
) -> None:
    from playwright.async_api import expect

    url = shipped.replace("/simulator", "/hooks/phone")
    body = {"id": "script-1", "from": number, "text": "Voy a hablar con mi abogado"}
    async with httpx.AsyncClient(timeout=30) as client:
        response = await client.post(url, json=body)

    assert response.status_code == 200
    await expect(phone.locator(".mine .text")).to_have_text("Voy a hablar con mi abogado")
    await expect(phone.get_by_role("article")).to_contain_text("Escalado")


async def test_person_answers_from_the_phone_and_the_bot_steps_back(phone: "Page") -> None:
    from playwright.async_api import expect

    await say(phone, "hola")
    await expect(phone.get_by_role("article")).to_have_count(1)
    await phone.get_by_label("Respuesta de una persona").fill("Soy Marta, le ayudo")
    await phone.get_by_role("button", name="Responder desde el teléfono").click()

    await expect(phone.locator("[data-author=person] .text")).to_have_text("Soy Marta, le ayudo")
    await expect(phone.locator(".owner")).to_have_text("Atiende una persona")


async def test_mistake_is_said_on_the_page(troubled: "Page", shipped: str) -> None:
    from playwright.async_api import expect

    phone = troubled
    await phone.goto(f"{shipped}?address=573009999999")
    await phone.get_by_label("Mensaje", exact=True).fill("   ")
    await phone.keyboard.press("Enter")
    await expect(phone.get_by_role("alert")).to_have_text("Escriba algo primero.")

    await say(phone, "hola")
    await expect(phone.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize("language", ["es", "pt", "en"])
async def test_page_loads_nothing_from_elsewhere(page: "Page", shipped: str, language: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{shipped}?lang={language}")
    await page.wait_for_function("() => document.querySelector('[data-htmx-powered]')")

    home = shipped.removesuffix("/simulator")
    assert len(asked) > 4
    assert [url for url in asked if not url.startswith(f"{home}/")] == []
    assert await page.locator("html").get_attribute("lang") == language


# What is tried on the page, and which part of the policy stops it.
ATTACKS = {
    "const s = document.createElement('script'); s.textContent = 'window.hit = 1'; "
    "document.body.append(s)": "script-src-elem",
    "document.body.insertAdjacentHTML('beforeend', "
    "'<img src=/static/icon.svg onload=\"window.hit = 1\">')": "script-src-attr",
    "setTimeout(() => { try { window.eval('window.hit = 1') } catch (error) { } })": "script-src",
    "const s = document.createElement('script'); s.src = 'http://127.0.0.1:9/x.js'; "
    "document.body.append(s)": "script-src-elem",
    "document.body.insertAdjacentHTML('beforeend', '<style>body { --hit: 1 }</style>')": (
        "style-src-elem"
    ),
    "document.body.insertAdjacentHTML('beforeend', '<p style=\"--hit: 1\">')": "style-src-attr",
    "new Image().src = 'http://127.0.0.1:9/x.png'": "img-src",
    "fetch('http://127.0.0.1:9/').catch(() => { })": "connect-src",
    "document.body.insertAdjacentHTML('beforeend', "
    "'<form id=f method=post action=http://127.0.0.1:9/></form>'); "
    "document.getElementById('f').submit()": "form-action",
}


async def test_policy_of_the_page_blocks_what_does_not_belong_to_it(
    troubled: "Page", shipped: str
) -> None:
    stopped: dict[str, str] = {}
    for attack in ATTACKS:
        await troubled.goto(shipped)
        await troubled.evaluate(
            "() => document.addEventListener('securitypolicyviolation', "
            "(event) => window.stopped ??= event.effectiveDirective)"
        )
        await troubled.evaluate(f"() => {{ {attack} }}")
        await troubled.wait_for_function("() => window.stopped")
        stopped[attack] = await troubled.evaluate("() => window.stopped")
        assert await troubled.evaluate("() => window.hit") is None

    assert stopped == ATTACKS


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_page_fits_every_screen_and_can_be_read_on_it(phone: "Page", scheme: str) -> None:
    from playwright.async_api import expect

    await phone.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await say(phone, "palabra" * 40)
    await expect(phone.get_by_role("article")).to_have_count(1)
    for width, height in [(1400, 900), (900, 800), (360, 740)]:
        await phone.set_viewport_size({"width": width, "height": height})
        assert await phone.evaluate("() => document.documentElement.scrollWidth") == width
        assert await phone.evaluate(DIM_TEXTS) == []


# Every visible text against the nearest background, by the formula of WCAG 2.2, level AA.
DIM_TEXTS = """() => {
  const channels = (color) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const pen = canvas.getContext("2d");
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = (color) => {
    const [r, g, b] = channels(color).slice(0, 3).map((it) => it / 255)
      .map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let it = element; it; it = it.parentElement) {
      const color = getComputedStyle(it).backgroundColor;
      if (channels(color)[3] === 255) return color;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const dim = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((it) => it.nodeType === 3 && it.nodeValue.trim());
    if (!own || !element.checkVisibility() || element.closest(".unseen, option, svg")) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) dim.push(`${element.outerHTML.slice(0, 80)} ${contrast.toFixed(2)}`);
  }
  return dim;
}"""


# What is smaller to a finger than WCAG 2.2 wants it, level AA.
SMALL_TARGETS = """() => {
  const targets = "a:not(.skip, .trace a), button, input:not([type=hidden]), textarea, summary";
  const small = (box) => Math.min(box.width, box.height) < 24;
  return [...document.querySelectorAll(targets)]
    .filter((it) => it.checkVisibility() && small(it.getBoundingClientRect()))
    .map((it) => it.outerHTML.slice(0, 80));
}"""


async def test_small_screen_shows_the_page_from_its_top_and_fingers_find_everything(
    page: "Page", shipped: str, number: str
) -> None:
    from playwright.async_api import expect

    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(f"{shipped}?address={number.replace('+', '%2B')}")
    await expect(page.get_by_text("Todavía no hay mensajes.")).to_be_visible()
    assert await page.evaluate("() => window.scrollY") == 0

    await say(page, "¿Cuál es el horario?")
    await expect(page.get_by_role("article")).to_have_count(1)
    await expect(page.locator("a.chip")).to_have_count(1)
    assert await page.evaluate(SMALL_TARGETS) == []


async def test_everything_can_be_reached_and_is_named(phone: "Page") -> None:
    from playwright.async_api import expect

    await say(phone, "¿Cuál es el horario?")
    await expect(phone.locator(".status")).to_have_text("enviado")
    nameless = await phone.evaluate(
        "() => [...document.querySelectorAll('input:not([type=hidden]), textarea, select, button')]"
        ".filter((it) => !(it.labels?.length || it.textContent.trim())).map((it) => it.outerHTML)"
    )
    assert nameless == []

    await phone.evaluate("() => document.activeElement.blur()")
    reached = set()
    for _ in range(40):
        await phone.keyboard.press("Tab")
        reached.add(
            await phone.evaluate(
                "() => { const it = document.activeElement; "
                "return it.id || it.value || it.className || it.tagName }"
            )
        )
    assert {"address", "text", "round", "echo-text", "read", "SUMMARY", "scroll", "skip"} <= reached


async def test_page_works_without_scripts(page: "Page", shipped: str, number: str) -> None:
    from playwright.async_api import expect

    browser = page.context.browser
    assert browser is not None
    context = await browser.new_context(java_script_enabled=False)
    try:
        plain = await context.new_page()
        await plain.goto(f"{shipped}?address={number.replace('+', '%2B')}&lang=en")
        await plain.get_by_label("Message", exact=True).fill("¿Cuál es el horario?")
        await plain.get_by_role("button", name="Send").click()
        await expect(plain).to_have_url(re.compile(r"lang=en"))
        for _ in range(20):
            if await plain.locator(".theirs .status").count():
                break
            await plain.wait_for_timeout(250)
            await plain.reload()
        await expect(plain.locator(".theirs .text").first).to_contain_text("Abrimos de lunes")
        await plain.get_by_text("Why: the full trace").click()
        await plain.get_by_role("link", name="Trace").click()
        await expect(plain.locator("pre")).to_contain_text("Decision: reply")
    finally:
        await context.close()


async def test_page_says_when_the_router_is_gone_and_the_router_stops_in_spite_of_it(
    troubled: "Page", tmp_path: Path
) -> None:
    from playwright.async_api import expect

    with _daemon(tmp_path) as (url, process):
        await troubled.goto(url)
        await say(troubled, "hola")  # the live stream is there once this shows
        await expect(troubled.get_by_role("article")).to_have_count(1)
        process.terminate()
        await anyio.to_thread.run_sync(lambda: process.wait(timeout=60))
        await expect(troubled.get_by_text("Sin conexión con el router")).to_be_visible()

        assert process.returncode == 0
