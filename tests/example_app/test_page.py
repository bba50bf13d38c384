"""The page, in a browser: what a user does from the old app's conversation to the other side of a flip."""

from playwright.async_api import expect

from tests.example_app.pages import NARROW, log_in, needs_chromium, page_of, say

pytestmark = needs_chromium


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


async def test_what_users_write_is_text_and_never_code(browser, site, old_app):
    code = "<img src=x onerror='window.ran = 1'><script>window.ran = 1</script>"
    await old_app.conversation("s1", "ann", code, code, code)
    await old_app.document("d1", "ann", code, f"{code} Green tea is steamed.")
    async with page_of(browser, site) as page:
        await log_in(page, "ann")
        await expect(page.locator("#chat li")).to_have_text([code, code])
        await expect(page.locator("#sessions .name")).to_have_text(code)
        await page.get_by_label("Search").fill("green tea")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator(".matches .name")).to_have_text(code)
        await expect(page.locator(".files .name")).to_have_text(code)
        await say(page, f"{code} How is green tea made?")
        await expect(page.locator("#chat li").last).to_contain_text("Green tea is steamed.")
        assert await page.evaluate("window.ran") is None
        assert await page.locator("#app img").count() == 1  # the icon
        assert await page.evaluate("document.cookie") == ""


async def test_on_a_phone_one_pane_is_seen_at_a_time_and_nothing_is_cut_off(browser, site, old_app):
    await old_app.conversation("s1", "ann", "An order", "Where is my order?", "It left us this morning.")
    async with page_of(browser, site, NARROW) as page:
        await log_in(page, "ann")
        for name, pane in (("Chats", "sessions"), ("Documents", "library"), ("Chat", "chat")):
            await page.get_by_role("button", name=name, exact=True).click()
            seen = [one for one in ("sessions", "chat", "library") if await page.locator(f"#{one}").is_visible()]
            assert seen == [pane]
            assert await page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


async def test_who_logs_out_leaves_nothing_on_the_page(browser, site, old_app):
    await old_app.conversation("s1", "ann", "An order", "Where is my order?", "It left us this morning.")
    async with page_of(browser, site) as page:
        await log_in(page, "ann")
        await expect(page.locator("#chat li")).to_have_count(2)
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("Your name")).to_be_visible()
        assert "order" not in await page.content()
        await log_in(page, "ben")
        await expect(page.locator("#chat h2")).to_have_text("New chat")
