"""Which buckets of a series an estimate uses: before, after, and what was left out and why."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from flexkit.analyse.rates.series import Booleans, Floats, Instant, Series, Step, position, split
from flexkit.errors import UsageError

DAYS_PER_WEEK = 7


@dataclass(frozen=True, slots=True)
class Cut:
    """The usable buckets around one change: all before it, or after it and its ramp where *after* is true.

    `control` has the same rows as `series`, `others` (n, m) further columns for the model.
    """

    series: Series
    after: Booleans
    flags: tuple[str, ...] = ()
    control: Series | None = None
    others: Floats | None = None

    @property
    def events_before(self) -> float:
        """Events before the change."""
        return float(self.series.events[~self.after].sum())

    @property
    def events_after(self) -> float:
        """Events after the change."""
        return float(self.series.events[self.after].sum())

    @property
    def exposure_before(self) -> float:
        """Exposure before the change."""
        return float(self.series.exposure[~self.after].sum())

    @property
    def exposure_after(self) -> float:
        """Exposure after the change."""
        return float(self.series.exposure[self.after].sum())

    @property
    def size(self) -> tuple[int, int]:
        """Buckets before and after."""
        count = int(self.after.sum())
        return len(self.after) - count, count

    def keep(self, rows: Booleans) -> Cut:
        """The cut with only the buckets where *rows* is true."""
        return replace(
            self,
            series=self.series.keep(rows),
            after=self.after[rows],
            control=None if self.control is None else self.control.keep(rows),
            others=_moving(self.others, rows),
        )

    def only_before(self) -> Cut:
        """The buckets before the change."""
        return self.keep(~self.after)


def _moving(others: Floats | None, rows: Booleans) -> Floats | None:
    """The columns of *others* that still change within *rows*; None for none."""
    if others is None or not rows.any():
        return None
    kept = others[rows]
    moves = np.ptp(kept, axis=0) > 0
    return kept[:, moves] if moves.any() else None


def cut(
    series: Series,
    changed_at: Instant,
    *,
    ramp: dt.timedelta = dt.timedelta(0),
    baseline_days: float | None = None,
    control: Series | None = None,
) -> Cut:
    """Cut *series* at *changed_at*; see `flexkit.analyse.rates.series.split` for what belongs to neither side."""
    before, after = split(series, changed_at, ramp)
    flags: list[str] = []
    if len(series) and not before.any():
        flags.append("change_before_data")
    if len(series) and not after.any():
        flags.append("change_after_data")
    between = ~before & ~after
    if between.any():
        flags.append("ramp_dropped" if ramp else "change_bucket_dropped")
    if baseline_days is not None:
        before &= _recent(series, position(series, changed_at), baseline_days)
    used = before | after
    usable = series.usable
    if (used & ~np.isfinite(series.events + series.exposure)).any():
        flags.append("missing_values_dropped")
    if (used & (series.exposure == 0)).any():
        flags.append("zero_exposure_dropped")
    if (used & series.excluded).any():
        flags.append("gaps_dropped")
    keep = used & usable
    aligned = None
    if control is not None:
        keep, aligned, lost = align(series, keep, control)
        if lost:
            flags.append("control_incomplete")
    kept = series.keep(keep)
    sides = after[keep]
    if len(kept) > 1 and ((np.diff(kept.index) > 1) & (sides[1:] == sides[:-1])).any():
        flags.append("gaps")
    return Cut(kept, sides, tuple(flags), aligned)


def weekly(rows: Cut) -> Cut:
    """Whole weeks of seven usable days, counted back from and forward from the change."""
    series = rows.series
    if series.step is not Step.DAY:
        msg = f"The model 'weekly' adds up days to weeks; this series is by {series.step.value}. Use 'step'."
        raise UsageError(msg)
    index, after = series.index, rows.after
    week = np.empty(len(index), dtype=np.int64)
    week[~after] = -1 - (index[~after].max(initial=0) - index[~after]) // DAYS_PER_WEEK
    week[after] = (index[after] - index[after].min(initial=np.iinfo(np.int64).max)) // DAYS_PER_WEEK
    names, first, which, days = np.unique(week, return_index=True, return_inverse=True, return_counts=True)
    whole = days == DAYS_PER_WEEK
    added = replace(
        series,
        dates=series.dates.gather(first),
        start=series.start[first],
        end=series.start[first] + DAYS_PER_WEEK,
        index=names,
        step=Step.WEEK,
        events=np.bincount(which, weights=series.events).astype(np.float64),
        exposure=np.bincount(which, weights=series.exposure).astype(np.float64),
        excluded=np.zeros(len(names), dtype=np.bool_),
    )
    return Cut(added.keep(whole), (names >= 0)[whole], rows.flags)


def _recent(series: Series, changed: float, baseline_days: float) -> Booleans:
    if series.is_calendar:
        recent: Booleans = series.start >= changed - baseline_days - 1e-9
        return recent
    # Plain numbers have no days: count buckets.
    last = int(series.index[series.end <= changed + 1e-9].max(initial=-1))
    return np.asarray(series.index > last - baseline_days)


def align(series: Series, keep: Booleans, control: Series) -> tuple[Booleans, Series, bool]:
    """Rows that both have, the control on those rows, and whether rows were lost."""
    if series.dates.dtype.is_temporal() != control.dates.dtype.is_temporal():
        msg = "The control's dates are of another kind than the series'. Use the same dates in both."
        raise UsageError(msg)
    other = control.keep(control.usable)
    place = np.searchsorted(other.start, series.start)
    found = place < len(other)
    found[found] &= other.start[place[found]] == series.start[found]
    both = keep & found
    return both, _take(other, place[both]), bool((keep & ~found).any())


def _take(series: Series, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Series:
    return replace(
        series,
        dates=series.dates.gather(pl.Series(rows, dtype=pl.UInt32)),
        start=series.start[rows],
        end=series.end[rows],
        index=series.index[rows],
        events=series.events[rows],
        exposure=series.exposure[rows],
        excluded=series.excluded[rows],
    )
