"""A real browser for the tests of pages."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Page


@asynccontextmanager
async def open_page() -> AsyncIterator["Page"]:
    """Give an empty page. An error on the page, or in its console, fails the test at the end."""
    from playwright.async_api import async_playwright, expect

    # A page shows what a loaded machine has worked; five seconds are not always enough for it.
    expect.set_options(timeout=20_000)

    errors: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),  # None: the one that playwright installed
            # Chromium's sandbox does not work for root, which a container's tests run as.
            chromium_sandbox=os.geteuid() != 0,
        )
        try:
            page = await browser.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on(
                "console",
                lambda line: errors.append(line.text) if line.type == "error" else None,
            )
            yield page
        finally:
            await browser.close()
    assert not errors, "\n".join(errors)
