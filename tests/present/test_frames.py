"""Frames for charts: what a large contact centre has thousands of still fits a chart, and nothing is lost silently."""

from __future__ import annotations

import datetime as dt

import polars as pl

from flexkit.present import charts, frames, words
from flexkit.window import Window

START = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
WINDOW = Window(START, START + dt.timedelta(days=20))


def test_of_thousands_of_gaps_the_longest_of_each_day_is_drawn_and_the_caption_says_so() -> None:
    gaps = pl.DataFrame({"date": [START + dt.timedelta(minutes=5 * number) for number in range(5760)]}).with_columns(
        value=pl.int_range(pl.len()) % 288 / 100, centre=pl.lit(1.0), upper=pl.lit(4.0), is_signal=pl.lit(value=False)
    )

    shown = frames.longest_gaps(gaps)

    assert shown.height == 20
    assert shown["value"].to_list() == [2.87] * 20
    assert charts.days_between(shown, title="t", subtitle="s").to_dict()
    assert "Of 5,760 gaps the longest of each day" in words.days_between(gaps, window=WINDOW).caption
    assert frames.longest_gaps(gaps.head(400)).equals(gaps.head(400))


def test_rare_pairs_of_handlers_are_counted_together() -> None:
    counts = pl.DataFrame(
        {
            "first_handler": ["close-fn", *(f"run-{number}" for number in range(6000))],
            "second_handler": ["close-fn", *(f"run-{number}" for number in range(6000))],
            "cause": ["undetermined"] * 6001,
            "count": [9, *([1] * 6000)],
        }
    )

    pairs = frames.pairs(counts)

    assert pairs["count"].sum() == 6009
    assert pairs.height == 16
    assert pairs.filter(handlers="close-fn, twice")["count"].item() == 9
    assert pairs.filter(pl.col("handlers") == "5986 other pairs")["count"].item() == 5986
    assert charts.by_handler(pairs, title="t", subtitle="s").to_dict()


def test_the_largest_units_and_all_outliers_are_shown() -> None:
    units = pl.DataFrame(
        {
            "unit": [f"run-{number}" for number in range(6000)],
            "exposure": range(6000),
            "is_outlier": [number == 3 for number in range(6000)],
        }
    )

    shown = frames.largest_units(units)

    assert shown.height == 400
    assert shown["unit"][0] == "run-5999"
    assert "run-3" in shown["unit"]


def test_a_measure_without_a_ratio_cannot_be_told() -> None:
    balancing = [
        {"measure": "left_open", "rr": float("nan"), "lo": 0.0, "hi": float("nan"), "is_worse": False},
        {"measure": "recontact", "rr": 2.0, "lo": 1.5, "hi": 2.5, "is_worse": True},
    ]

    listed = frames.balances(pl.DataFrame({"title": ["Check"], "balancing": [balancing]}))

    assert listed["is_worse"].to_list() == ["cannot tell: too few of them", "yes"]
