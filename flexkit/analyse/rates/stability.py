"""Is the process stable, and when did it move: the facts behind one sentence."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.rates.changepoints import change_points

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_DAYS = 14


@dataclass(frozen=True, slots=True)
class Move:
    """One change of level: first day of the new level, its 95 % set (as of `change_points`), both rates, fixes near."""

    on: dt.date
    low: dt.date
    high: dt.date
    rate_before: float
    rate_after: float
    fixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stability:
    """What can be said about one unit's stability.

    `state` is stable (no signal of any kind), signals (single days or drifts but no lasting change), moved (at least
    one change of level) or undecided (fewer than 14 usable days, or no events). `signals` are (day, rule), a drift
    with its first day.
    """

    state: str
    chart: str
    days: int
    baseline_days: int
    signals: tuple[tuple[dt.date, str], ...]
    runs_signal: bool
    moves: tuple[Move, ...]
    level: float
    level_since: dt.date | None
    estimand: str = "dup_share"


def stability(table: pl.DataFrame, unit: str = "all", *, fixes: pl.DataFrame | None = None) -> Stability:
    """The facts about *unit* of a `rates` table (see `rates_table`).

    Fixes (title, deployed_at) are named where their day, or the day after it, may be the first of the new level: near
    a change in time, which does not make them its cause.
    """
    rows = table.filter(pl.col("unit") == unit).sort("bucket_start")
    usable = rows.filter(
        pl.col("events").is_not_null(), pl.col("exposure") > 0, ~pl.col("is_gap"), ~pl.col("is_partial")
    )
    chart = str(rows["chart"][0]) if rows.height else "none"
    estimand = str(rows["estimand"][0]) if rows.height else "dup_share"
    events, exposure = float(usable["events"].sum()), float(usable["exposure"].sum())
    base_count = int(rows["is_baseline"].sum()) if rows.height else 0
    if usable.height < MIN_DAYS or events == 0:
        level = events / exposure if exposure > 0 else float("nan")
        return Stability("undecided", chart, usable.height, base_count, (), runs_signal=False, moves=(), level=level,
                         level_since=None, estimand=estimand)  # fmt: skip
    drawn = rows.filter(~pl.col("is_partial"), ~pl.col("is_gap"))
    # A drift is one finding, however many days it lasts and on however many of them a limit was crossed as well.
    side = pl.col("signal").str.strip_prefix("drift_")
    lasts = pl.col("signal").str.starts_with("drift") & (side == side.shift(1)).fill_null(value=False)
    found_signals = drawn.filter(~pl.col("signal").is_in(["none", "amber"]) & ~lasts)
    signals = tuple(found_signals.select("bucket_start", "signal").iter_rows())
    found = change_points(usable.select(date="bucket_start", events="events", exposure="exposure"))
    moves = tuple(
        Move(on, low, high, before, after, _near(fixes, low, high, rows["tz"][0]))
        for on, low, high, before, after in found.iter_rows()
    )
    runs = bool(rows["runs_signal"].any())
    state = "moved" if moves else "signals" if signals or runs else "stable"
    since = moves[-1].on if moves else usable["bucket_start"][0]
    level = moves[-1].rate_after if moves else events / exposure
    return Stability(state, chart, usable.height, base_count, signals, runs, moves, level, since, estimand)


def _near(fixes: pl.DataFrame | None, low: dt.date, high: dt.date, tz: str) -> tuple[str, ...]:
    if fixes is None or fixes.is_empty():
        return ()
    day = pl.col("deployed_at").dt.convert_time_zone(tz).dt.date()
    # The set holds last days of the old level: the new one starts a day later, and its first whole day may be the
    # day after the fix.
    inside: Sequence[str] = (
        fixes.filter(day.is_between(low, high + dt.timedelta(days=1))).sort("deployed_at")["title"].to_list()
    )
    return tuple(inside)
