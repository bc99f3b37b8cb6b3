"""The effect of one change on one series: the contract's `estimate`."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

from flexkit.analyse.effects.design import build
from flexkit.analyse.effects.fit import StepFit, Variance, fit_step
from flexkit.analyse.effects.gates import control_gates, pre_slope, spike_before
from flexkit.analyse.effects.options import Choice, Estimate, Model, Options
from flexkit.analyse.effects.report import exact_estimate, step_estimate, undecided
from flexkit.analyse.effects.rows import Cut, cut, weekly
from flexkit.analyse.rates.series import Instant, Series, Step, read_series, require_counts
from flexkit.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

FEW_EVENTS = 5
MIN_DAYS = (14, 7)
"""Fewer days before or after than this and the default model is not even fitted."""
ENOUGH_DAYS = (28, 14)
"""Fewer days than this and what is estimated counts as undecided."""
MIN_BUCKETS = (3, 2)
NO_ERROR = 1e-9
"""An error of the log ratio below this is rounding: the buckets lie on the model, and nothing tells how sure it is."""


def estimate(
    series: pl.DataFrame | pl.LazyFrame,
    changed_at: Instant,
    *,
    model: Model = "auto",
    variance: Variance = "qar1",
    trend: Choice = "auto",
    slope_change: bool = False,
    harmonics: int = 0,
    weekday: Choice = "auto",
    control: pl.DataFrame | pl.LazyFrame | None = None,
    ramp: dt.timedelta = dt.timedelta(0),
    baseline_days: float | None = None,
    level: float = 0.95,
) -> Estimate:
    """By what ratio the rate of *series* (date, events, exposure) changed at *changed_at*.

    step: log-linear quasi-Poisson model with a step, offset by log exposure, with weekday terms where a daily series
    carries them. did: the share of the series' events in those of the series and its *control*. weekly: the step
    on whole weeks. exact: ratio of the two rates given their sum. auto: did where a control passes its gates, exact
    where one side has hardly any events, else step.

    variance "qar1" (default) inflates for over-dispersion and autocorrelation, with a t quantile on effective
    degrees of freedom, and is never narrower than under latent day effects (`latent`); "quasi" and "poisson" use
    normal quantiles as published software does; "newey_west" seven lags and t. `trend` "auto" adds a trend where
    at least 56 buckets before the change have a slope beyond two standard errors. `harmonics` adds that many
    sine and cosine pairs of the calendar year, `slope_change` a new slope after the change (`rr` is then the change
    of level at the first bucket after). Buckets that contain the change or touch the *ramp* after it are left out,
    as are gaps, missing values and buckets without exposure.

    Where the data cannot tell, `model` is "undecided", the numbers are NaN and `flags` says why; `flags` also holds
    "undecided" where 28 days before or 14 after are not reached, with the numbers so far. `mde` is the largest ratio
    below one that would be seen with a power of 80 %. Raises `SchemaError` and `UsageError` for frames and arguments
    that make no sense.
    """
    options = Options(model, variance, trend, slope_change, harmonics, weekday, ramp, baseline_days, level)
    treated = read_series(series)
    require_counts(treated.events)
    other = None
    if control is not None:
        other = read_series(control)
        require_counts(other.events)
    elif model == "did":
        msg = "The model 'did' compares with a control. Pass control=, a frame with date, events and exposure."
        raise UsageError(msg)
    rows = cut(treated, changed_at, ramp=ramp, baseline_days=baseline_days, control=other)
    return estimate_rows(rows, options)[0]


def estimate_rows(rows: Cut, options: Options) -> tuple[Estimate, StepFit | None]:
    """The estimate for rows that are already cut, and the fitted model where there is one."""
    flags = list(rows.flags)
    if reason := _impossible(rows):
        return undecided(rows, ["undecided", reason, *flags]), None
    if options.model == "exact":
        return exact_estimate(rows, options, flags), None
    if reason := _too_short(rows, options, MIN_DAYS):
        return undecided(rows, ["undecided", reason, *flags]), None
    if reason := _too_short(rows, options, ENOUGH_DAYS):
        flags += ["undecided", reason]
    if _is_sparse(rows, options):
        return exact_estimate(rows, options, flags), None
    return _step(rows, options, flags)


def _step(rows: Cut, options: Options, flags: list[str]) -> tuple[Estimate, StepFit | None]:
    """The estimate by the step model, against a control where one may be used."""
    if options.model == "weekly":
        rows = weekly(rows)
        if reason := _impossible(rows) or _too_short(rows, options, MIN_DAYS):
            return undecided(rows, ["undecided", reason, *flags]), None
    elif options.variance == "qar1" and not options.slope_change:
        rows, selected = spike_before(rows, drop=options.drop_spike)
        flags += selected
    rows, has_trend, pretrend_p = _with_control(rows, options, flags)
    if rows.control is not None and not min(_both_sides(rows, rows.control)) > 0:
        return undecided(rows, ["undecided", "control_no_events", *flags]), None
    name = "did" if rows.control is not None else ("weekly" if options.model == "weekly" else "step")
    if name == "step" and options.trend == "auto" and not has_trend:
        has_trend = pre_slope(rows, harmonics=options.harmonics, level=options.level)
        if has_trend:
            flags.append("trend_model")
    fitted = fit_rows(rows, options, trend=has_trend)
    if not fitted.fit.converged or not math.isfinite(fitted.error) or fitted.error <= NO_ERROR:
        return undecided(rows, ["undecided", "no_fit", *flags]), None
    result = step_estimate(fitted, rows, options, name + ("+trend" if has_trend else ""), flags)
    result["pretrend_p"] = pretrend_p
    return result, fitted


def fit_rows(rows: Cut, options: Options, *, trend: bool) -> StepFit:
    """Fit the step model to the rows of a cut, against its control where it has one."""
    weekday = options.weekday
    if rows.control is not None or (rows.series.step is not Step.DAY and weekday == "auto"):
        weekday = False
    design = build(
        rows.series,
        rows.after,
        trend=trend,
        slope_change=options.slope_change,
        harmonics=options.harmonics,
        weekday=weekday,
        others=rows.others,
    )
    return fit_step(
        rows.series, rows.after, design, variance=options.variance, level=options.level, control=rows.control
    )


def _with_control(rows: Cut, options: Options, flags: list[str]) -> tuple[Cut, bool, float]:
    """The rows with the control if it may be used, else without; whether the model has a trend; the pre-trend's p."""
    has_trend = options.trend is True or options.slope_change
    if rows.control is None:
        return rows, has_trend, math.nan
    without = Cut(rows.series, rows.after, rows.flags, None, rows.others)
    if options.model not in {"auto", "did"}:
        return without, has_trend, math.nan
    gates = control_gates(rows, level=options.level)
    flags += gates.flags
    if options.model == "auto" and not gates.passes:
        flags.append("control_rejected")
        return without, has_trend, gates.pretrend_p
    busy = rows.series.events + rows.control.events > 0
    return rows.keep(busy), has_trend or (options.trend == "auto" and gates.needs_trend), gates.pretrend_p


def _both_sides(rows: Cut, control: Series) -> tuple[float, float]:
    """Events of the control before and after."""
    return float(control.events[~rows.after].sum()), float(control.events[rows.after].sum())


def _impossible(rows: Cut) -> str:
    """Why nothing can be estimated at all, or nothing."""
    before, after = rows.size
    if not before or not after:
        for flag in ("change_before_data", "change_after_data"):
            if flag in rows.flags:
                return flag
        return "no_data_before" if not before else "no_data_after"
    if rows.events_before + rows.events_after <= 0:
        return "no_events"
    return ""


def _too_short(rows: Cut, options: Options, minimum: tuple[int, int]) -> str:
    """Which side is too short, or nothing. Only the default variance on days has a minimum of its own."""
    before, after = rows.size
    is_default = options.variance == "qar1" and rows.series.step is Step.DAY
    need_before, need_after = minimum if is_default else MIN_BUCKETS
    if before < need_before:
        return "too_few_before"
    return "too_few_after" if after < need_after else ""


def _is_sparse(rows: Cut, options: Options) -> bool:
    """Whether one side has too few events for the step model."""
    fewest = min(rows.events_before, rows.events_after)
    is_plain = options.model == "auto" and not (options.trend is True or options.slope_change or options.harmonics)
    return fewest == 0 or (fewest < FEW_EVENTS and is_plain and rows.others is None)
