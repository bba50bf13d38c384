"""`chatstore stage`: shows and sets the stage, and refuses what could show anybody stale data."""

import asyncio
import json
from dataclasses import replace

import pytest

from chatstore.models import Kind, Mark, Side, Stage
from chatstore.routing.flags.file import Share, StageFlag, parse_flags
from chatstore.testing import MemoryChat


def chat_flag(path):
    return parse_flags(path.read_text())[Kind.CHAT]


def mark(memory, side):
    made = Mark(key="s1", user_id="u1", side=side, op="append")
    asyncio.run(memory.journals()[side].add([made]))


def marks(memory, side):
    return asyncio.run(memory.journals()[side].backlog()).marks


def test_without_a_flag_file_it_says_which_setting_names_one(program, memory):
    for arguments in ((), ("chat",), ("chat", "dualwrite")):
        done = program("stage", *arguments)
        assert done.status == 2
        assert "CHATSTORE_FLAG_FILE is not set" in done.err


def test_a_stage_for_everybody_is_written_recorded_and_shown(program, verified, flag_file):
    done = program("stage", "chat", "live")
    assert (done.status, done.out, done.err) == (0, "chat: live\n", "")
    assert chat_flag(flag_file) == StageFlag(default=Stage.LIVE)
    assert {verified.state(side).stage for side in Side} == {Stage.LIVE}
    assert program("stage").out == "chat: live\ndocuments: says nothing\n"
    assert program("stage", "--json").json == {
        "chat": {"default": "live", "share": None, "users": {}},
        "documents": None,
    }


def test_a_share_and_single_users_leave_the_rest_as_it_was_and_unrecorded(program, verified, flag_file):
    program("stage", "chat", "shadow")
    program("stage", "chat", "live", "--percent", 10)
    done = program("stage", "chat", "rampdown", "--user", "u1", "--user", "u\x1b2")
    assert done.out == "chat: shadow; live for 10 % of the users; rampdown for u\\x1b2, u1\n"
    assert chat_flag(flag_file) == StageFlag(
        default=Stage.SHADOW, share=Share(Stage.LIVE, 10), users={"u1": Stage.RAMPDOWN, "u\x1b2": Stage.RAMPDOWN}
    )
    assert verified.state().stage is Stage.SHADOW


def test_a_stage_for_everybody_ends_shares_and_single_users(program, verified, flag_file):
    program("stage", "chat", "live", "--percent", 10)
    program("stage", "chat", "live", "--user", "u1")
    program("stage", "chat", "dualwrite")
    assert chat_flag(flag_file) == StageFlag(default=Stage.DUALWRITE)


def test_the_rest_of_the_first_share_is_at_the_recorded_stage(program, verified, flag_file):
    verified.remember(stage=Stage.SHADOW)
    program("stage", "chat", "live", "--percent", 1)
    assert chat_flag(flag_file).default is Stage.SHADOW


def test_no_stage_reads_from_the_new_side_before_a_verify(program, memory, flag_file):
    done = program("stage", "chat", "live", "--percent", 1)
    assert done.status == 2
    assert "not verified yet: run `chatstore migrate`, then `chatstore verify`" in done.err
    assert not flag_file.exists()


def test_a_refusal_is_one_json_object(program, memory, flag_file):
    done = program("stage", "chat", "live", "--json")
    assert (done.status, done.json["error"]["type"]) == (2, "StaleSideError")


def test_no_stage_reads_from_the_old_side_when_the_way_back_is_closed(program, verified, flag_file):
    verified.remember(way_back_closed=True)
    assert "the way back was closed" in program("stage", "chat", "dualwrite").err
    assert program("stage", "chat", "rampdown").status == 0


@pytest.mark.parametrize(
    "way", [("complete", "dualwrite", "rampdown", Side.NEW), ("off", "live", "dualwrite", Side.OLD)]
)
def test_who_leaves_a_one_sided_stage_repairs_first(program, verified, flag_file, way):
    one_sided, goal, beside, side = way
    program("stage", "chat", one_sided)
    mark(verified, side)
    done = program("stage", "chat", goal, "--user", "u1")
    assert done.status == 2
    assert "run `chatstore repair --chat` first" in done.err
    assert f"chatstore stage chat {beside}" in done.err
    assert program("stage", "chat", beside).status == 0
    assert program("repair", "--chat").status == 0
    assert program("stage", "chat", goal).status == 0


def test_whether_a_one_sided_stage_can_be_left_is_asked_of_the_side_that_it_wrote(program, verified, flag_file):
    program("stage", "chat", "complete")
    verified.away.add(Side.NEW)
    done = program("stage", "chat", "dualwrite")
    assert done.status == 2
    assert "the new side must be asked first: the new server does not answer" in done.err


def test_an_incident_the_way_back_is_open_though_the_new_side_is_away(program, verified, flag_file):
    program("stage", "chat", "live")
    verified.away.add(Side.NEW)
    done = program("stage", "chat", "dualwrite")
    assert done.status == 0
    assert "what reached it alone is missing until it is back" in done.err
    assert "not recorded there" in done.err
    assert chat_flag(flag_file).default is Stage.DUALWRITE
    assert verified.state(Side.OLD).stage is Stage.DUALWRITE


def test_nobody_goes_back_to_an_old_side_that_was_emptied_before_it_is_filled(program, verified, flag_file):
    program("stage", "chat", "live")
    verified.chat = replace(verified.chat, old=MemoryChat(Side.OLD))
    refused = program("stage", "chat", "dualwrite", "--percent", 1)
    assert refused.status == 2
    assert "was it emptied" in refused.err
    assert "`chatstore migrate --back --chat`, then `chatstore verify --chat`" in refused.err
    assert program("stage", "chat", "rampdown").status == 0
    assert program("migrate", "--back", "--chat").status == 0
    assert program("stage", "chat", "dualwrite").status == 2
    assert program("verify", "--chat").status == 0
    assert program("stage", "chat", "dualwrite").status == 0


def test_a_flip_with_open_marks_is_warned_of(program, verified, flag_file):
    program("stage", "chat", "live")
    mark(verified, Side.NEW)
    assert "1 write may be on the new side only" in program("stage", "chat", "shadow").err
    assert program("stage", "chat", "dualwrite").err == ""


def test_a_smaller_share_sends_users_to_the_stage_of_the_others(program, verified, flag_file):
    program("stage", "chat", "dualwrite")
    program("stage", "chat", "live", "--percent", 50)
    verified.remember(way_back_closed=True)
    assert "stage dualwrite reads from the old side" in program("stage", "chat", "live", "--percent", 10).err
    assert program("stage", "chat", "live", "--percent", 60).status == 0


def test_closing_the_way_back_clears_what_it_would_have_needed(program, verified, flag_file):
    assert program("stage", "chat", "complete").status == 0
    mark(verified, Side.NEW)
    done = program("stage", "chat", "complete", "--close-way-back", "--yes")
    assert done.status == 0
    for side in Side:
        state = verified.state(side)
        assert (state.way_back_closed, state.journal_open, state.stage) == (True, False, Stage.COMPLETE)
    assert marks(verified, Side.NEW) == 0


def test_closing_the_way_back_waits_for_what_only_the_old_side_has(program, verified, flag_file):
    program("stage", "chat", "complete")
    mark(verified, Side.OLD)
    done = program("stage", "chat", "complete", "--close-way-back", "--yes")
    assert done.status == 2
    assert "1 write reached the old side only: run `chatstore repair --chat` first" in done.err
    assert not verified.state().way_back_closed


@pytest.mark.parametrize("before", ["dualwrite", "live", "rampdown"])
def test_the_way_back_is_closed_only_when_everybody_is_at_complete(program, verified, flag_file, before):
    program("stage", "chat", before)
    done = program("stage", "chat", "complete", "--close-way-back", "--yes")
    assert done.status == 2
    assert "wait until all apps serve it" in done.err
    assert not verified.state().way_back_closed


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 2), ("", 2)])
def test_closing_the_way_back_is_asked_about(program, verified, flag_file, answer, status):
    program("stage", "chat", "complete")
    done = program("stage", "chat", "complete", "--close-way-back", "--json", answer=answer)
    assert (done.status, verified.state().way_back_closed) == (status, status == 0)
    assert json.loads(done.out.splitlines()[-1])  # typer's runner echoes the answer before
    assert "Close the way back for chat?" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--percent", 5),
        ("chat", "live", "--percent", 5, "--user", "u"),
        ("chat", "live", "--percent", 101),
        ("chat", "live", "--close-way-back"),
        ("chat", "complete", "--user", "u", "--close-way-back"),
        ("chat", "live", "--user", ""),
    ],
)
def test_wrong_use_is_refused(program, verified, flag_file, arguments):
    assert program("stage", *arguments).status == 2
    assert not flag_file.exists()
