"""Small counts for pages: of causes, handlers, days, gaps and coverage. Everything here is an aggregate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.missing import ORDER, what_to_collect
from flexkit.analyse.rates.calendar import check_zone, local_days
from flexkit.analyse.rates.intervals import bounds
from flexkit.terms import Cause, CoverageState, Status

if TYPE_CHECKING:
    from flexkit.window import Window

GAP = "gap"
"""The state of a day of which a source holds nothing, beside the members of `CoverageState`."""

_BINS_PER_DECADE = 4
# A day with a hole in complete windows is partial; the worse states are said by their own name.
_BADNESS: dict[str, int] = {
    CoverageState.COMPLETE: 0,
    CoverageState.PARTIAL: 1,
    CoverageState.SATURATED: 2,
    CoverageState.EXPIRED: 3,
}
_WHOLE = 0.98


def of_flex(causes: pl.DataFrame) -> pl.DataFrame:
    """*causes* without those that are about Proxy: they are no Flex interactions."""
    return causes.filter(pl.col("cause") != Cause.PROXY_ORIGIN)


def by_cause(causes: pl.DataFrame) -> pl.DataFrame:
    """Duplicates of each cause: cause, count, share, lo and hi (counts, from a 95 % Wilson interval of the share).

    The most frequent first; causes that do not occur are left out.
    """
    counts = of_flex(causes).group_by("cause").agg(count=pl.len().cast(pl.Int64))
    counts = counts.sort("count", "cause", descending=[True, False])
    total = float(counts["count"].sum())
    low, high = bounds(counts["count"].to_numpy().astype(np.float64), np.full(counts.height, max(total, 1.0)))
    return counts.with_columns(
        share=pl.col("count") / max(total, 1.0),
        lo=pl.Series(np.asarray(low) * total, dtype=pl.Float64),
        hi=pl.Series(np.asarray(high) * total, dtype=pl.Float64),
    )


def by_handlers(causes: pl.DataFrame, *, most: int = 10) -> pl.DataFrame:
    """Duplicates by who closed first, who completed again, and cause: first_handler, second_handler, cause, count.

    Only the *most* frequent pairs, the most frequent first. One of a pair alone is half an answer: whether the close
    came too early or the completion once too often is for the cause to say.
    """
    pair = ["first_handler", "second_handler"]
    counts = of_flex(causes).group_by(*pair, "cause").agg(count=pl.len().cast(pl.Int64))
    totals = counts.group_by(pair).agg(pl.col("count").sum()).sort("count", *pair, descending=[True, False, False])
    return counts.join(totals.head(most).select(pair), on=pair, how="semi", nulls_equal=True).sort(
        "count", *pair, "cause", descending=[True, False, False, False]
    )


def per_day(causes: pl.DataFrame, *, window: Window, tz: str = "UTC") -> pl.DataFrame:
    """Duplicates of each cause on each local day of *window*, zeros included: date, cause, count."""
    check_zone(tz)
    flex = of_flex(causes)
    days = local_days(window.start, window.end, tz=tz).select("date")
    counts = flex.group_by(date=pl.col("occurred_at").dt.convert_time_zone(tz).dt.date(), cause=pl.col("cause")).agg(
        count=pl.len().cast(pl.Int64)
    )
    grid = days.join(flex.select("cause").unique(), how="cross")
    return (
        grid.join(counts, on=["date", "cause"], how="left")
        .with_columns(pl.col("count").fill_null(0))
        .sort("cause", "date")
    )


def gaps(causes: pl.DataFrame) -> pl.DataFrame:
    """Duplicates by cause and the time from the first close to the second: low, high (seconds), cause, count.

    Four bins for each power of ten; what is shorter than a tenth of a second counts in the first bin.
    """
    exponent = (pl.col("gap_seconds").clip(0.1).log10() * _BINS_PER_DECADE).floor()
    return (
        of_flex(causes)
        .drop_nulls("gap_seconds")
        .group_by(step=exponent, cause=pl.col("cause"))
        .agg(count=pl.len().cast(pl.Int64))
        .select(
            low=10.0 ** (pl.col("step") / _BINS_PER_DECADE),
            high=10.0 ** ((pl.col("step") + 1) / _BINS_PER_DECADE),
            cause="cause",
            count="count",
        )
        .sort("low", "cause")
    )


def open_questions(causes: pl.DataFrame) -> pl.DataFrame:
    """What the undetermined duplicates lack: missing, count, collect (what to do about it), the cheapest first.

    One duplicate may lack several things, so the counts do not add up to the undetermined.
    """
    counts = (
        of_flex(causes)
        .filter(pl.col("cause") == Cause.UNDETERMINED)
        .select(pl.col("missing").list.eval(pl.element().cast(pl.String)).explode())
        .drop_nulls()
        .group_by("missing")
        .agg(count=pl.len().cast(pl.Int64))
    )
    words = [str(word) for word in ORDER]
    return (
        counts.filter(pl.col("missing").is_in(words))
        .with_columns(
            rank=pl.col("missing").replace_strict(words, range(len(words)), return_dtype=pl.Int64),
            collect=pl.col("missing").replace_strict(
                words, [what_to_collect(word) for word in words], return_dtype=pl.String
            ),
        )
        .sort("rank")
        .drop("rank")
    )


def worth_reading(causes: pl.DataFrame, *, most: int = 10) -> pl.DataFrame:
    """The interactions to read first: one of each frequent pair of handlers and cause, the best proven, then the next.

    Columns: interaction_sid, occurred_at, cause, status, first_handler, second_handler, gap_seconds, alike (how many
    duplicates are of the same cause and handlers).
    """
    alike = ["cause", "first_handler", "second_handler"]
    ranks = {Status.CONFIRMED: 0, Status.SUPPORTED: 1}
    named = of_flex(causes).drop_nulls("interaction_sid")
    return (
        named.with_columns(
            alike=pl.len().over(alike).cast(pl.Int64),
            proven=pl.col("status").replace_strict(ranks, default=2, return_dtype=pl.Int64),
        )
        .sort("proven", "occurred_at", "interaction_sid", descending=[False, True, False])
        .with_columns(turn=pl.int_range(pl.len()).over(alike))
        .sort("turn", "alike", "proven", "interaction_sid", descending=[False, True, False, False])
        .head(most)
        .select(
            "interaction_sid",
            "occurred_at",
            "cause",
            "status",
            "first_handler",
            "second_handler",
            "gap_seconds",
            "alike",
        )
    )


def coverage_days(coverage: pl.DataFrame | pl.LazyFrame, *, window: Window, tz: str = "UTC") -> pl.DataFrame:
    """What is held of each source on each local day of *window*: source, date, state, rows.

    A day that complete windows cover (to a minute) is complete; else it has the worst state that a window
    of that day has, and "gap" where there is none. `rows` is each window's count spread evenly over it.
    """
    held = coverage.lazy().collect()
    # The first and the last day count for the hours that the window has of them.
    days = local_days(window.start, window.end, tz=tz).select(
        "date", start=pl.col("start").clip(window.start), end=pl.col("end").clip(upper_bound=window.end)
    )
    if held.is_empty():
        return pl.DataFrame(schema={"source": pl.String, "date": pl.Date, "state": pl.String, "rows": pl.Int64})
    overlap = (
        days.join_where(
            held.select("source", "state", "rows", since="start", until="end"),
            pl.col("since") < pl.col("end"),
            pl.col("until") > pl.col("start"),
        )
        .with_columns(left=pl.max_horizontal("start", "since"), right=pl.min_horizontal("end", "until"))
        .with_columns(
            part=(pl.col("right") - pl.col("left")) / (pl.col("until") - pl.col("since")),
            day=pl.col("end") - pl.col("start"),
        )
    )
    found = overlap.group_by("source", "date").agg(
        rows=(pl.col("rows") * pl.col("part")).sum().round().cast(pl.Int64),
        complete=_covered(pl.col("state") == CoverageState.COMPLETE),
        worst=pl.col("state").replace_strict(_BADNESS, default=0, return_dtype=pl.Int64).max(),
    )
    whole = pl.when(pl.col("complete") >= _WHOLE).then(pl.lit(str(CoverageState.COMPLETE)))
    names = {rank: str(name) for name, rank in _BADNESS.items()} | {0: str(CoverageState.PARTIAL)}
    worst = pl.col("worst").replace_strict(names, return_dtype=pl.String)
    grid = held.select("source").unique().join(days.select("date"), how="cross")
    return (
        grid.join(found.with_columns(state=whole.otherwise(worst)), on=["source", "date"], how="left")
        .select(
            "source",
            "date",
            state=pl.col("state").fill_null(GAP),
            rows=pl.col("rows").fill_null(0),
        )
        .sort("source", "date")
    )


def _covered(chosen: pl.Expr) -> pl.Expr:
    """The share of a day that the chosen windows cover; windows may overlap, so it is measured between their ends."""
    left = pl.col("left").filter(chosen).sort_by(pl.col("left").filter(chosen))
    right = pl.col("right").filter(chosen).sort_by(pl.col("left").filter(chosen))
    reached = right.cum_max().shift(1)
    new = (right - pl.max_horizontal(left, reached.fill_null(left))).dt.total_microseconds().clip(0)
    return new.sum() / pl.col("day").first().dt.total_microseconds()
