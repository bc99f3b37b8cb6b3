"""Spans to read: what is open, in slices that follow the density, halved down to one second."""

from __future__ import annotations

import datetime as dt

from hypothesis import given, settings
from hypothesis import strategies as st

from flexkit.collect.fetch.windows import Slices, halves, joined, missing, whole_seconds
from flexkit.window import Window

MIDNIGHT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def at(seconds: float) -> dt.datetime:
    return MIDNIGHT + dt.timedelta(seconds=seconds)


def span(start: float, end: float) -> Window:
    return Window(at(start), at(end))


def seconds(windows: list[Window]) -> set[int]:
    return {
        int((window.start - MIDNIGHT).total_seconds()) + step
        for window in windows
        for step in range(round(window.seconds))
    }


def test_what_is_held_is_not_missing() -> None:
    assert missing(span(0, 100), [span(10, 20), span(15, 30), span(90, 200)]) == [span(0, 10), span(30, 90)]
    assert missing(span(0, 100), [span(-5, 105)]) == []
    assert missing(span(0, 100), []) == [span(0, 100)]
    assert missing(span(0, 100), [span(-10, 0), span(100, 110)]) == [span(0, 100)]


spans = st.lists(
    st.tuples(st.integers(-20, 80), st.integers(1, 40)).map(lambda pair: span(pair[0], sum(pair))), max_size=8
)


@settings(deadline=None)
@given(held=spans)
def test_missing_and_held_make_the_whole_and_never_overlap(held: list[Window]) -> None:
    open_ = missing(span(0, 60), held)

    assert seconds(open_) == set(range(60)) - seconds(held)
    assert joined(open_) == open_


def test_halves_share_no_second_and_end_at_one() -> None:
    assert halves(span(0, 7)) == (span(0, 3), span(3, 7))
    assert halves(span(0, 2)) == (span(0, 1), span(1, 2))
    assert halves(span(5, 6)) is None


def test_windows_are_widened_to_whole_seconds() -> None:
    assert whole_seconds(span(1.5, 2.25)) == span(1, 3)
    assert whole_seconds(span(1, 2)) == span(1, 2)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=200))
def test_every_second_is_handed_out_exactly_once_whatever_is_found(found: list[int]) -> None:
    slices = Slices([span(0, 4_000), span(5_000, 5_001)])
    settled: list[Window] = []
    for rows in [*found, *([0] * 6_000)]:
        window = slices.take()
        if window is None:
            break
        if rows > 1000 and slices.split(window):
            continue
        settled.append(window)
        slices.settle(window, rows)

    assert sum(round(window.seconds) for window in settled) == 4_001
    assert seconds(settled) == {*range(4_000), 5_000}


def test_the_oldest_is_read_first_and_slices_widen_where_little_happens() -> None:
    slices = Slices([span(0, 40 * 86_400)])
    widths = []
    while (window := slices.take()) is not None:
        widths.append(window.seconds)
        slices.settle(window, 0)

    assert widths[:5] == [3600, 4 * 3600, 16 * 3600, 64 * 3600, 7 * 86_400]
    assert max(widths) == 7 * 86_400
    assert len(widths) < 50


def test_slices_narrow_to_fit_a_page() -> None:
    slices = Slices([span(0, 86_400)])
    first = slices.take()
    assert first is not None
    slices.settle(first, 900)

    second = slices.take()

    assert second is not None
    assert 2300 < second.seconds < 2500


def test_what_was_not_handed_out_can_be_taken_away() -> None:
    slices = Slices([span(0, 10_000)])
    first = slices.take()
    assert first is not None
    slices.split(first)

    assert slices.rest() == [span(0, 10_000)]
    assert slices.take() is None
