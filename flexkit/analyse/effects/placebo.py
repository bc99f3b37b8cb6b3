"""The same estimate where nothing happened: pseudo-dates before the fix, and how the real one ranks among them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.effects.design import STEP
from flexkit.analyse.rates.expected import weekday_columns
from flexkit.analyse.rates.glm import fit_glm

if TYPE_CHECKING:
    from flexkit.analyse.rates.series import Floats, Series

WEEK = 7
MIN_BEFORE = 28
MAX_BEFORE = 56
MIN_AFTER = 7
MAX_AFTER = 28
MIN_USABLE = 0.5


@dataclass(frozen=True, slots=True)
class Placebo:
    """The step at the fix and at every pseudo-date (`dates`, `log_rr`), all with windows of the same length."""

    reference: float
    days: tuple[int, ...]
    log_rr: tuple[float, ...]

    @property
    def count(self) -> int:
        """Number of pseudo-dates with an estimate."""
        return sum(not math.isnan(value) for value in self.log_rr)

    @property
    def rank(self) -> float:
        """Share of steps at least as large as the fix's, the fix itself included: a p value."""
        if math.isnan(self.reference):
            return math.nan
        larger = sum(abs(value) >= abs(self.reference) for value in self.log_rr)
        return (1 + larger) / (1 + self.count)

    def frame(self, day: int) -> pl.DataFrame:
        """One row per pseudo-date and one for the fix (on *day*): date, log_rr, is_fix."""
        days = [*self.days, day]
        dates = pl.Series("date", days, dtype=pl.Int32).cast(pl.Date)
        values = [value if math.isfinite(value) else None for value in (*self.log_rr, self.reference)]
        is_fix = [False] * len(self.days) + [True]
        return pl.DataFrame([dates, pl.Series("log_rr", values, dtype=pl.Float64), pl.Series("is_fix", is_fix)])


def placebo_dates(
    series: Series, *, day: int, settled: int, end: int, since: int, dropped: int = 0, control: Series | None = None
) -> Placebo:
    """The default step at the fix (on *day*, whole again at *settled*, data until *end*) and at pseudo-dates before.

    Pseudo-dates lie whole weeks apart (see `_spacing`), back from the fix, as far as the days since *since* (the last
    other fix) go: each needs 28 to 56 days before, as many days after as the fix has (7 to 28), and a washout of the
    same length, all before the fix. Where the fix's estimate leaves out the *dropped* days before it (a spike), so do
    they. A date with less than half of its days on either side usable has no step. With a *control* (the same days)
    the step is that of the ratio to it.
    """
    usable = series.usable if control is None else series.usable & (series.events + control.events > 0)
    first = max(since, int(series.start[0])) if len(series) else since
    length = min(max(end - settled, 0), MAX_AFTER)
    washout = settled - day
    enough = MIN_BEFORE + dropped
    if length < MIN_AFTER or day - first < enough:
        return Placebo(math.nan, (), ())
    before = min(day - first, MAX_BEFORE + dropped)
    starts = [day]
    candidate = day - washout - length
    candidate -= (candidate - day) % WEEK
    while candidate - first >= enough:
        starts.append(candidate)
        candidate -= _spacing(length)
    days = np.array(starts, dtype=np.float64)[:, None]
    time = series.start[None, :]
    lead = (time < days - dropped) & (time >= np.maximum(days - before, first))
    after = (time >= days + washout) & (time < days + washout + length)
    mask = ((lead | after) & usable).astype(np.float64)
    held = (mask * lead).sum(axis=1) >= MIN_USABLE * (np.minimum(before, days[:, 0] - first) - dropped)
    held &= (mask * after).sum(axis=1) >= MIN_USABLE * length
    steps = np.where(held, _steps(series, after.astype(np.float64), mask, control), np.nan)
    return Placebo(float(steps[0]), tuple(starts[1:]), tuple(float(step) for step in steps[1:]))


def _spacing(length: int) -> int:
    """Days between pseudo-dates: whole weeks, at least half of the *length* of the days after.

    The fix stands alone, pseudo-dates have neighbours: where those share most of their days after, large steps come
    in clusters, and the fix is the largest of m + 1 steps more often than once in m + 1. Measured with 28 days after
    on fixes without effect, ranks of at most 5 %: 7 days apart (39 dates) 6.6 % of 8,000, 14 days apart (22 dates)
    5.0 % of 8,000; in a Gaussian model with 19 dates 7.5 to 9 %, 5.9 to 6.1 %, and 5.0 to 5.4 % with 28 days apart.
    Those would be right at any m, but a year holds only eleven of them, too few for a rank of 5 %.
    """
    return WEEK * max(math.ceil(length / 2 / WEEK), 1)


def _steps(series: Series, after: Floats, mask: Floats, control: Series | None) -> Floats:
    """The step of every row of *after*, fitted on the days of its *mask*."""
    whole = mask.sum(axis=0) > 0
    kept = series.keep(whole)
    chosen, used = after[:, whole], mask[:, whole]
    ones = np.ones_like(chosen)
    columns = [ones, chosen]
    events = np.nan_to_num(kept.events)
    if control is None:
        terms, _ = weekday_columns(kept, np.ones(len(kept), dtype=np.bool_) & (used[0] > 0))
        columns += [np.broadcast_to(column, chosen.shape) for column in terms.T]
        fit = fit_glm(events, np.stack(columns, axis=-1), offset=np.log(kept.exposure), mask=used)
    else:
        other = control.keep(whole)
        fit = fit_glm(
            events, np.stack(columns, axis=-1), family="binomial", mask=used,
            offset=np.log(kept.exposure / other.exposure), trials=events + np.nan_to_num(other.events),
        )  # fmt: skip
    happened = (used * events).sum(axis=1) > 0
    there = ((used * chosen) * events).sum(axis=1) > 0
    # Without any event after, the step has no bottom: it outranks every other.
    return np.where(happened & there, fit.coefficients[..., STEP], np.where(happened, -np.inf, np.nan))
