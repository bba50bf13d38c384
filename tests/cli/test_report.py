"""The page that `--report` writes."""

import asyncio
import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from chatstore.cli.report.kept import kept
from chatstore.cli.report.page import page
from chatstore.cli.report.places import hosts_of
from chatstore.cli.report.plots import plots
from chatstore.cli.report.record import Chapter, Record
from chatstore.cli.running import Stopped
from chatstore.errors import SchemaError
from chatstore.migration import History, ProgressEvent, Sample, Step
from chatstore.models import Kind, Quarantined
from tests.migration.doubles import legacy_document, legacy_session

HOSTILE = "<script>alert(1)</script>\u202e\x00\x1b[2J&\"'" + "k" * 5000
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Reads a page: its tags, its text, and whether every tag is closed where it should be."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.words, self.rows = set(), [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data + " ")
        if self.open[-1:] and self.open[-1] in {"td", "th", "bdi"} and self.rows and "tr" in self.open:
            self.rows[-1][-1] += data


@pytest.fixture
def filled(memory):
    asyncio.run(memory.chat.old.put([legacy_session("s1", "a", "b"), legacy_session("s2", "SECRET-TEXT")]))
    asyncio.run(memory.documents.old.put([legacy_document("d1")]))
    return memory


def read(program, name="r.html"):
    return Page((program.folder / name).read_text(encoding="utf-8"))


def test_a_migrate_leaves_a_page_that_says_what_was_done_and_with_what(program, filled):
    program.set(REDIS_URL="redis://user:hunter2@redis.example:6380/0", SUPABASE_SECRET_KEY="hunter2")
    done = program("migrate", "--report", "r.html", "--json")
    assert (done.status, set(done.json)) == (0, {"chat", "documents"})
    seen = read(program)
    assert "chatstore migrate Every record was taken." in seen.text
    assert "Copied 2 sessions and 3 messages" in seen.text
    assert "Copied 1 document" in seen.text
    assert "Redis redis.example:6380" in seen.text
    assert "Layout of chats hash" in seen.text
    assert [row[0] for row in seen.rows if row[0] in set(Step)][:2] == ["copy", "repair"]
    assert "hunter2" not in (program.folder / "r.html").read_text(encoding="utf-8")
    assert [path.name for path in program.folder.iterdir()] == ["r.html"]


def test_the_heading_of_a_page_names_the_limits_that_the_command_was_given(program, filled):
    program("migrate", "--chat", "--rate", 5000, "--max-latency", "20ms", "--between", "none", "--report", "r.html")
    assert "chatstore migrate --chat --rate 5000 --max-latency 20ms --between none Every record" in read(program).text


def test_a_page_asks_nothing_of_a_network_and_fits_a_phone_and_the_dark(program, filled):
    program("migrate", "--report", "r.html")
    seen, text = read(program), (program.folder / "r.html").read_text(encoding="utf-8")
    assert not seen.tags & {"script", "link", "img", "iframe", "object", "base"}
    assert not {name for name, _ in seen.attributes} & {"src", "href", "srcset", "onload", "style"}
    assert "url(" not in text
    assert "@import" not in text
    assert ("content", "width=device-width, initial-scale=1") in seen.attributes
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_differences_are_listed_by_key_and_field_without_the_content(program, filled):
    program("migrate", "--chat")
    edited = legacy_session("s1", "a", "b")
    other = replace(edited.messages[1], content="SECRET-TEXT", version=edited.session.version + 1)
    asyncio.run(filled.chat.new.put([replace(edited, messages=(other,))]))
    assert program("verify", "--chat", "--report", "r.html").status == 1
    seen = read(program)
    assert seen.text.startswith("chatstore verify")
    assert "1 difference" in seen.text
    [row] = [row for row in seen.rows if row[0] == "session/s1/message/m1"]
    assert row[1] == "content"
    assert row[3].startswith("11 characters, sha256 ")
    assert "SECRET-TEXT" not in (program.folder / "r.html").read_text(encoding="utf-8")


def test_hostile_keys_and_reasons_are_shown_and_cut_and_do_nothing(program, filled):
    bad = Quarantined(key=HOSTILE, reason=HOSTILE, raw=b"SECRET-RAW", size=10)
    asyncio.run(filled.runs[Kind.CHAT].quarantine([replace(bad, at=bad.at.replace(year=2999))]))
    program("migrate", "--chat", "--report", "r.html")
    seen, text = read(program), (program.folder / "r.html").read_text(encoding="utf-8")
    assert "script" not in seen.tags
    [row] = [row for row in seen.rows if row[0].startswith("<script>alert(1)</script>\\u202e\\x00\\x1b[2J&\"'k")]
    assert all(cell.endswith("characters)") for cell in row)
    assert not set(text) & {"\u202e", "\x00", "\x1b"}
    assert "k" * 300 not in text
    assert "SECRET-RAW" not in text


def test_a_long_quarantine_is_listed_in_part_and_counted(program, filled):
    many = [Quarantined(key=f"key-{number:04}", reason="bad", raw=b"", size=0) for number in range(450)]
    asyncio.run(filled.runs[Kind.CHAT].quarantine([replace(one, at=one.at.replace(year=2999)) for one in many]))
    program("migrate", "--chat", "--report", "r.html")
    seen = read(program)
    assert len([row for row in seen.rows if row[0].startswith("key-")]) == 200
    assert "… and 250 more." in seen.text


@pytest.mark.parametrize("name", ["missing/r.html", ".", "file/r.html"])
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_done(program, filled, name):
    (program.folder / "file").write_text("")
    done = program("migrate", "--report", name, "--json")
    assert (done.status, done.json["error"]["type"]) == (2, "ConfigurationError")
    assert "cannot be written" in done.err
    assert asyncio.run(filled.chat.new.count()).sessions == 0
    assert sorted(path.name for path in program.folder.iterdir()) == ["file"]


def test_a_run_that_fails_leaves_a_page_that_says_so(program, filled, monkeypatch):
    async def fails(*_args, **_fields):
        raise SchemaError("the <new> server has no schema: apply it")

    monkeypatch.setattr(type(filled.chat.new), "put", fails)
    done = program("migrate", "--chat", "--report", "r.html")
    assert done.status == 2
    seen = read(program)
    assert "the <new> server has no schema: apply it" in seen.text
    assert "Ended in copy" in seen.text


def test_an_error_before_the_run_leaves_the_page_of_an_earlier_one(program):
    (program.folder / "r.html").write_text("earlier")
    assert program("migrate", "--report", "r.html").status == 2
    assert (program.folder / "r.html").read_text() == "earlier"


def test_a_run_that_is_stopped_leaves_a_page_that_says_how_to_go_on(tmp_path):
    def work(record):
        record.chapters.append(Chapter(kind=Kind.CHAT, history=History()))
        raise Stopped("what was copied is kept, and the next run goes on there: chatstore migrate")

    with pytest.raises(Stopped), kept(tmp_path / "r.html", "chatstore migrate") as record:
        work(record)
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "It was stopped; what was copied is kept, and the next run goes on there: chatstore migrate" in text


def test_an_unexpected_error_is_named_without_what_it_says(tmp_path):
    def work(record):
        record.chapters.append(Chapter(kind=Kind.CHAT, history=History()))
        raise RuntimeError("the password is hunter2")

    with pytest.raises(RuntimeError), kept(tmp_path / "r.html", "chatstore migrate") as record:
        work(record)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "unexpected RuntimeError" in text
    assert "hunter2" not in text


def history(seconds, *, every=0.5, **changes):
    told = History()
    event = ProgressEvent(kind=Kind.CHAT, step=Step.COPY, done=0, total=None, rate=0.0, quarantined=0, **changes)
    for number in range(int(seconds / every) + 1):
        told(replace(event, done=number * 50, seconds=number * every))
    return told


@pytest.mark.parametrize("seconds", [0, 0.5, 3, 90, 4_000, 200_000])
def test_plots_of_any_length_have_axes_units_words_and_figures(seconds):
    told = history(seconds, every=max(0.5, seconds / 2_000), reading=2e-5, writing=3e-3)
    record = Record("chatstore migrate", wanted=True)
    record.chapters.append(Chapter(kind=Kind.CHAT, history=told))
    seen = Page(page(record))
    if seconds == 0:
        assert "svg" not in seen.tags
        return
    assert "Rate" in seen.text
    assert "records a second" in seen.text
    assert "ms a record, over the time of the run" in seen.text
    assert "source: 20 µs to 20 µs a record, 20 µs on average" in seen.text
    assert "Figures until" in seen.text
    assert any(name == "aria-label" for name, _ in seen.attributes)
    assert len(page(record)) < 40_000


def test_a_plot_shades_the_time_that_a_run_stood_still():
    stood = [sample(1, stood=0.0), sample(2, stood=0.5), sample(3, stood=0.0)]
    drawn = plots(stood)
    assert drawn.count('class="stood"') == 2  # in each of both plots
    assert "shaded: 0.5 s of waiting or pause" in drawn


def test_a_plot_of_what_never_moved_is_a_line_at_the_bottom():
    assert "nan" not in plots([sample(1, records=0), sample(2, records=0)])


def sample(at, *, records=10, stood=0.0):
    return Sample(
        at=float(at),
        seconds=1.0,
        records=records,
        stood=stood,
        at_once=0.0,
        reading=None,
        writing=None,
        source_latency=None,
        target_latency=None,
    )


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("redis://user:pw@h:1/0", "h:1"),
        ("redis+cluster://:pw@a:1,b:2/0?x=pw", "a:1,b:2"),
        ("https://x.supabase.co", "x.supabase.co"),
        ("postgresql://u:p%40w@[::1]:5432/db", "[::1]:5432"),
        ("redis://user:1/pw@h:1", "not shown"),
        ("redis://user:1#pw@h:1", "not shown"),
        ("redis://user:<pw>", "not shown"),
        ("unix:///run/pw.sock?password=pw", "a socket of this machine"),
    ],
)
def test_of_a_url_only_its_hosts_are_shown(url, hosts):
    assert hosts_of(url) == hosts


def test_without_the_option_nothing_is_written_or_asked(program, filled, monkeypatch):
    monkeypatch.setattr(type(filled.runs[Kind.CHAT]), "quarantined", None)
    monkeypatch.setattr(type(filled.runs[Kind.CHAT]), "count_quarantined", None)
    assert program("verify", "--chat").status in {0, 2}
    assert list(program.folder.iterdir()) == []


def test_the_answer_in_json_is_the_only_thing_on_stdout(program, filled):
    program("migrate")
    done = program("verify", "--json", "--report", "r.html")
    assert json.loads(done.out)["chat"]["equal"] is True
    assert "report: r.html" in done.err
