"""When and how often within an interaction: hours of the week, cohorts, warnings per interaction, time between."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from flexkit.analyse.rates.calendar import check_zone
from flexkit.analyse.rates.control import control_chart
from flexkit.analyse.rates.intervals import bounds

FEW = 30
"""Cells with fewer completed interactions than this are too thin to colour."""


def hour_week(
    completions: pl.DataFrame | pl.LazyFrame, duplicates: pl.DataFrame | pl.LazyFrame, *, tz: str = "UTC"
) -> pl.DataFrame:
    """Share with a duplicate by local weekday (1 Monday to 7) and hour of the first completion, all 168 cells.

    Columns: weekday, hour, events, exposure, rate, lo, hi (descriptive), is_sparse (fewer than 30 completed). The
    hour that a change of the clocks repeats is merged with its twin, the one that it skips has fewer interactions.
    """
    check_zone(tz)
    local = pl.col("first_closed_at").dt.convert_time_zone(tz)
    twice = duplicates.lazy().select("interaction_sid").unique().with_columns(has_duplicate=pl.lit(1))
    cells = (
        completions.lazy()
        .select("interaction_sid", weekday=local.dt.weekday(), hour=local.dt.hour())
        .unique("interaction_sid", keep="any")
        .join(twice, on="interaction_sid", how="left")
        .group_by("weekday", "hour")
        .agg(events=pl.col("has_duplicate").sum(), exposure=pl.len())
        .collect()
    )
    grid = pl.DataFrame({"weekday": pl.Series(range(1, 8), dtype=pl.Int8)}).join(
        pl.DataFrame({"hour": pl.Series(range(24), dtype=pl.Int8)}), how="cross"
    )
    filled = grid.join(cells, on=["weekday", "hour"], how="left").with_columns(
        pl.col("events", "exposure").fill_null(0).cast(pl.Int64)
    )
    low, high = bounds(filled["events"].to_numpy().astype(float), filled["exposure"].to_numpy().astype(float))
    return filled.with_columns(
        rate=pl.when(pl.col("exposure") > 0).then(pl.col("events") / pl.col("exposure")),
        lo=pl.Series(low),
        hi=pl.Series(high),
        is_sparse=pl.col("exposure") < FEW,
    ).sort("weekday", "hour")


def cohorts(
    completions: pl.DataFrame | pl.LazyFrame,
    duplicates: pl.DataFrame | pl.LazyFrame,
    *,
    tz: str = "UTC",
    now: dt.datetime,
) -> pl.DataFrame:
    """Share with a duplicate by the day of the first completion: date, events, exposure, is_mature.

    A cohort is mature when it is older than the 95th percentile of the gap from first to second completion:
    until then later duplicates are still to come.
    """
    check_zone(tz)
    twice = duplicates.lazy().group_by("interaction_sid").agg(second_at=pl.col("second_at").min())
    joined = completions.lazy().select("interaction_sid", "first_closed_at").unique("interaction_sid", keep="any")
    joined = joined.join(twice, on="interaction_sid", how="left")
    gap = (pl.col("second_at") - pl.col("first_closed_at")).dt.total_seconds()
    reach = joined.select(gap.quantile(0.95)).collect().item() or 0.0
    day = pl.col("first_closed_at").dt.convert_time_zone(tz).dt.date()
    mature_before = (now - dt.timedelta(seconds=max(float(reach), 0.0))).astimezone(check_zone(tz)).date()
    return (
        joined.group_by(date=day)
        .agg(events=pl.col("second_at").is_not_null().sum(), exposure=pl.len())
        .with_columns(is_mature=pl.col("date") < mature_before)
        .sort("date")
        .collect()
    )


@dataclass(frozen=True, slots=True)
class Multiplicity:
    """Warnings per affected interaction: mean with a bootstrap interval, and the 95th percentile."""

    interactions: int
    mean: float
    lo: float
    hi: float
    p95: float


def multiplicity(
    duplicates: pl.DataFrame | pl.LazyFrame, *, level: float = 0.95, draws: int = 2000, seed: int = 80906
) -> Multiplicity:
    """Warnings per affected interaction; interactions, not warnings, are drawn again."""
    per = (
        duplicates.lazy()
        .group_by("interaction_sid")
        .agg(warnings=pl.col("alert_sids").list.len().fill_null(0).sum())
        .filter(pl.col("warnings") > 0)
        .collect()["warnings"]
        .to_numpy()
        .astype(np.float64)
    )
    if not len(per):
        return Multiplicity(0, float("nan"), float("nan"), float("nan"), float("nan"))
    values, seen = np.unique(per, return_counts=True)
    # Drawing how often each number of warnings occurs is the same as drawing interactions, at any size.
    drawn = np.random.default_rng(seed).multinomial(len(per), seen / len(per), draws) @ values / len(per)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Multiplicity(len(per), float(per.mean()), float(low), float(high), float(np.quantile(per, 0.95)))


def time_between(duplicates: pl.DataFrame | pl.LazyFrame, *, unit: dt.timedelta = dt.timedelta(days=1)) -> pl.DataFrame:
    """A t chart of the time from one affected interaction to the next (Nelson's transformation).

    Columns as in `control_chart`, and `date` is the instant of the later one. Duplicates at one instant are one.
    For telling a story about rare events; for alarms see `cusum`.
    """
    instants = (
        duplicates.lazy()
        .group_by("interaction_sid")
        .agg(date=pl.col("second_at").min())
        .select(pl.col("date").unique().sort())
        .collect()["date"]
    )
    if len(instants) < 3:
        return pl.DataFrame(
            schema={"date": pl.Datetime("us", "UTC"), "value": pl.Float64, "centre": pl.Float64, "lower": pl.Float64,
                    "upper": pl.Float64, "is_signal": pl.Boolean, "sigma_z": pl.Float64}
        )  # fmt: skip
    gaps = (instants.diff().slice(1).dt.total_microseconds() / (unit / dt.timedelta(microseconds=1))).alias("events")
    numbered = pl.DataFrame({"date": range(len(gaps)), "events": gaps})
    chart = control_chart(numbered, kind="t")
    return chart.with_columns(instants.slice(1).alias("date"))
