"""Which instants of which source are held: the absence of a signal counts only where its source is covered."""

from __future__ import annotations

import polars as pl

from flexkit.terms import CoverageState

FAR_US = 60 * 1_000_000
"""Windows that are this close together are one: nothing happens between two slices of one read."""


def spans(coverage: pl.DataFrame) -> pl.DataFrame:
    """The complete windows of each source in *coverage*, joined where they overlap or touch."""
    windows = (
        coverage.filter(pl.col("state") == CoverageState.COMPLETE)
        .select(
            "source",
            start_us=pl.col("start").dt.timestamp("us"),
            end_us=pl.col("end").dt.timestamp("us"),
        )
        .drop_nulls()
        .sort("source", "start_us")
    )
    reached = pl.col("end_us").cum_max().over("source").shift(1).over("source")
    is_new = (pl.col("start_us") > reached + FAR_US).fill_null(value=True)
    return (
        windows.with_columns(span=is_new.cast(pl.Int64).cum_sum().over("source"))
        .group_by("source", "span")
        .agg(pl.col("start_us").min(), pl.col("end_us").max())
        .drop("span")
        .sort("source", "start_us")
    )


def covers(held: pl.DataFrame, source: str, moments: pl.DataFrame) -> pl.Series:
    """Whether one span of *source* in *held* (see `spans`) reaches from ``from_us`` to ``to_us`` of each moment."""
    own = held.filter(pl.col("source") == source).sort("start_us")
    found = (
        moments.select("from_us", "to_us")
        .with_row_index("moment")
        .sort("from_us", nulls_last=True)
        .join_asof(own.select("start_us", "end_us"), left_on="from_us", right_on="start_us", strategy="backward")
        .sort("moment")
    )
    return found.select((pl.col("end_us") >= pl.col("to_us")).fill_null(value=False).alias(source)).to_series()


def shortfalls(coverage: pl.DataFrame, source: str, moments: pl.DataFrame) -> pl.DataFrame:
    """For each moment whether a window of *source* that holds ``to_us`` is ``saturated``, ``expired``, ``partial``."""
    own = coverage.filter(pl.col("source") == source).select(
        "state", start_us=pl.col("start").dt.timestamp("us"), end_us=pl.col("end").dt.timestamp("us")
    )
    found = moments.select("to_us").with_row_index("moment")
    for state in (CoverageState.SATURATED, CoverageState.EXPIRED, CoverageState.PARTIAL):
        hit = (
            found.join_where(
                own.filter(pl.col("state") == state),
                pl.col("to_us") >= pl.col("start_us"),
                pl.col("to_us") < pl.col("end_us"),
            )
            .select("moment")
            .unique()
            .with_columns(pl.lit(value=True).alias(state))
        )
        found = found.join(hit, on="moment", how="left", maintain_order="left")
    return found.drop("moment", "to_us").with_columns(pl.all().fill_null(value=False))
