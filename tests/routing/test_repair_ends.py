"""A repair comes to its end beside an app that never stops writing: found by the storm, whose migrator ended in none."""

from chatstore.models import Mark, Side, Stage
from chatstore.routing import Sides, chat_repairer
from chatstore.testing import MemoryChat
from tests.flags import Flags
from tests.routing.pair import router_over, verified

ENOUGH = 50


async def test_a_repair_ends_though_every_look_finds_a_new_mark():
    sides = Sides(MemoryChat(Side.OLD), MemoryChat(Side.NEW))
    await verified(sides)
    await router_over(sides, Flags(Stage.OFF)).create_session("u", session_id="s")
    looks = []
    marks = sides.old.journal.marks

    async def marks_beside_a_writer(**options):
        looks.append(options)
        if len(looks) < ENOUGH:
            await sides.old.journal.add([Mark(key="s", user_id="u", side=Side.OLD, op="append")])
        return await marks(**options)

    sides.old.journal.marks = marks_beside_a_writer
    await chat_repairer(sides).run()
    assert len(looks) < ENOUGH
    assert [session.id for session in (await sides.new.list_sessions("u")).items] == ["s"]
