"""The one pass over all signals: when each interaction was first complete, and which may have been completed twice.

Written once, in the subset of the Polars API that Narwhals offers on every engine, so that the same lines
run on Polars, on DuckDB and on Spark. Only four columns are read, signals that end nothing are dropped in
the scan, and interactions are told apart by a 64-bit key. What one span of signals tells about an
interaction (`partials`) adds up: partial rows of several days, `merged`, are exactly those of all days
together, so a new day costs what a new day costs and an interaction that spans midnight is still whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import polars as pl

from flexkit.tables.keys import ENDING_KINDS
from flexkit.terms import SignalKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from narwhals.typing import IntoLazyFrame

    from flexkit.window import Window

SHOWN = (SignalKind.CHANNEL_CLOSED.value, SignalKind.CONVERSATION_CLOSED.value)
"""Signals that show an interaction closed."""
CLOSES = (SignalKind.CLOSE_CHANNEL_REQUESTED.value, SignalKind.CLOSE_CONVERSATION_REQUESTED.value)
"""Requests that close it."""
TASK_ENDS = (
    SignalKind.TASK_COMPLETED.value,
    SignalKind.TASK_CANCELED.value,
    SignalKind.TASK_DELETED.value,
    "task.system-deleted",
    SignalKind.COMPLETE_REQUESTED.value,
)
"""Signals of a task that ended: they complete an interaction that nothing else shows closed."""
PARKS = (SignalKind.CHANNEL_INACTIVE.value, SignalKind.CLOSE_PARTICIPANT_REQUESTED.value)
"""The agent left, the channel stays: a task that ends right after completes nothing."""
REPEATABLE = (SignalKind.CLOSE_CHANNEL_REQUESTED.value, SignalKind.COMPLETE_REQUESTED.value)
"""Requests that complete an interaction a second time when they go through again."""

PARK_US = 60_000_000
"""A task that ends this soon after its agent was removed ended because of that: the channel is still open."""
SKEW_US = 10_000_000
"""A request logged this long after the channel was seen closed can still be what closed it."""
DAY_US = 86_400_000_000

COUNTED = (*SHOWN, *CLOSES, *TASK_ENDS)
"""Kinds of signals that end an interaction or show its end."""
NEEDED = ("ikey", "channel_type", "occurred_us", "ending")
"""Columns that the pass reads (`flexkit.tables.schema.SIGNALS`)."""

MOMENTS = {
    "closing_us": (*SHOWN, *CLOSES),
    "closed_us": (SignalKind.CHANNEL_CLOSED.value,),
    "warned_us": (SignalKind.WARNING.value,),
    "task_us": TASK_ENDS,
    "park_us": PARKS,
    "late_us": (SignalKind.CLOSE_CHANNEL_REQUESTED.value,),
    "last_us": REPEATABLE,
}
"""The kinds of signals that each moment of an interaction is the first or the last of."""
# Each of these is a least, a greatest or a sum of what single signals tell.
LEAST = ("closing_us", "closed_us", "warned_us")
GREATEST = ("channel_type", "task_us", "park_us", "late_us", "last_us")
SUMS = ("request_count", "signal_count")
PARTIAL = ("ikey", *LEAST, *GREATEST, *SUMS)
"""Columns of `partials` and `merged`."""
NUMBERS = ("completed_count", "affected_count", "gap_us")
"""Counts and sums of `per_day`."""


def places(kinds: Sequence[str]) -> list[int]:
    """*kinds* as the column ``ending`` holds them."""
    return [ENDING_KINDS.index(kind) for kind in kinds]


def partials(signals: IntoLazyFrame) -> Any:
    """One row per interaction that *signals* name: the moments that decide, each a least, a greatest or a count.

    *signals* is a lazy frame of any engine that Narwhals knows, with the columns `NEEDED`; the result is
    of the same engine. Rows without an ``ikey`` are left out.

    ``closing_us`` first seen or asked closed, ``closed_us`` channel first seen closed, ``warned_us`` first
    warning, ``task_us`` last end of a task, ``park_us`` last removal of an agent, ``late_us`` last request
    to close the channel, ``last_us`` last request that can complete, ``request_count`` of those,
    ``signal_count`` of all that end it or show its end. Requests that were rejected or skipped count nowhere.
    """
    ending, us = nw.col("ending"), nw.col("occurred_us")
    rows = (
        nw.from_native(signals)
        .lazy()
        .filter(~ending.is_null(), ~nw.col("ikey").is_null())
        .select(
            "ikey",
            "channel_type",
            **{name: nw.when(ending.is_in(places(kinds))).then(us) for name, kinds in MOMENTS.items()},
            counted=nw.when(ending.is_in(places(COUNTED))).then(us),
        )
    )
    made = rows.group_by("ikey").agg(
        *(nw.col(name).min() for name in LEAST),
        *(nw.col(name).max() for name in GREATEST),
        nw.col("last_us").count().cast(nw.Int64).alias("request_count"),
        nw.col("counted").count().cast(nw.Int64).alias("signal_count"),
    )
    return made.select(*PARTIAL).to_native()


def merged(parts: Iterable[IntoLazyFrame]) -> Any:
    """The `partials` of several spans of signals as one: the same rows as those of all signals at once."""
    rows = nw.concat([nw.from_native(part).lazy() for part in parts])
    made = rows.group_by("ikey").agg(
        *(nw.col(name).min() for name in LEAST),
        *(nw.col(name).max() for name in GREATEST),
        *(nw.col(name).sum() for name in SUMS),
    )
    return made.select(*PARTIAL).to_native()


def completed(parts: IntoLazyFrame) -> Any:
    """The interactions among *parts* that were completed: when first, and whether perhaps once more.

    Adds ``first_us`` (first closing, else the last end of a task that nobody parked, else the first
    warning), ``is_affected`` (a warning, two requests that went through, or one to close a channel that
    had long been closed: every duplicate is among these, though not each of these is one) and ``gap_us``
    from ``first_us`` to the first warning, else to the last request, at least 0; null where not affected.
    """
    closing, task = nw.col("closing_us"), nw.col("task_us")
    # Each side of a comparison with null is null, which no filter and no branch takes for true.
    ended_by_park = nw.when(task <= nw.col("park_us") + PARK_US).then(nw.lit(value=1)).otherwise(nw.lit(value=0))
    too_late = (
        nw.when(nw.col("late_us") > nw.col("closed_us") + SKEW_US).then(nw.lit(value=1)).otherwise(nw.lit(value=0))
    )
    again_us = nw.coalesce("warned_us", "last_us")
    return (
        nw.from_native(parts)
        .lazy()
        .with_columns(own_us=nw.when(ended_by_park == 0).then(task))
        .with_columns(
            first_us=nw.coalesce(closing, nw.col("own_us"), nw.col("warned_us")),
            is_affected=~nw.col("warned_us").is_null() | (nw.col("request_count") > 1) | (too_late == 1),
        )
        .filter(~nw.col("first_us").is_null())
        .with_columns(
            gap_us=nw.when(nw.col("is_affected") & (again_us > nw.col("first_us")))
            .then(again_us - nw.col("first_us"))
            .otherwise(nw.when(nw.col("is_affected")).then(nw.lit(value=0)))
            .cast(nw.Int64)
        )
        .select(*PARTIAL, "first_us", "is_affected", "gap_us")
        .to_native()
    )


def per_day(interactions: IntoLazyFrame) -> Any:
    """Counts of `completed` interactions by UTC day of ``first_us`` and ``channel_type``.

    ``day`` (whole days since 1970-01-01), ``channel_type``, ``completed_count``, ``affected_count``,
    ``gap_us`` (their sum).
    """
    us = nw.col("first_us")
    return (
        nw.from_native(interactions)
        .lazy()
        .with_columns(
            day=((us - us % DAY_US) / DAY_US).cast(nw.Int64),
            affected=nw.when(nw.col("is_affected")).then(nw.lit(value=1)).otherwise(nw.lit(value=0)),
        )
        .group_by("day", "channel_type")
        .agg(
            completed_count=nw.len().cast(nw.Int64),
            affected_count=nw.col("affected").sum().cast(nw.Int64),
            gap_us=nw.col("gap_us").sum().cast(nw.Int64),
        )
        .with_columns(gap_us=nw.col("gap_us").fill_null(0))
        .sort("day", "channel_type")
        .to_native()
    )


def answer(signals: IntoLazyFrame) -> Any:
    """`per_day` of all *signals*: the pass from end to end."""
    return per_day(completed(partials(signals)))


DAILY: dict[str, pl.DataType | type[pl.DataType]] = {
    "day": pl.Date,
    "channel_type": pl.String,
    "completed_count": pl.Int64,
    "affected_count": pl.Int64,
    "gap_seconds": pl.Float64,
}
"""Columns of the ``daily`` table: per UTC day, interactions first completed, those that may have been completed twice
(at least all duplicates), and the sum of the gaps in between."""


def daily(counts: pl.DataFrame, window: Window | None = None) -> pl.DataFrame:
    """*counts*, as `answer` gives them, as the ``daily`` table: the days that begin in *window*."""
    day = pl.col("day").cast(pl.Int32).cast(pl.Date)
    found = counts.select(
        "channel_type", "completed_count", "affected_count", day=day, gap_seconds=pl.col("gap_us") / 1_000_000
    ).select(*DAILY)
    if window is None:
        return found
    begins = pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return found.filter(begins.is_between(window.start, window.end, closed="left"))
