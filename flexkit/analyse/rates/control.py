"""Shewhart charts: p, u, c, their Laney versions, individuals (XmR) and time between events (t)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from flexkit.analyse.rates.expected import expected_chart
from flexkit.analyse.rates.series import Booleans, Floats, Series, collected, read_series, require_counts
from flexkit.errors import SchemaError, UsageError

Chart = Literal["p", "p_prime", "u", "u_prime", "c", "xmr", "t", "nb"]
Baseline: TypeAlias = "int | str | pl.Expr | pl.Series | list[bool] | None"
CHARTS: tuple[Chart, ...] = ("p", "p_prime", "u", "u_prime", "c", "xmr", "t", "nb")

D2 = 1.128
"""Mean of the range of two standard normal values (Montgomery, appendix VI)."""
MOVING_RANGE_LIMIT = 3.267
"""Upper limit of a moving range, in means of moving ranges (Montgomery, appendix VI: D4 for n = 2)."""
NELSON = 3.6
"""Times between events to the power 1/3.6 are nearly normal (Nelson 1994)."""


def control_chart(
    series: pl.DataFrame | pl.LazyFrame, *, kind: Chart = "p", baseline: Baseline = None, screened: bool = False
) -> pl.DataFrame:
    """A control chart of *series*, one row per bucket: date, value, centre, lower, upper, is_signal, sigma_z.

    `series` has `date`, `events` and `exposure` (ignored for c, xmr and t, whose values stand in `events`).
    `baseline` says which buckets set the centre and the limits: the name of a boolean column, such a column (or an
    expression that gives one), or a number of leading rows; all by default. p, u, c, xmr and t have limits at three
    standard deviations, the primed kinds multiply the binomial or Poisson deviation by Laney's sigma_z (mean moving
    range of the z values over 1.128; never below 1 where a bucket holds fewer than three events on average), nb is
    the expected-value chart (`expected_chart`). `screened` leaves out moving ranges above 3.267 means and averages
    again, as some packages do for individuals. A signal is a value outside the limits, nothing else; runs are in
    `runs_rules`.
    """
    if kind not in CHARTS:
        msg = f"Unknown chart {kind!r}. Use one of: {', '.join(CHARTS)}."
        raise UsageError(msg)
    table = collected(series)
    read = read_series(table, needs_exposure=kind in {"p", "p_prime", "u", "u_prime"})
    base = baseline_rows(table, read, baseline)
    if kind == "nb":
        chart = expected_chart(read, base)
        return chart.select("date", "value", "centre", "lower", "upper", "is_signal", "sigma_z")
    if kind in {"c", "xmr", "t"}:
        value, centre, lower, upper, sigma_z = _single(read, base, kind, screened=screened)
    else:
        value, centre, lower, upper, sigma_z = _shares(read, base, kind, screened=screened)
    known = np.isfinite(value) & np.isfinite(lower)
    signal = known & ((value < lower) | (value > upper))
    columns = {"value": value, "centre": centre, "lower": lower, "upper": upper}
    return pl.DataFrame(
        [
            read.dates.alias("date"),
            *(pl.Series(name, values, nan_to_null=True) for name, values in columns.items()),
            pl.Series("is_signal", signal),
            pl.Series("sigma_z", np.full(len(read), sigma_z), nan_to_null=True),
        ]
    )


def baseline_rows(table: pl.DataFrame, series: Series, baseline: Baseline) -> Booleans:
    """The usable buckets that *baseline* names, in the order of *series*."""
    if baseline is None:
        chosen = np.ones(len(series), dtype=np.bool_)
    elif isinstance(baseline, int | np.integer) and not isinstance(baseline, bool):
        if baseline < 1:
            msg = f"The baseline is {baseline} rows. It needs at least one."
            raise UsageError(msg)
        chosen = np.arange(len(series)) < baseline
    else:
        if isinstance(baseline, str):
            if baseline not in table.columns:
                msg = f"The baseline column {baseline!r} is not in the series. It has: {', '.join(table.columns)}."
                raise SchemaError(msg)
            column = table[baseline]
        elif isinstance(baseline, pl.Expr):
            column = table.select(baseline).to_series()
        else:
            column = baseline if isinstance(baseline, pl.Series) else pl.Series(np.ravel(np.asarray(baseline)))
        if column.dtype != pl.Boolean or len(column) != len(series):
            msg = "The baseline must be true or false for every row of the series, or a number of leading rows."
            raise UsageError(msg)
        order = table["date"].arg_sort()
        chosen = column.gather(order).fill_null(value=False).to_numpy().astype(np.bool_)
    usable = series.usable & chosen
    if not usable.any():
        msg = "No bucket of the baseline has data, so the chart has no limits. Choose another baseline."
        raise UsageError(msg)
    return usable


def sigma_of_moving_ranges(values: Floats, *, screened: bool) -> float:
    """Standard deviation from the mean moving range of *values* over 1.128; NaN with fewer than two values."""
    ranges = np.abs(np.diff(values))
    ranges = ranges[np.isfinite(ranges)]
    if screened and len(ranges):
        ranges = ranges[ranges <= MOVING_RANGE_LIMIT * ranges.mean()]
    return float(ranges.mean() / D2) if len(ranges) else float("nan")


def _shares(
    series: Series, base: Booleans, kind: Chart, *, screened: bool
) -> tuple[Floats, Floats, Floats, Floats, float]:
    require_counts(series.events)
    is_share = kind in {"p", "p_prime"}
    usable = series.usable
    if is_share and (series.events[usable] > series.exposure[usable]).any():
        msg = f"A {kind} chart needs shares, but a bucket has more events than exposure. Use u or u_prime."
        raise UsageError(msg)
    exposure = np.where(usable, series.exposure, np.nan)
    value = np.where(usable, series.events, np.nan) / exposure
    centre = float(series.events[base].sum() / series.exposure[base].sum())
    deviation = np.sqrt((centre * (1 - centre) if is_share else centre) / exposure)
    sigma_z = 1.0
    if kind in {"p_prime", "u_prime"} and centre > 0:
        with np.errstate(divide="ignore", invalid="ignore"):
            sigma_z = sigma_of_moving_ranges(((value - centre) / deviation)[base], screened=screened)
        if np.mean(series.events[base]) < 3:
            # With hardly any events most moving ranges are alike and sigma_z falls below one (measured: 5.5
            # false alarms in 100 days at 0.3 events a day).
            sigma_z = float(np.fmax(sigma_z, 1.0))
    lower = np.maximum(centre - 3 * deviation * sigma_z, 0.0)
    upper = centre + 3 * deviation * sigma_z
    if is_share:
        upper = np.minimum(upper, 1.0)
    return value, np.full(len(series), centre), lower, upper, sigma_z


def _single(
    series: Series, base: Booleans, kind: Chart, *, screened: bool
) -> tuple[Floats, Floats, Floats, Floats, float]:
    value = np.where(series.usable, series.events, np.nan)
    size = len(series)
    if kind == "c":
        require_counts(series.events)
        centre = float(value[base].mean())
        deviation = float(np.sqrt(centre))
        return value, *_constant(size, centre, max(centre - 3 * deviation, 0.0), centre + 3 * deviation), 1.0
    if kind == "t" and (value[np.isfinite(value)] <= 0).any():
        msg = "A t chart needs times between events above zero. Merge events that happened at the same time."
        raise UsageError(msg)
    scaled = value ** (1 / NELSON) if kind == "t" else value
    centre = float(scaled[base].mean())
    deviation = sigma_of_moving_ranges(scaled[base], screened=screened)
    low, high = centre - 3 * deviation, centre + 3 * deviation
    if kind == "t":
        centre, low, high = centre**NELSON, max(low, 0.0) ** NELSON, high**NELSON
    return value, *_constant(size, centre, low, high), float("nan")


def _constant(size: int, *levels: float) -> tuple[Floats, Floats, Floats]:
    centre, lower, upper = (np.full(size, level) for level in levels)
    return centre, lower, upper
