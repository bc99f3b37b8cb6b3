"""Windows: half-open, in UTC, and how people write them."""

from __future__ import annotations

import datetime as dt

import pytest

from flexkit.errors import UsageError
from flexkit.window import Window, parse_instant

NOW = dt.datetime(2026, 10, 14, 9, tzinfo=dt.UTC)


def test_a_window_is_half_open() -> None:
    window = Window(NOW, NOW + dt.timedelta(days=1))

    assert NOW in window
    assert window.end not in window
    assert window.days == 1


def test_a_window_in_another_zone_is_kept_in_utc() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))

    window = Window(NOW.astimezone(zone), NOW.astimezone(zone) + dt.timedelta(hours=1))

    assert window.start.utcoffset() == dt.timedelta(0)
    assert str(window) == "2026-10-14T09:00:00Z to 2026-10-14T10:00:00Z"


def test_a_reversed_or_naive_window_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="Swap 'since' and 'until'"):
        Window(NOW, NOW)
    with pytest.raises(UsageError, match="no time zone"):
        Window(NOW.replace(tzinfo=None), NOW)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-10-14", dt.datetime(2026, 10, 14, tzinfo=dt.UTC)),
        ("2026-10-14T11:00:00+02:00", NOW),
        ("2026-10-14T09:00:00Z", NOW),
        ("7d", NOW - dt.timedelta(days=7)),
        ("24h", NOW - dt.timedelta(days=1)),
    ],
)
def test_people_write_instants_dates_and_spans(text: str, instant: dt.datetime) -> None:
    assert parse_instant(text, now=NOW) == instant


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "7y", "", "2026-10-14T09:00:00", "999999999d"])
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a time|no time zone"):
        parse_instant(text, now=NOW)


def test_a_span_that_reaches_before_the_calendar_is_refused() -> None:
    with pytest.raises(UsageError, match="too long"):
        parse_instant("999999w", now=NOW)
