"""The page on the example app says what there is."""

import asyncio
import re
from pathlib import Path

from examples.app.settings import AppSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "example-app.md").read_text()


async def test_a_program_asks_as_the_page_shows(site, old_app):
    await old_app.document("d1", "ann", "Tea", "Green tea is steamed.")
    [block] = re.findall(r"<!-- example: app-api -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    scope = {}
    exec(block, scope)
    answer = await asyncio.to_thread(scope["ask"], site.url, await site.token("ann"), "How is green tea made?")
    assert answer == "Green tea is steamed.\n\nFrom Tea."


def test_the_pages_files_settings_and_routes_are_those_that_there_are():
    named = set(re.findall(r"`(\w+\.py)`", PAGE))
    there = {path.name for path in (ROOT / "examples" / "app").glob("*.py")}
    assert there - named == {"__init__.py", "__main__.py", "settings.py", "shapes.py"}
    assert named <= there
    assert set(re.findall(r"`(APP_\w+)`", PAGE)) == {f"APP_{field}".upper() for field in AppSettings.model_fields}
