"""A series as people hold it: dates, instants, months, years or text; and changes and baselines written many ways."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from flexkit.analyse import effects, rates
from flexkit.errors import SchemaError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = [30 + day % 5 for day in range(42)] + [15 + day % 5 for day in range(28)]
CHANGED = dt.date(2026, 2, 16)


def daily() -> pl.DataFrame:
    dates = pl.date_range(dt.date(2026, 1, 5), dt.date(2026, 3, 15), eager=True)
    return pl.DataFrame({"date": dates, "events": EVENTS, "exposure": 1000})


def yearly() -> pl.DataFrame:
    return pl.DataFrame({"date": range(1930, 2000), "events": EVENTS, "exposure": 1})


@pytest.mark.parametrize(
    "written",
    [
        pl.col("date").cast(pl.Datetime("ns")),
        pl.col("date").cast(pl.Datetime("ms", "UTC")),
        pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("America/New_York"),
        pl.col("date").cast(pl.String),
        pl.col("date").cast(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S"),
        pl.col("date").cast(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    ],
    ids=["nanoseconds", "UTC", "New York", "ISO dates", "ISO instants", "ISO instants in UTC"],
)
def test_dates_may_be_written_in_many_ways(written: pl.Expr) -> None:
    expected = effects.estimate(daily(), CHANGED)

    found = effects.estimate(daily().with_columns(written), CHANGED)

    assert (found["rr"], found["rr_high"]) == (expected["rr"], expected["rr_high"])


@pytest.mark.parametrize(
    "changed",
    [
        "2026-02-16",
        "2026-02-16T00:00:00Z",
        np.datetime64("2026-02-16"),
        np.datetime64("2026-02-16T00:00:00"),
        dt.datetime(2026, 2, 16, tzinfo=dt.UTC),
    ],
    ids=str,
)
def test_the_change_may_be_written_in_many_ways(changed: str | dt.datetime | np.datetime64) -> None:
    assert effects.estimate(daily(), changed)["rr"] == effects.estimate(daily(), CHANGED)["rr"]


@pytest.mark.parametrize("changed", [1972, np.int64(1972), 1972.0, "1972", "1972-01-01", dt.date(1972, 1, 1)], ids=repr)
@pytest.mark.parametrize("as_date", [False, True], ids=["numbers", "dates"])
def test_a_year_is_a_year_however_it_is_written(changed: int | str | dt.date, *, as_date: bool) -> None:
    series = yearly().with_columns(pl.date(pl.col("date"), 1, 1).alias("date")) if as_date else yearly()

    assert effects.estimate(series, changed)["events_before"] == sum(EVENTS[:42])


def test_months_may_be_written_without_a_day() -> None:
    months = pl.date_range(dt.date(2020, 1, 1), dt.date(2025, 10, 1), "1mo", eager=True)
    series = pl.DataFrame({"date": months.dt.strftime("%Y-%m"), "events": EVENTS, "exposure": 1000})

    assert rates.change_points(series)["date"].to_list() == [dt.date(2023, 7, 1)]


@pytest.mark.parametrize(
    "baseline",
    [
        42,
        np.int64(42),
        "is_base",
        pl.col("date") < CHANGED,
        [True] * 42 + [False] * 28,
        np.arange(70) < 42,
        pl.Series(np.arange(70) < 42),
    ],
    ids=["number", "numpy number", "name", "expression", "list", "array", "series"],
)
def test_a_baseline_may_be_given_in_many_ways(baseline: rates.control.Baseline) -> None:
    series = daily().with_columns(is_base=pl.col("date") < CHANGED)

    chart = rates.control_chart(series, kind="u", baseline=baseline)

    assert chart["centre"][0] == pytest.approx(sum(EVENTS[:42]) / 42_000)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: rates.control_chart(daily(), baseline=True), UsageError, "every row"),
        (lambda: rates.control_chart(daily(), baseline=40.0), UsageError, "every row"),  # type: ignore[arg-type]
        (lambda: effects.estimate(daily(), [CHANGED]), UsageError, "Give a date"),  # type: ignore[arg-type]
        (lambda: effects.estimate(daily(), 1972), UsageError, "the change is the number"),
        (lambda: rates.change_points(daily(), penalty=None), UsageError, "penalty None"),  # type: ignore[arg-type]
        (lambda: rates.change_points({"date": [1]}), SchemaError, "polars frame"),  # type: ignore[arg-type]
        (lambda: rates.interval("3", 9), UsageError, "needs numbers"),  # type: ignore[arg-type]
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    ask: Callable[[], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        ask()


def test_an_unknown_count_has_an_unknown_interval() -> None:
    assert all(np.isnan(rates.interval(None, 9)))  # type: ignore[arg-type]


def test_numpy_counts_give_plain_numbers() -> None:
    found = rates.difference_interval(np.int64(56), np.int64(70), np.int64(48), np.int64(80))

    assert all(type(limit) is float for limit in found)
