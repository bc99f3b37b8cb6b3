"""How far what is held can be trusted: how much of each source, where it falls short, how late it comes, rejects."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import polars as pl

from flexkit.analyse.coverage import spans
from flexkit.tables.schema import INSTANT
from flexkit.terms import CoverageState

if TYPE_CHECKING:
    from pathlib import Path

    from flexkit.window import Window


class Held(Protocol):
    """What a status is made of: anything that gives stored tables by name."""

    path: Path

    @property
    def version(self) -> str: ...
    def table(self, name: str, window: Window | None = None) -> pl.LazyFrame: ...
    def coverage(self) -> pl.LazyFrame: ...
    def handlers(self) -> pl.DataFrame: ...


@dataclass(frozen=True, slots=True)
class Trust:
    """How far what is held can be trusted, as frames: what every page tells at its end."""

    sources: pl.DataFrame
    """source, signals, first_at, last_at, held_days, gap_days, age_hours."""
    shortfalls: pl.DataFrame
    """source, state, reason, windows: why windows are not complete, and how many."""
    lateness: pl.DataFrame
    """what, median_seconds, p95_seconds, count: how late evidence is written down or received."""
    rejects: pl.DataFrame
    """reason, count."""


def trust(store: Held, *, now: dt.datetime | None = None) -> Trust:
    """How far *store* can be trusted; ages count from *now* (default: the clock)."""
    signals, coverage = store.table("signals"), store.coverage().collect()
    held = spans(coverage)
    return Trust(
        sources=sources(kinds(signals).collect(), held, holes(held), moment(now)),
        shortfalls=shortfalls(coverage),
        lateness=lateness(store.table("alerts"), signals),
        rejects=rejects(store.table("rejects")),
    )


def moment(now: dt.datetime | None) -> dt.datetime:
    """*now* in UTC; without one, the clock's."""
    return (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)


def holes(held: pl.DataFrame) -> pl.DataFrame:
    """The spans between the complete spans *held* of each source (`flexkit.analyse.coverage.spans`)."""
    before = pl.col("end_us").shift(1).over("source", order_by="start_us")
    return (
        held.with_columns(start=before, end=pl.col("start_us"))
        .filter(pl.col("end") > pl.col("start"))
        .select("source", pl.col("start", "end").cast(INSTANT))
    )


def lateness(alerts: pl.LazyFrame, signals: pl.LazyFrame) -> pl.DataFrame:
    """How late alerts are written down after what they tell of, and deliveries with a time of their own received."""
    second = pl.duration(seconds=1)
    spreads = {
        "Alerts written down": alerts.select(late=(pl.col("created_at") - pl.col("generated_at")) / second),
        "Deliveries received": signals.filter(pl.col("time_kind") == "event").select(
            late=(pl.col("received_at") - pl.col("occurred_at")) / second
        ),
    }
    rows = [
        frame.drop_nulls().select(
            what=pl.lit(what),
            median_seconds=pl.col("late").median(),
            p95_seconds=pl.col("late").quantile(0.95),
            count=pl.len(),
        )
        for what, frame in spreads.items()
    ]
    return pl.concat(pl.collect_all(rows)).filter(pl.col("count") > 0)


def kinds(signals: pl.LazyFrame) -> pl.LazyFrame:
    """How many *signals* each source gave of each kind: source, kind, signals, first_at, last_at."""
    return signals.group_by("source", "kind").agg(
        signals=pl.len().cast(pl.Int64), first_at=pl.col("occurred_at").min(), last_at=pl.col("occurred_at").max()
    )


def sources(kinds: pl.DataFrame, held: pl.DataFrame, gaps: pl.DataFrame, now: dt.datetime) -> pl.DataFrame:
    """What each source gave, for how many days, how many are missing between, and how many hours ago it ended.

    From its `kinds`, the complete spans *held* and their `holes`; the columns are those of `Trust.sources`.
    """
    day = 86_400_000_000
    days = held.group_by("source").agg(held_days=((pl.col("end_us") - pl.col("start_us")).sum() / day).cast(pl.Float64))
    missing = gaps.group_by("source").agg(
        gap_days=((pl.col("end") - pl.col("start")).dt.total_microseconds().sum() / day).cast(pl.Float64)
    )
    seen = kinds.group_by("source").agg(pl.col("signals").sum(), pl.col("first_at").min(), pl.col("last_at").max())
    return (
        seen.join(days, on="source", how="full", coalesce=True)
        .join(missing, on="source", how="left")
        .with_columns(
            pl.col("signals").fill_null(0),
            pl.col("held_days", "gap_days").fill_null(0.0),
            age_hours=(pl.lit(now) - pl.col("last_at")).dt.total_seconds() / 3600,
        )
        .sort("source")
    )


def shortfalls(coverage: pl.DataFrame) -> pl.DataFrame:
    """Why windows of *coverage* are not complete, and how many: source, state, reason, windows; the most first."""
    return (
        coverage.filter(pl.col("state") != CoverageState.COMPLETE)
        .group_by("source", "state", "reason")
        .agg(windows=pl.len().cast(pl.Int64))
        .sort("source", "windows", "state", "reason", descending=[False, True, False, False])
    )


def rejects(rejects: pl.LazyFrame) -> pl.DataFrame:
    """How many records were rejected for each reason: reason, count; the most first."""
    counted = rejects.group_by("reason").agg(count=pl.len().cast(pl.Int64))
    return counted.sort("count", "reason", descending=[True, False]).collect()
