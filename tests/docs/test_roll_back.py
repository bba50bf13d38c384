"""A small app goes through every stage and back, as the page says, and nothing that it wrote is missed on either side."""

import json
from pathlib import Path

import psycopg
import pytest
import redis

from tests.docs.quick import run_page_quickly

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "roll-back.md"


@pytest.mark.timeout(300)
def test_from_every_stage_there_is_a_way_back_on_which_nothing_is_lost(environment, folder, monkeypatch):
    del environment["CHROMA_URL"], environment["CHROMA_DATABASE"]
    environment["CHATSTORE_FLAG_FILE"] = str(folder / "flags.json")
    run_page_quickly(PAGE, environment, folder, monkeypatch)
    with redis.Redis.from_url(environment["REDIS_URL"], decode_responses=True) as client:
        ids = json.loads(client.hget("session:talk-ann", "messageIds"))
        in_redis = [client.hget(f"message:{each}", "content") for each in ids]
    with psycopg.connect(environment["SUPABASE_DB_URL"]) as connection:
        rows = connection.execute("select content from public.messages order by position, id").fetchall()
    assert len(in_redis) == 15
    assert in_redis == [content for (content,) in rows]
