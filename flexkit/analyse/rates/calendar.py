"""Days as a contact centre's own clock has them, and how much of each its sources cover."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from flexkit.analyse.rates.series import collected
from flexkit.errors import UsageError
from flexkit.terms import CoverageState, Source


def check_zone(tz: str) -> ZoneInfo:
    """The IANA zone *tz*; `UsageError` where there is none of that name."""
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"{tz!r} is not an IANA time zone. Write one such as 'Europe/Berlin', 'America/New_York' or 'UTC'."
        raise UsageError(msg) from None


def local_midnight(day: dt.date, tz: str) -> dt.datetime:
    """The instant at which *day* starts in *tz*."""
    return dt.datetime.combine(day, dt.time(), check_zone(tz))


def local_days(since: dt.datetime, until: dt.datetime, *, tz: str) -> pl.DataFrame:
    """Every local day from *since* to *until*: date, start, end, hours, held (share of it in between), is_partial."""
    zone = check_zone(tz)
    last_day = (until - dt.timedelta(microseconds=1)).astimezone(zone).date()
    first_day = min(since.astimezone(zone).date(), last_day)
    dates = pl.date_range(first_day, last_day + dt.timedelta(days=1), eager=True)
    starts = dates.cast(pl.Datetime("us")).dt.replace_time_zone(tz, ambiguous="earliest", non_existent="null")
    # A zone whose clocks go forward at midnight has no such instant: its day starts an hour later.
    late = (dates.cast(pl.Datetime("us")) + dt.timedelta(hours=1)).dt.replace_time_zone(tz, ambiguous="earliest")
    instants = starts.fill_null(late).dt.convert_time_zone("UTC")
    frame = pl.DataFrame({"date": dates[:-1], "start": instants[:-1], "end": instants[1:]})
    length = (pl.col("end") - pl.col("start")).dt.total_seconds()
    held_from = pl.max_horizontal("start", pl.lit(since.astimezone(dt.UTC)))
    held_to = pl.min_horizontal("end", pl.lit(until.astimezone(dt.UTC)))
    return frame.with_columns(
        hours=length / 3600,
        held=((held_to - held_from).dt.total_seconds() / length).clip(0, 1),
        is_partial=(held_to < pl.col("end")) | (held_from > pl.col("start")),
    )


def covered_share(coverage: pl.DataFrame | pl.LazyFrame, days: pl.DataFrame) -> pl.DataFrame | None:
    """What share of each day (date, start, end) the sources cover: date, covered; None where nothing is known.

    The smaller of the debugger's share and the best other source's, as far as each was ever covered at all:
    the warnings are the numerator, the completions the denominator.
    """
    held = collected(coverage).filter(pl.col("state") == CoverageState.COMPLETE, pl.col("end") > pl.col("start"))
    if held.is_empty():
        return None
    spans = _merged(held.select("source", "start", "end"))
    overlap = (
        days.join_where(
            spans.rename({"start": "from", "end": "to"}), pl.col("from") < pl.col("end"), pl.col("to") > pl.col("start")
        )
        .with_columns(
            seconds=(pl.min_horizontal("end", "to") - pl.max_horizontal("start", "from")).dt.total_seconds()
            / (pl.col("end") - pl.col("start")).dt.total_seconds()
        )
        .group_by("date", "source")
        .agg(pl.col("seconds").sum())
    )
    sources = spans["source"].unique().to_list()
    is_numerator = pl.col("source") == Source.DEBUGGER.value
    parts = [
        days.select("date").join(overlap.filter(chosen).group_by("date").agg(pl.col("seconds").max().alias(name)),
                                 on="date", how="left")
        for name, chosen, known in (
            ("warned", is_numerator, Source.DEBUGGER.value in sources),
            ("completed", ~is_numerator, any(source != Source.DEBUGGER.value for source in sources)),
        )
        if known
    ]  # fmt: skip
    shares = pl.concat([part.sort("date") for part in parts], how="align") if len(parts) > 1 else parts[0]
    names = [name for name in shares.columns if name != "date"]
    return shares.select("date", covered=pl.min_horizontal(pl.col(name).fill_null(0.0) for name in names).clip(0, 1))


def _merged(spans: pl.DataFrame) -> pl.DataFrame:
    """Spans of each source, joined where they overlap or touch, so that no second counts twice."""
    ordered = spans.sort("source", "start")
    reached = pl.col("end").cum_max().shift(1).over("source")
    fresh = (pl.col("start") > reached).fill_null(value=True)
    return (
        ordered.with_columns(span=fresh.cast(pl.Int64).cum_sum().over("source"))
        .group_by("source", "span")
        .agg(pl.col("start").min(), pl.col("end").max())
        .drop("span")
    )
