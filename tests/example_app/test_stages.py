"""The app while it is moved: by chatstore's commands and its flag file, under the app as it serves."""

import asyncio
import json
import os
import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from chatstore.backends import Backends
from chatstore.migration import (
    BackfillOptions,
    VerifyOptions,
    backfill_chat,
    backfill_documents,
    verify_chat,
    verify_documents,
)
from chatstore.models import Kind
from chatstore.routing import FLAGS, chat_repairer, document_repairer
from chatstore.settings import load_settings
from tests.example_app.conftest import served
from tests.example_app.pages import log_in, needs_chromium, page_of
from tests.example_app.pages import say as say_in
from tests.example_app.test_api import say

SECONDS = 20
RED = "rgb(179, 38, 30)"
"""The page's colour of what is wrong, in a browser that prefers light pages."""


async def migrate(*kinds):
    """Do what `chatstore migrate` and `verify` do, without their waits for writers of other processes."""
    async with Backends(load_settings()) as backends:
        for kind in kinds:
            if kind is Kind.CHAT:
                sides, repairer, copy, compare = await backends.chat_sides(), chat_repairer, backfill_chat, verify_chat
            else:
                sides, repairer = await backends.document_sides(), document_repairer
                copy, compare = backfill_documents, verify_documents
            progress = backends.progress(kind)
            repair = repairer(sides, progress=progress).run
            await copy(sides.old, sides.new, progress, repair=repair, options=BackfillOptions(settle_seconds=0))
            options = VerifyOptions(wait=0.05)
            assert (await compare(sides.old, sides.new, progress, repair=repair, options=options)).equal


def set_stage(stage):
    """Write the flag file, as `chatstore stage` does."""
    flag = {"state": "ENABLED", "variants": {stage: stage}, "defaultVariant": stage}
    path = Path(os.environ["CHATSTORE_FLAG_FILE"])
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"flags": dict.fromkeys(FLAGS.values(), flag)}))
    draft.replace(path)


async def strip_of(http):
    return (await http.get("/api/migration")).json()


async def until(http, kind, **wanted):
    """Wait until the strip says something of a kind, and return what else it says."""
    async with asyncio.timeout(SECONDS):
        while True:
            seen = (await strip_of(http))[kind]
            if all(seen[name] == value for name, value in wanted.items()):
                return seen
            await asyncio.sleep(0.1)


@pytest.fixture
async def moving(app_settings, own_settings, settings, empty_supabase):
    """The app over both sides, at stage `off`."""
    set_stage("off")
    async with served(app_settings(), own_settings, settings.supabase_jwt_secret) as site:
        yield site


async def test_before_it_is_moved_there_is_one_side_and_no_stage(site):
    async with site.as_user("ann") as http:
        one_side = {"stage": None, "marks": 0, "oldest_mark_seconds": None, "compared": None, "last": None}
        assert await strip_of(http) == {"chat": one_side, "documents": one_side}


async def test_a_conversation_goes_on_from_the_old_side_to_the_new_one(moving, old_app, namespace):
    ann = f"{namespace}-ann"
    await old_app.conversation("s1", ann, "An order", "Where is my order?", "It left us this morning.")
    async with moving.as_user(ann) as http:
        assert (await strip_of(http))["chat"]["stage"] == "off"
        set_stage("dualwrite")
        await until(http, "chat", stage="dualwrite")
        await say(http, "s1", "At dual-write")
        await migrate(Kind.CHAT)
        set_stage("shadow")
        await until(http, "chat", stage="shadow")
        await http.get("/api/sessions/s1/messages")
        set_stage("complete")
        seen = await until(http, "chat", stage="complete")
        assert seen["compared"]["equal"] > 0
        assert seen["compared"]["mismatched"] == 0
        await say(http, "s1", "On the new side")
        said = (await http.get("/api/sessions/s1/messages")).json()["items"]
        assert [message["content"] for message in said if message["role"] == "user"] == [
            "Where is my order?",
            "At dual-write",
            "On the new side",
        ]
    async with moving.as_user(f"{namespace}-ben") as http:
        assert (await http.get("/api/sessions")).json()["items"] == []
        assert (await http.get("/api/sessions/s1/messages")).status_code == 404


@needs_chromium
async def test_a_page_sees_the_same_conversation_after_a_flip_under_it(browser, moving, old_app, namespace):
    ann = f"{namespace}-ann"
    await old_app.conversation("s1", ann, "An order", "Where is my order?", "It left us this morning.")
    async with page_of(browser, moving) as page:
        await log_in(page, ann)
        stages = page.locator("#strip .stage")
        await expect_stage(stages, "off")
        set_stage("dualwrite")
        await expect_stage(stages, "dualwrite")
        await say_in(page, "At dual-write")
        await migrate(Kind.CHAT)
        set_stage("live")
        await expect_stage(stages, "live")
        await say_in(page, "Live")
        await page.reload()
        said = page.locator("#chat li.mine")
        await expect(said).to_have_text(["Where is my order?", "At dual-write", "Live"])


async def expect_stage(stages, stage):
    await expect(stages.first).to_have_text(stage)


@needs_chromium
async def test_the_strip_tells_the_last_comparison_of_both_kinds_and_a_difference_until_it_is_repaired(
    browser, moving, old_app, namespace
):
    ann = f"{namespace}-ann"
    await old_app.conversation("s1", ann, "An order", "Where is my order?", "It left us this morning.")
    await old_app.document("d1", ann, "Tea", "Green tea is steamed.")
    set_stage("dualwrite")
    async with moving.as_user(ann) as http:
        await until(http, "documents", stage="dualwrite")
    await migrate(*Kind)
    set_stage("shadow")
    async with moving.as_user(ann) as http, page_of(browser, moving) as page:
        await until(http, "documents", stage="shadow")
        await log_in(page, ann)
        await until_told(
            page, open_chat, "chat", r"history of 2 messages: equal, Redis <?\d+ ms, Supabase <?\d+ ms, \d+ s ago"
        )
        await until_told(
            page, search, "documents", r"search with 1 hit: equal, Redis <?\d+ ms, Chroma <?\d+ ms, \d+ s ago"
        )

        # Past chatstore: nothing marks it.
        await old_app.conversation("s1", ann, "An order", "Where is my order?", "It left us this morning.", "Thanks!")
        await old_app.document("d1", ann, "A secret", "Green tea is steamed.")
        chat = await until_told(
            page, open_chat, "chat", r"history of 3 messages: differs \(3 records on one side, 2 on the other\)"
        )
        documents = await until_told(page, search, "documents", r"search with 1 hit: differs \(.*title.*\)")
        for told in (chat, documents):
            assert await told.evaluate("(told) => getComputedStyle(told).color") == RED
        assert "secret" not in await documents.inner_text()

        await migrate(*Kind)
        chat = await until_told(page, open_chat, "chat", r"history of 3 messages: equal")
        documents = await until_told(page, search, "documents", r"search with 1 hit: equal")
        for told in (chat, documents):
            assert await told.evaluate("(told) => getComputedStyle(told).color") != RED
    async with moving.as_user(f"{namespace}-ben") as http:
        assert [seen["last"] for seen in (await strip_of(http)).values()] == [None, None]


async def open_chat(page):
    await page.locator("#sessions li button").first.click()


async def search(page):
    await page.get_by_label("Search").first.fill("steamed tea")
    await page.get_by_role("button", name="Search").click()


async def until_told(page, read, kind, wanted):
    """Read what is compared until the strip tells a comparison as wanted, and return what tells it."""
    told = page.locator("#strip .kind").nth(list(Kind).index(Kind(kind))).locator(".last")
    async with asyncio.timeout(2 * SECONDS):
        while True:
            await read(page)
            try:
                await expect(told).to_have_text(re.compile(wanted), timeout=4000)
            except AssertionError:
                continue
            return told
