"""The page in a browser, and what a user does there."""

import shutil
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import expect

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium")


@asynccontextmanager
async def page_of(browser, site, viewport=WIDE):
    """A page of the app in a browser that nobody has used; what it complains of is an error."""
    context = await browser.new_context(viewport=viewport)
    page = await context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    await page.goto(site.url)
    yield page
    await context.close()
    assert wrong == []


async def log_in(page, user_id):
    await page.get_by_label("Your name").fill(user_id)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("header .user")).to_have_text(user_id)


async def say(page, content):
    await page.get_by_label("Message").fill(content)
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()
