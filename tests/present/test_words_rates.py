"""Sentences about rates: every number with its counts, zero with its bound, no verdict without data."""

from __future__ import annotations

import datetime as dt
import math

import polars as pl
import pytest

from flexkit.analyse import rates
from flexkit.present import charts, words
from flexkit.present.words.said import days_of
from flexkit.terms import Verdict
from flexkit.window import Window

WINDOW = Window(dt.datetime(2026, 9, 24, tzinfo=dt.UTC), dt.datetime(2026, 10, 22, tzinfo=dt.UTC))
DAYS = [dt.date(2026, 9, 24) + dt.timedelta(days=number) for number in range(28)]


def counted(events: int, exposure: int, *, estimand: str = "dup_share") -> rates.Rate:
    """The rate of *events* a day in *exposure* a day over four weeks."""
    frame = pl.DataFrame({"date": DAYS, "events": [events] * 28, "exposure": [float(exposure)] * 28}).with_columns(
        estimand=pl.lit(estimand), warnings=pl.col("events")
    )
    return rates.overall(frame)


def test_no_completed_interaction_is_no_rate() -> None:
    answer = words.rate(counted(0, 0), window=WINDOW)

    assert answer.verdict == Verdict.UNDECIDED
    assert answer.headline.startswith("Cannot tell: no completed interaction")
    assert answer.metrics["dup_share"] is None or math.isnan(answer.metrics["dup_share"])


def test_alerts_alone_give_counts_and_never_a_rate() -> None:
    answer = words.rate(counted(2, 24, estimand="count"), window=WINDOW)

    assert answer.verdict == Verdict.UNDECIDED
    assert "56 interactions with a warning" in answer.headline
    assert "%" not in answer.headline
    assert answer.metrics["dup_share"] is None


def test_zero_is_an_upper_bound() -> None:
    answer = words.rate(counted(0, 100), window=WINDOW)

    assert answer.verdict == Verdict.OK
    assert answer.headline.startswith("No duplicate in 2,800 completed interactions: at most ")
    assert answer.tiles[0].text.startswith("≤ ")


def test_a_rate_comes_with_both_counts_and_its_interval() -> None:
    answer = words.rate(counted(2, 100), window=WINDOW)

    assert answer.headline.startswith("2.00 % were completed twice: 56 of 2,800 completed interactions (95 % interval ")
    assert answer.metrics["duplicate_interactions"] == 56
    assert answer.metrics["completed_interactions"] == 2800


@pytest.mark.parametrize(("threshold", "verdict"), [(0.01, Verdict.BREACH), (0.02, Verdict.OK), (1.0, Verdict.OK)])
def test_the_counted_share_decides_against_the_threshold(threshold: float, verdict: Verdict) -> None:
    assert words.rate(counted(2, 100), window=WINDOW, fail_above=threshold).verdict == verdict


def test_a_breach_within_the_interval_says_so() -> None:
    assert "interval reaches below" in words.rate(counted(2, 100), window=WINDOW, fail_above=0.019).action


def test_a_share_below_a_threshold_that_its_interval_exceeds_says_so() -> None:
    assert "interval reaches above" in words.rate(counted(2, 100), window=WINDOW, fail_above=0.021).action
    assert words.rate(counted(2, 100), window=WINDOW, fail_above=0.5).action == "Not above the threshold of 50.0 %."


def stable(level: list[int]) -> words.Said:
    frame = pl.DataFrame(
        {"date": [dt.date(2026, 8, 1) + dt.timedelta(days=n) for n in range(len(level))], "events": level,
         "exposure": [500.0] * len(level)}
    )  # fmt: skip
    table = rates.rates_table(frame)
    return words.rate_over_time(rates.stability(table), window=WINDOW)


def test_a_steady_rate_is_called_stable_with_its_level() -> None:
    assert stable([9, 11, 10, 12, 8, 10, 9] * 8).title == "Stable at 1.97 %"


def test_a_step_is_dated_with_both_levels() -> None:
    said = stable([20, 22, 21, 19, 20, 18, 21] * 5 + [9, 8, 10, 9, 8, 9, 10] * 5)

    assert said.title.startswith("The share fell from 4.0")
    assert "on 5 September" in said.title
    assert "95 %:" in said.caption


def test_too_few_days_are_neither_stable_nor_not() -> None:
    assert stable([3, 2, 4]).title.startswith("Too few days")


def units(*rows: tuple[str, float, float, float, int, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["unit", "rate", "lo", "hi", "events", "exposure"], orient="row")


def test_a_unit_is_named_only_where_its_interval_stands_apart() -> None:
    apart = words.breakdown(
        units(("web", 0.03, 0.025, 0.035, 30, 1000), ("sms", 0.01, 0.005, 0.02, 5, 500)),
        what="channel type",
        window=WINDOW,
    )
    near = words.breakdown(
        units(("web", 0.03, 0.01, 0.05, 3, 100), ("sms", 0.02, 0.005, 0.04, 2, 100)), what="channel type", window=WINDOW
    )
    alone = words.breakdown(units(("web", 0.03, 0.01, 0.05, 3, 100)), what="channel type", window=WINDOW)

    assert apart.title == "web is completed twice most often: 3.00 %"
    assert near.title == "No channel type stands clearly apart"
    assert alone.title.startswith("Only one channel type")


def test_days_are_those_of_the_zone() -> None:
    assert days_of(WINDOW, "UTC") == "24 Sep to 21 Oct 2026 (UTC)"
    assert days_of(WINDOW, "Asia/Tokyo") == "24 Sep to 22 Oct 2026 (Asia/Tokyo)"


def test_empty_frames_have_words_too() -> None:
    nothing = pl.DataFrame(schema={"date": pl.Datetime("us", "UTC"), "value": pl.Float64})

    assert words.days_between(nothing, window=WINDOW).title.startswith("Fewer than three")
    cells = pl.DataFrame({"weekday": [1], "hour": [0], "events": [0], "exposure": [0], "rate": [None], "lo": [0.0],
                          "is_sparse": [True]})  # fmt: skip
    assert words.heatmap(cells, window=WINDOW).title == "Too few interactions to compare hours"
    assert words.funnel(units().with_columns(is_outlier=pl.lit(value=False)), what="queue", window=WINDOW).title


def counts_per_day(events: int, *, estimand: str, completed: float = 24.0) -> pl.DataFrame:
    """The rates table of four weeks with *events* a day."""
    frame = pl.DataFrame({"date": DAYS, "events": [events] * 28, "exposure": [completed] * 28})
    return rates.rates_table(frame.with_columns(estimand=pl.lit(estimand), warnings=pl.col("events")))


def test_where_nothing_is_held_no_line_at_zero_is_drawn() -> None:
    table = counts_per_day(0, estimand="count")

    assert rates.as_chart(table).is_empty()
    assert words.rate_over_time(rates.stability(table), window=WINDOW).title == "No warning is held"


def test_warnings_without_a_denominator_are_counts_per_day_and_never_percent() -> None:
    table = counts_per_day(6, estimand="count")

    said = words.rate_over_time(rates.stability(table), window=WINDOW)
    drawn = charts.rate_over_time(rates.as_chart(table), title=said.title, subtitle=said.subtitle)

    assert rates.as_chart(table)["value"].to_list() == pytest.approx([6.0] * 28)
    assert "from 6 a day" in said.title
    assert said.subtitle.startswith("Interactions with a warning per day")
    assert "Interactions with a warning" in drawn.to_json()
    assert "Completed" not in said.title + said.caption
    assert "%" not in said.title + said.caption.partition("(p")[0]


def test_no_duplicate_on_days_with_completions_is_said_with_the_days() -> None:
    table = counts_per_day(0, estimand="dup_share", completed=100.0)

    assert words.rate_over_time(rates.stability(table), window=WINDOW).title == "No duplicate on 28 days"


def test_without_a_denominator_no_unit_has_a_share() -> None:
    counts = pl.DataFrame({"date": DAYS, "events": [6] * 28, "exposure": [24.0] * 28}).with_columns(
        estimand=pl.lit("count"), warnings=pl.col("events"), channel_type=pl.lit(None, dtype=pl.String)
    )
    alone, sized = rates.by_unit(counts, "channel_type"), rates.funnel(counts, "channel_type")

    said = [words.breakdown(alone, what="channel type", window=WINDOW), words.funnel(sized, what="x", window=WINDOW)]
    drawn = [charts.breakdown(alone, title="", subtitle=""), charts.funnel(sized, title="", subtitle="", overall=0.25)]

    assert {one.title for one in said} == {"Cannot tell: no completed interactions are held"}
    assert all("no share to draw" in chart.to_json() for chart in drawn)
    assert rates.as_rows(alone).to_dicts() == [{"unit": "unknown", "warned": 168.0}]
    assert rates.as_rows(sized).columns == ["unit", "warned"]


def test_a_page_lists_days_with_counts_and_shares() -> None:
    listed = ["bucket_start", "events", "exposure", "rate", "lo", "hi", "limit_lo", "limit_hi", "signal"]

    assert rates.as_rows(counts_per_day(2, estimand="dup_share", completed=100.0)).columns == listed
    assert rates.as_rows(counts_per_day(6, estimand="count")).columns == ["bucket_start", "warned", "signal"]


def test_a_change_of_level_is_near_a_fix_by_its_title() -> None:
    days = pl.DataFrame({"date": DAYS, "events": [9] * 14 + [0, 1] * 7, "exposure": [100.0] * 28})
    counts = days.with_columns(estimand=pl.lit("dup_share"), warnings=pl.col("events"))
    fixes = pl.DataFrame(
        {"fix_id": ["guard"], "title": ["Check first"], "deployed_at": [dt.datetime(2026, 10, 7, 9, tzinfo=dt.UTC)]}
    )

    said = words.rate_over_time(rates.stability(rates.rates_table(counts, fixes=fixes), fixes=fixes), window=WINDOW)

    assert "near the fix “Check first”" in said.caption
    assert "guard" not in said.caption
