"""The page, in a browser: what a user does from the old app's conversation to the other side of a flip."""

import shutil
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import async_playwright, expect

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

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
async def browser():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


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
    await expect(page.locator(".user")).to_have_text(user_id)


async def say(page, content):
    await page.get_by_label("Message").fill(content)
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()


async def test_an_old_conversation_goes_on_in_the_browser_and_is_there_after_a_reload(browser, site, old_app):
    await old_app.conversation("s1", "ann", "An order", "Where is my order?", "It left us this morning.")
    async with page_of(browser, site) as page:
        await log_in(page, "ann")
        await expect(page.locator("#chat li")).to_have_text(["Where is my order?", "It left us this morning."])
        await page.locator("input[type=file]").set_input_files(
            {"name": "tea.md", "mimeType": "text/markdown", "buffer": b"# Tea\n\nGreen tea is steamed.\n"}
        )
        await expect(page.locator(".notice")).to_have_text("tea.md can be searched now.")
        await page.get_by_label("Search").fill("green tea")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator(".matches .name")).to_have_text("tea.md")
        await say(page, "How is green tea made?")
        await expect(page.locator("#chat li").last).to_contain_text("Green tea is steamed.")
        await page.reload()
        await expect(page.locator("#chat li.mine")).to_have_text(["Where is my order?", "How is green tea made?"])
