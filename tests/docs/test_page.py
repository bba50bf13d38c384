"""Pages are run as they say, and one that says something else than happens is found."""

import os
import time

import pytest

from tests.docs.page import PageError, blocks_of, run_page


@pytest.fixture
def run(folder):
    """A function that runs a page of this text."""

    def run(text, environment=None, **options):
        page = folder.parent / "a-page.md"
        page.write_text(text)
        return run_page(page, environment or {}, folder, **options)

    return run


def block(language, *lines):
    return "\n".join([f"```{language}", *lines, "```", ""])


def test_blocks_run_in_order_in_one_folder_with_the_files_that_the_page_shows(run, folder):
    page = block('python title="in/app.py"', "print('hello', __file__)")
    page += "\nRun it:\n\n" + block("bash", "cd in", "python app.py > ../said") + block("bash", "cat said")
    ran = run(page + "\nIt says\n\n" + block("text", "hello …app.py"))
    assert ran[0].output == ""
    assert sorted(str(each.relative_to(folder)) for each in folder.rglob("*.*")) == ["in/app.py"]
    assert {each.name for each in folder.parent.iterdir()} == {"reader", "a-page.md"}


def test_a_block_sees_its_environment_and_none_of_ours(run, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://of-whoever-runs-the-tests")
    monkeypatch.setenv("CHATSTORE_STAGE", "live")
    page = block("bash", 'echo "${REDIS_URL-none} ${CHATSTORE_STAGE-none}"')
    run(page + block("text", "redis://page none"), {"REDIS_URL": "redis://page"})


@pytest.mark.parametrize("failing", ["false", "false | cat", "echo $not_set", "false; true"])
def test_a_block_that_fails_is_told_with_what_it_printed(run, failing):
    with pytest.raises(PageError, match=r"(?s)a-page\.md, line 3: ended with status 1.*printed:\nbefore"):
        run("# A page\n\n" + block("bash", "echo before >&2", failing))


def test_a_block_that_takes_too_long_is_told_and_ended(run):
    begun = time.monotonic()
    with pytest.raises(PageError, match=r"(?s)took more than 0.5 s.*printed:\nbefore"):
        run(block("bash", "echo before", "sleep 60"), seconds=0.5)
    assert time.monotonic() - begun < 30


PRINTED = block("bash", "printf 'one\\ntwo 17 ms\\n\\nthree\\nfour\\n'")


@pytest.mark.parametrize(
    "lines",
    [
        ["one", "two 17 ms", "", "three", "four"],
        ["one", "two … ms", "", "three", "four"],
        ["…", "three", "…"],
        ["one", "…", "three", "four", "…"],
        ["…", "…o…", "…", "f…r"],
        ["…"],
    ],
)
def test_what_is_printed_as_the_page_says_is_taken(run, lines):
    run(PRINTED + "\n" + block("text", *lines))


@pytest.mark.parametrize(
    "lines",
    [
        ["one", "two 18 ms", "", "three", "four"],
        ["one", "two … s", "", "three", "four"],
        ["one"],
        ["…", "four", "three"],
        ["…", "one", "two… ms", "three", "four"],
        ["one", "…", "three"],
        ["o.e", "…"],
    ],
)
def test_what_is_printed_otherwise_is_told(run, lines):
    with pytest.raises(PageError, match=r"a-page\.md, line 5: something else was printed"):
        run(PRINTED + "\n" + block("text", *lines))


def test_text_that_follows_no_bash_is_an_illustration(run):
    assert run(block("text", "a drawing") + block("python", "1 / 0") + block("", "$ false")) == []


def test_what_is_not_run_is_left_alone_with_its_output_and_says_why(run, folder):
    mark = "<!-- not run: needs an account of the hosted service -->\n"
    page = mark + "\n" + block("bash", "exit 1") + block("text", "more") + mark + block('ini title="x"', "a")
    assert run(page) == []
    assert list(folder.iterdir()) == []
    assert [each.not_run is None for each in blocks_of(page)] == [False, True, False]
    with pytest.raises(PageError, match="say why"):
        run("<!-- not run: -->\n" + block("bash", "exit 1"))


def test_a_mark_is_for_the_next_block_only(run):
    with pytest.raises(PageError, match="ended with status 7"):
        run("<!-- not run: slow -->\nWords between.\n" + block("bash", "exit 7"))


def test_what_a_block_leaves_running_is_there_for_the_next_ones_and_gone_at_the_end(run):
    page = block("bash", "sleep 600 & echo $! > pid", "trap '' TERM; sleep 600 &", "echo on") + block("text", "on")
    page += block("bash", "kill -0 $(cat pid)", "cat pid")
    pid = int(run(page)[-1].output)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_file_outside_of_the_folder_is_refused(run):
    with pytest.raises(PageError, match="no file that a page can make"):
        run(block('python title="../elsewhere.py"', "1"))


def test_a_block_without_an_end_is_told(run):
    with pytest.raises(PageError, match="no end"):
        run("```bash\ntrue\n")


def test_a_block_in_a_list_and_one_with_fences_in_it(run):
    page = "1. Run\n\n   ```bash\n   cat <<'END'\n     in\n   END\n   ```\n\n   ```text\n     in\n   ```\n"
    page += "````text\n```bash\nexit 1\n```\n````\n"
    assert [each.output for each in run(page)] == ["  in\n"]


def test_a_reader_begins_with_servers_on_which_nothing_lies(run, environment):
    [ran] = run(block("bash", "chatstore inspect"), environment)
    assert ": 0 keys" in ran.output
