"""What an operator limits a run to, read and written as text."""

from datetime import UTC, datetime, time

import pytest

from chatstore.errors import ConfigurationError
from chatstore.migration.limits import Limits, Window, parse_at_once, parse_latency, parse_rate


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


LIMITS = [
    Limits(),
    Limits(paused=True),
    Limits(rate=0.5),
    Limits(
        rate=500,
        source_latency=0.02,
        target_latency=1.5,
        window=Window(time(22), time(6, 30), "Europe/Berlin"),
        at_once=3,
        paused=True,
    ),
]


@pytest.mark.parametrize("limits", LIMITS)
def test_limits_come_back_from_their_text(limits: Limits) -> None:
    assert Limits.decode(limits.encode()) == limits


def test_no_limits_need_no_text() -> None:
    assert Limits().encode() is None
    assert Limits.decode(None).none


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{", '{"rate": 0}', '{"rate": "fast"}', '{"speed": 1}', '{"window": "noon"}', '"x"']
)
def test_a_text_that_holds_no_limits_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(ConfigurationError, match="chatstore limits --none"):
        Limits.decode(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("22:00-06:00", Window(time(22), time(6))),
        (" 9:05 - 17:30 ", Window(time(9, 5), time(17, 30))),
        ("22:00-06:00 utc", Window(time(22), time(6), "utc")),
        ("22:00-06:00 America/New_York", Window(time(22), time(6), "America/New_York")),
    ],
)
def test_a_window_is_two_times_and_perhaps_a_zone(text: str, meant: Window) -> None:
    assert Window.parse(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("25:00-06:00", "00:00 to 23:59"),
        ("22:60-06:00", "00:00 to 23:59"),
        ("22:00-22:00", "begins when it ends"),
        ("22-6", "as in 22:00-06:00"),
        ("22:00", "as in 22:00-06:00"),
        ("", "as in 22:00-06:00"),
        ("22:00-06:00 Atlantis/City", "knows no time zone"),
        ("22:00-06:00 ../../etc/passwd", "knows no time zone"),
    ],
)
def test_what_is_no_window_is_refused_with_an_example(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Window.parse(text)


def test_a_window_holds_from_its_beginning_until_just_before_its_end() -> None:
    window = Window.parse("09:00-17:00")
    assert [window.holds(at(f"2026-11-24T{clock}")) for clock in ("08:59", "09:00", "16:59", "17:00")] == [
        False, True, True, False,
    ]  # fmt: skip


def test_a_window_may_go_over_midnight() -> None:
    window = Window.parse("22:00-06:00")
    assert [window.holds(at(f"2026-11-24T{clock}")) for clock in ("21:59", "22:00", "00:00", "05:59", "06:00")] == [
        False, True, True, True, False,
    ]  # fmt: skip


def test_a_window_in_a_zone_follows_its_summer_time() -> None:
    window = Window.parse("22:00-06:00 Europe/Berlin")
    assert window.holds(at("2026-07-01T20:30"))
    assert not window.holds(at("2026-12-01T20:30"))
    assert window.holds(datetime(2026, 12, 1, 21, 30, tzinfo=UTC))


@pytest.mark.parametrize("text", ["0", "-1", "fast", "nan", "inf", "1e400", ""])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="records a second"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["0ms", "20", "-5ms", "20 minutes", ""])
def test_what_is_no_latency_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="as in 20ms"):
        parse_latency(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "²", "", "1001", "9" * 5000])
def test_what_is_no_number_of_batches_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="from 1 to 1,000"):
        parse_at_once(text)


def test_texts_mean_what_people_mean() -> None:
    assert (parse_rate("500"), parse_latency("20ms"), parse_latency("1.5 s"), parse_at_once("4")) == (500, 0.02, 1.5, 4)


def test_limits_are_said_in_a_phrase_each() -> None:
    assert LIMITS[-1].described() == [
        "paused",
        "500 records a second",
        "while the source answers within 20 ms",
        "while the target answers within 1.5 s",
        "between 22:00-06:30 Europe/Berlin",
        "3 at once",
    ]
