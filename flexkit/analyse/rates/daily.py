"""Daily counts in a contact centre's own days: from completed interactions and duplicates to small frames."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.rates.calendar import check_zone, covered_share, local_days, local_midnight
from flexkit.analyse.rates.lateness import PROVISIONAL, share_arrived
from flexkit.errors import SchemaError, UsageError
from flexkit.terms import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENT_ONLY = ("handler", "cause")
"""Dimensions of duplicates alone: a completed interaction without one has none, so the exposure repeats."""
COMPLETE_SHARE = 0.98
"""A day whose sources are covered for less than this share of it is a gap."""
DUP_SHARE, COUNT = "dup_share", "count"
_COUNTED = ("events", "duplicates", "warnings", "warned")


def daily_counts(
    completions: pl.DataFrame | pl.LazyFrame,
    duplicates: pl.DataFrame | pl.LazyFrame,
    *,
    tz: str = "UTC",
    by: Sequence[str] = (),
    causes: pl.DataFrame | pl.LazyFrame | None = None,
    coverage: pl.DataFrame | pl.LazyFrame | None = None,
    arrival: pl.DataFrame | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> pl.DataFrame:
    """One row per local day (and per value of *by*), zeros included.

    Columns: date, *by*, events (interactions whose first duplicate came that day), exposure (interactions first
    completed that day), duplicates (rows), warnings (alerts), warned (of events, those
    with a warning on any of their duplicates), estimand, hours (23 to 25), completeness (share of
    the day between *since* and *until* that the sources cover), is_partial, is_gap.

    *by* may name columns of *completions* (channel_type, first_handler, and what else they carry), `handler` (who
    sent the second completion) and `cause` (with *causes*); `handler` and `cause` exist only for duplicates, so
    each of their rows has the exposure of all (`collapse` knows). Where completions are known only from the
    warnings themselves there is no denominator: estimand is "count" and exposure the hours of the day. *since* and
    *until* default to the first and last instant; the day of *until* is partial. *arrival* is a curve of
    `completeness`: days of which less than 98 % has arrived by *until* are partial too. Raises `UsageError` for an
    unknown zone, `SchemaError` for an unknown dimension.
    """
    check_zone(tz)
    done, twice = completions.lazy(), duplicates.lazy()
    held = done.collect_schema().names()
    if unknown := [name for name in by if name not in (*held, *EVENT_ONLY)]:
        msg = f"Completions have no column {', '.join(unknown)}. They have: {', '.join(held)}."
        raise SchemaError(msg)
    if "cause" in by and causes is None:
        msg = "A breakdown by cause needs the causes. Pass causes=, the frame of analyse.causes.classify."
        raise UsageError(msg)
    own = [name for name in by if name not in EVENT_ONLY]
    exposure = (
        done.select("interaction_sid", *own, date=_local_day("first_closed_at", tz))
        .unique("interaction_sid", keep="any")
        .group_by("date", *own)
        .len("exposure")
        .collect()
    )
    events = _events(done, twice, tz=tz, by=by, own=own, causes=causes)
    span = _span(exposure, events, done, twice, tz=tz, since=since, until=until)
    if span is None:
        return _empty(by, {name: exposure.schema[name] for name in own})
    days = local_days(*span, tz=tz)
    cells = _cells(exposure, events, by, own)
    counts = (
        days.join(cells, how="cross")
        .join(exposure, on=["date", *own], how="left", nulls_equal=True)
        .join(events, on=["date", *by], how="left", nulls_equal=True)
        .with_columns(pl.col("exposure", *_COUNTED).fill_null(0).cast(pl.Int64))
    )
    counts = _with_gaps(_with_arrival(counts, arrival, span[1]), coverage)
    if not has_denominator(completions):
        counts = counts.with_columns(exposure=pl.col("hours"), estimand=pl.lit(COUNT))
    else:
        counts = counts.with_columns(pl.col("exposure").cast(pl.Float64), estimand=pl.lit(DUP_SHARE))
    order = ["date", *by, "events", "exposure", "duplicates", "warnings", "warned", "estimand", "hours"]
    return counts.select(*order, "completeness", "is_partial", "is_gap").sort("date", *by)


def collapse(counts: pl.DataFrame, keep: Sequence[str] = ()) -> pl.DataFrame:
    """*counts* added up over every dimension that is not in *keep*, without counting an exposure twice."""
    fixed = {"date", "exposure", *_COUNTED, "estimand", "hours", "completeness"}
    dimensions = [name for name in counts.columns if name not in fixed and not name.startswith("is_")]
    own = [name for name in dimensions if name not in EVENT_ONLY]
    shared = ["estimand", "hours", "completeness", "is_partial", "is_gap", "is_holiday"]
    same = [pl.col(name).first() for name in shared if name in counts.columns]
    is_count = "estimand" in counts.columns and (counts["estimand"] == COUNT).any()
    kept_own = [name for name in keep if name not in EVENT_ONLY]
    cell = counts.group_by("date", *own).agg(pl.col("exposure").max())
    # Hours of the day are no sum over channels: everything shares the same day.
    added = cell.group_by("date", *kept_own).agg(pl.col("exposure").max() if is_count else pl.col("exposure").sum())
    summed = [pl.col(name).sum() for name in _COUNTED if name in counts.columns]
    events = counts.group_by("date", *keep).agg(*summed, *same)
    joined = events.join(added, on=["date", *kept_own], how="left", nulls_equal=True)
    return joined.select([name for name in counts.columns if name in joined.columns]).sort("date", *keep)


def has_denominator(completions: pl.DataFrame | pl.LazyFrame) -> bool:
    """Whether any completion is known from something else than the warning about it."""
    frame = completions.lazy()
    if "first_source" not in frame.collect_schema().names():
        return True
    source = pl.col("first_source")
    return bool(frame.select((source.is_null() | (source != Source.DEBUGGER)).any()).collect().item())


def _local_day(column: str, tz: str) -> pl.Expr:
    return pl.col(column).dt.convert_time_zone(tz).dt.date()


def _events(
    done: pl.LazyFrame,
    twice: pl.LazyFrame,
    *,
    tz: str,
    by: Sequence[str],
    own: Sequence[str],
    causes: pl.DataFrame | pl.LazyFrame | None,
) -> pl.DataFrame:
    """Events, duplicates and warnings per local day and value of *by*."""
    held = twice.collect_schema().names()
    alerts = pl.col("alert_sids").list.len() if "alert_sids" in held else pl.lit(0)
    rows = twice.select(
        "interaction_sid",
        "second_at",
        handler=pl.col("second_handler") if "second_handler" in held else pl.lit(None, dtype=pl.String),
        alerts=alerts.fill_null(0),
        date=_local_day("second_at", tz),
    ).with_columns(
        is_first=pl.col("second_at").rank("ordinal").over("interaction_sid") == 1,
        is_warned=(pl.col("alerts").sum() > 0).over("interaction_sid"),
    )
    if "cause" in by and causes is not None:
        labels = causes.lazy().select("interaction_sid", "cause", second_at="occurred_at")
        labels = labels.unique(["interaction_sid", "second_at"], keep="first")
        rows = rows.join(labels, on=["interaction_sid", "second_at"], how="left")
    if own:
        dimensions = done.select("interaction_sid", *own).unique("interaction_sid", keep="any")
        rows = rows.join(dimensions, on="interaction_sid", how="left")
    return (
        rows.group_by("date", *by)
        .agg(
            events=pl.col("is_first").sum(),
            duplicates=pl.len(),
            warnings=pl.col("alerts").sum(),
            warned=(pl.col("is_first") & pl.col("is_warned")).sum(),
        )
        .collect()
    )


def _cells(exposure: pl.DataFrame, events: pl.DataFrame, by: Sequence[str], own: Sequence[str]) -> pl.DataFrame:
    """Every value of *by* that occurs, and every value of *own* even where it has no duplicate."""
    if not by:
        return pl.DataFrame({"cell": [0]})
    seen = events.select(by).unique()
    if not own:
        missing = pl.DataFrame({name: [None] for name in by}, schema=dict.fromkeys(by, pl.String))
        return seen if seen.height else missing
    quiet = exposure.select(own).unique().join(seen, on=list(own), how="anti", nulls_equal=True)
    return pl.concat([seen, quiet], how="diagonal_relaxed").select(by)


def _span(
    exposure: pl.DataFrame,
    events: pl.DataFrame,
    done: pl.LazyFrame,
    twice: pl.LazyFrame,
    *,
    tz: str,
    since: dt.datetime | None,
    until: dt.datetime | None,
) -> tuple[dt.datetime, dt.datetime] | None:
    """From the start of the first local day (or *since*) to the newest instant (or *until*)."""
    for name, instant in (("since", since), ("until", until)):
        if instant is not None and instant.tzinfo is None:
            msg = f"{name} {instant.isoformat()} has no time zone. Give an instant with one."
            raise UsageError(msg)
    first = [frame["date"].min() for frame in (exposure, events) if frame.height]
    newest = [
        frame.select(pl.col(column).max()).collect().item()
        for frame, column in ((done, "first_closed_at"), (twice, "second_at"))
    ]
    known = [instant for instant in newest if instant is not None]
    if (since is None and not first) or (until is None and not known):
        return None
    start = since or local_midnight(min(day for day in first if isinstance(day, dt.date)), tz)
    end = until or max(known)
    return (start, end) if end > start else None


def _with_arrival(counts: pl.DataFrame, arrival: pl.DataFrame | None, until: dt.datetime) -> pl.DataFrame:
    """*counts* whose young days are held only as far as their records have arrived."""
    if arrival is None:
        return counts
    age = (pl.lit(until.astimezone(dt.UTC)) - pl.col("end")).dt.total_seconds() / 3600
    share = share_arrived(arrival, counts.select(age.clip(lower_bound=0)).to_series().to_numpy())
    return counts.with_columns(
        held=pl.col("held") * pl.Series(share), is_partial=pl.col("is_partial") | (pl.Series(share) < PROVISIONAL)
    )


def _with_gaps(counts: pl.DataFrame, coverage: pl.DataFrame | pl.LazyFrame | None) -> pl.DataFrame:
    """*counts* with completeness and is_gap: what of each day the warnings' and some other source cover."""
    covered = (
        None if coverage is None else covered_share(coverage, counts.select("date", "start", "end").unique("date"))
    )
    if covered is None:
        return counts.with_columns(completeness=pl.col("held"), is_gap=pl.lit(value=False))
    joined = counts.join(covered, on="date", how="left")
    share = pl.min_horizontal("held", "covered")
    return joined.with_columns(
        completeness=share, is_gap=(pl.col("covered") < COMPLETE_SHARE * pl.col("held")) & ~pl.col("is_partial")
    )


def _empty(by: Sequence[str], own: dict[str, pl.DataType]) -> pl.DataFrame:
    counted = dict.fromkeys(("duplicates", "warnings", "warned"), pl.Int64())
    return pl.DataFrame(
        schema={
            "date": pl.Date(),
            **{name: own.get(name, pl.String()) for name in by},
            "events": pl.Int64(),
            "exposure": pl.Float64(),
            **counted,
            "estimand": pl.String(),
            "hours": pl.Float64(),
            "completeness": pl.Float64(),
            "is_partial": pl.Boolean(),
            "is_gap": pl.Boolean(),
        }
    )
