"""Balancing measures: what a fix may have made worse while duplicates fell."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.effects.model import estimate_rows
from flexkit.analyse.effects.options import Options
from flexkit.analyse.effects.window import window
from flexkit.analyse.rates.calendar import check_zone
from flexkit.analyse.rates.series import read_series
from flexkit.errors import SchemaError
from flexkit.terms import SignalKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flexkit.analyse.effects.fixes import Fix
    from flexkit.analyse.effects.looks import Look

COLUMNS = ("date", "measure", "events", "exposure")
LEFT_OPEN, LEFT_WRAPPING, RECONTACT = "left_open", "left_wrapping", "recontact"


@dataclass(frozen=True, slots=True)
class Balance:
    """One balancing measure around one fix: its ratio with an interval that allows for all measures looked at."""

    measure: str
    rr: float
    low: float
    high: float
    p_value: float
    events_before: float
    events_after: float

    @property
    def is_worse(self) -> bool:
        """Whether the measure rose beyond doubt."""
        return self.low > 1


def check_balancing(balancing: pl.DataFrame) -> None:
    """Raise `SchemaError` where a column of `COLUMNS` is absent."""
    if missing := [name for name in COLUMNS if name not in balancing.columns]:
        msg = f"The balancing measures have no column {', '.join(missing)}. They have: {', '.join(balancing.columns)}."
        raise SchemaError(msg)


def balances(
    balancing: pl.DataFrame, fix: Fix, neighbours: Sequence[Fix], *, complete_until: int, look: Look | None
) -> list[Balance]:
    """Every measure of *balancing* (date, measure, events, exposure) around *fix*, with its default estimate.

    Only the days of the *look* after the fix count, and the level of the intervals is that of its boundary, divided
    by the number of measures (Bonferroni), so that looking often and at much finds no harm where there is none.
    """
    names = sorted(balancing["measure"].unique().to_list())
    share = 0.05 if look is None else look.p_value
    options = Options(level=1 - share / max(len(names), 1), trend=False)
    found = []
    for name in names:
        series = read_series(balancing.filter(pl.col("measure") == name))
        around = window(series, fix, neighbours, complete_until=complete_until)
        rows = around.rows if look is None else around.until(look.days).rows
        result, _ = estimate_rows(rows, options)
        low = result["rr_low"] if not math.isnan(result["rr_low"]) else 0.0
        found.append(
            Balance(
                name, result["rr"], low, result["rr_high"], result["p_value"],
                result["events_before"], result["events_after"],
            )
        )  # fmt: skip
    return found


def balancing_counts(
    signals: pl.DataFrame | pl.LazyFrame,
    completions: pl.DataFrame | pl.LazyFrame,
    *,
    tz: str = "UTC",
    now: dt.datetime,
    patience: dt.timedelta = dt.timedelta(hours=24),
) -> pl.DataFrame:
    """Daily balancing measures from the evidence: date, measure, events, exposure, is_partial.

    left_open: interactions first seen that day that are not complete after *patience*. left_wrapping: tasks that
    began to wrap up that day and did not end within *patience*. recontact: completed interactions whose
    conversation shows a new interaction within *patience*. Days younger than *patience* are partial.
    """
    check_zone(tz)
    seen = signals.lazy()
    done = completions.lazy().select("interaction_sid", "first_closed_at").unique("interaction_sid", keep="any")
    parts = [_left_open(seen, done, patience), _left_wrapping(seen, patience), _recontact(seen, done, patience)]
    ripe = (now - patience).astimezone(check_zone(tz)).date()
    rows = pl.concat(
        part.select(
            measure=pl.lit(name),
            date=pl.col("at").dt.convert_time_zone(tz).dt.date(),
            is_bad=pl.col("is_bad"),
        )
        for name, part in zip((LEFT_OPEN, LEFT_WRAPPING, RECONTACT), parts, strict=True)
    )
    return (
        rows.drop_nulls("date")
        .group_by("date", "measure")
        .agg(events=pl.col("is_bad").sum().cast(pl.Float64), exposure=pl.len().cast(pl.Float64))
        .with_columns(is_partial=pl.col("date") >= ripe)
        .sort("measure", "date")
        .collect()
    )


def _left_open(seen: pl.LazyFrame, done: pl.LazyFrame, patience: dt.timedelta) -> pl.LazyFrame:
    first = (
        seen.filter(pl.col("interaction_sid").is_not_null(), pl.col("kind") != SignalKind.WARNING)
        .group_by("interaction_sid")
        .agg(at=pl.col("occurred_at").min())
    )
    late = pl.col("first_closed_at").is_null() | (pl.col("first_closed_at") - pl.col("at") > patience)
    return first.join(done, on="interaction_sid", how="left").select("at", is_bad=late)


def _left_wrapping(seen: pl.LazyFrame, patience: dt.timedelta) -> pl.LazyFrame:
    ends = (SignalKind.TASK_COMPLETED, SignalKind.TASK_CANCELED, SignalKind.TASK_DELETED)
    tasks = seen.filter(pl.col("task_sid").is_not_null())
    wrapped = tasks.filter(pl.col("kind") == SignalKind.TASK_WRAPUP).group_by("task_sid")
    ended = tasks.filter(pl.col("kind").is_in([kind.value for kind in ends])).group_by("task_sid")
    joined = wrapped.agg(at=pl.col("occurred_at").min()).join(
        ended.agg(ended_at=pl.col("occurred_at").max()), on="task_sid", how="left"
    )
    late = pl.col("ended_at").is_null() | (pl.col("ended_at") - pl.col("at") > patience)
    return joined.select("at", is_bad=late)


def _recontact(seen: pl.LazyFrame, done: pl.LazyFrame, patience: dt.timedelta) -> pl.LazyFrame:
    begun = (
        seen.filter(pl.col("conversation_sid").is_not_null(), pl.col("interaction_sid").is_not_null())
        .group_by("conversation_sid", "interaction_sid")
        .agg(begun_at=pl.col("occurred_at").min())
    )
    closed = done.join(begun, on="interaction_sid", how="inner")
    again = closed.join(begun, on="conversation_sid", how="left", suffix="_next").filter(
        pl.col("interaction_sid_next") != pl.col("interaction_sid"),
        pl.col("begun_at_next") > pl.col("first_closed_at"),
        pl.col("begun_at_next") - pl.col("first_closed_at") <= patience,
    )
    back = again.select("interaction_sid").unique().with_columns(is_bad=pl.lit(value=True))
    known = closed.select("interaction_sid", at="first_closed_at").unique("interaction_sid", keep="any")
    return known.join(back, on="interaction_sid", how="left").select("at", pl.col("is_bad").fill_null(value=False))
